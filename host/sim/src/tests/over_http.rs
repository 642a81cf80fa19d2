//! Sessions over HTTP.

use std::time::Duration;

use cwmp::{Body, GetParameterNames, Message, Request};

use super::acs::{Acs, Auth};
use crate::{
    Connection, Cpe, CpeConfig, Due, Oddity, SessionFailure, SessionOptions, Step, run_session,
};

fn device(acs: &Acs, serial: &str) -> CpeConfig {
    CpeConfig::tr181(serial, &acs.url())
}

fn get(path: &str) -> Request {
    Request::GetParameterValues(vec![path.to_owned()])
}

async fn session(config: CpeConfig) -> Result<crate::SessionReport, crate::SessionError> {
    let options = SessionOptions::default();
    let mut cpe = config.start(options.clock.now());
    run_session(&mut cpe, &options).await
}

#[tokio::test]
async fn a_session_asks_and_ends() {
    let acs = Acs::start().await;
    acs.ask("A1", get("Device.DeviceInfo."));
    acs.ask("A1", get("Device.Bad"));
    let report = session(device(&acs, "A1")).await.unwrap();
    assert_eq!(report.served("GetParameterValues").count(), 2);
    assert_eq!(report.record.served[1].fault, Some(9005));
    assert_eq!((report.posts, report.connections), (4, 1));
    assert!(report.bytes_sent > 2000 && report.bytes_received > 500);
    assert_eq!(acs.state.lock().answers.len(), 2);
}

#[tokio::test]
async fn the_acs_asks_for_a_password() {
    for auth in [Auth::Basic, Auth::Digest] {
        let acs = Acs::with(auth).await;
        acs.ask("A1", get("Device.DeviceInfo.UpTime"));
        let report = session(device(&acs, "A1").acs_login("u", "p"))
            .await
            .unwrap();
        // The Inform was sent twice; from then on no request is refused.
        assert_eq!(report.posts, 4, "{auth:?}");
        for login in [("u", "wrong"), ("", "")] {
            let error = session(device(&acs, "A1").acs_login(login.0, login.1))
                .await
                .unwrap_err();
            assert!(
                matches!(error.cause, SessionFailure::Unauthorized),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn redirects_are_followed() {
    let (first, second) = (Acs::start().await, Acs::start().await);
    first.state.lock().redirect_once = Some(second.url());
    let report = session(device(&first, "A1")).await.unwrap();
    assert_eq!((report.posts, report.connections), (3, 2));
    assert_eq!(second.state.lock().informs.len(), 1);
    // A loop is left.
    let acs = Acs::start().await;
    let state = std::sync::Arc::clone(&acs.state);
    let url = acs.url();
    tokio::spawn(async move {
        loop {
            state.lock().redirect_once = Some(url.clone());
            tokio::task::yield_now().await;
        }
    });
    let error = session(device(&acs, "A1")).await.unwrap_err();
    assert!(matches!(error.cause, SessionFailure::Redirects), "{error}");
}

#[tokio::test]
async fn oddities_of_http_still_make_a_session() {
    let check = async |oddity: Oddity| {
        let acs = Acs::start().await;
        acs.ask("A1", get("Device."));
        let report = session(device(&acs, "A1").with(oddity)).await.unwrap();
        assert_eq!(report.served("GetParameterValues").count(), 1, "{oddity:?}");
        let heads = acs.state.lock().heads.join("\n");
        (report, heads)
    };
    let (report, _) = check(Oddity::ConnectionPerPost).await;
    assert_eq!(report.connections, report.posts);
    let (_, heads) = check(Oddity::CookieVersioned).await;
    assert!(
        heads.contains("Cookie: $Version=\"0\"; s=1;$Path=/"),
        "{heads}"
    );
    let (_, heads) = check(Oddity::CookieIgnored).await;
    assert!(!heads.contains("Cookie:"));
    let (_, heads) = check(Oddity::CookieNeedsPath).await;
    assert!(heads.contains("Cookie: s=1"));
    let (_, heads) = check(Oddity::Chunked).await;
    assert!(heads.contains("Transfer-Encoding: chunked"));
    let (_, heads) = check(Oddity::ExpectContinue).await;
    assert!(heads.contains("Expect: 100-continue"));
    let (_, heads) = check(Oddity::WhitespaceAsEmpty).await;
    assert!(heads.contains("Content-Length: 2"));
}

#[tokio::test]
async fn as_if_a_proxy_had_forwarded_it() {
    let acs = Acs::start().await;
    let options = SessionOptions {
        extra_headers: vec![("X-Forwarded-For".to_owned(), "{wan}".to_owned())],
        local_address: Some([127, 0, 0, 9].into()),
        connect_to: Some(acs.address),
        ..SessionOptions::default()
    };
    let config = CpeConfig::tr181("A1", "http://acs.example:7547/i/one");
    let mut cpe = config.start(options.clock.now());
    run_session(&mut cpe, &options).await.unwrap();
    let heads = acs.state.lock().heads.join("\n");
    assert!(heads.contains("X-Forwarded-For: 198.51.100.20"), "{heads}");
    assert!(heads.contains("POST /i/one HTTP/1.1\r\nHost: acs.example:7547"));
}

#[tokio::test]
async fn an_extra_empty_post_after_the_end() {
    let acs = Acs::start().await;
    session(device(&acs, "A1").with(Oddity::ExtraEmptyPost))
        .await
        .unwrap();
    assert_eq!(acs.state.lock().over, 1);
}

#[tokio::test]
async fn nobody_there_and_nobody_answering() {
    let options = SessionOptions {
        message_timeout: Duration::from_millis(50),
        ..SessionOptions::default()
    };
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let mut cpe = CpeConfig::tr181("A1", &url).start(options.clock.now());
    let error = run_session(&mut cpe, &options).await.unwrap_err();
    assert_eq!(error.cause.reason(), "timeout");
    drop(silent);
    let error = run_session(&mut cpe, &options).await.unwrap_err();
    assert_eq!(error.cause.reason(), "connect");
    assert_eq!(cpe.retry_count(), 2);
    assert!(matches!(cpe.poll(options.clock.now()), Due::Later(Some(_))));
}

#[tokio::test]
async fn two_devices_on_one_connection() {
    let acs = Acs::start().await;
    for serial in ["A1", "B2"] {
        acs.ask(serial, get("Device.DeviceInfo.SerialNumber"));
    }
    let clock = crate::Clock::system();
    let mut connection = Connection::open(&acs.address.to_string(), "acs", None)
        .await
        .unwrap();
    let mut devices: Vec<(Cpe, Vec<u8>, String)> = Vec::new();
    for serial in ["A1", "B2"] {
        let mut cpe = device(&acs, serial).start(clock.now());
        let body = cpe.begin_session(clock.now());
        devices.push((cpe, body, String::new()));
    }
    for _ in 0..3 {
        for (cpe, body, cookie) in &mut devices {
            let headers: &[(&str, &str)] = if cookie.is_empty() {
                &[]
            } else {
                &[("Cookie", cookie)]
            };
            let response = connection.post("/acs", headers, body).await.unwrap();
            let set_cookie = response.header("set-cookie").unwrap();
            *cookie = set_cookie.split(';').next().unwrap().to_owned();
            match cpe.receive(&response.body, clock.now()).unwrap() {
                Step::Post(next) => *body = next,
                Step::Done => drop(cpe.finish_session(clock.now())),
                Step::Drop | Step::Hang(_) => panic!("dropped"),
            }
        }
    }
    for (cpe, ..) in &devices {
        assert_eq!(cpe.times_served("GetParameterValues"), 1);
        assert!(!cpe.in_session());
    }
}

#[tokio::test]
async fn what_the_oddest_device_sends_can_be_read() {
    let acs = Acs::start().await;
    let names = GetParameterNames::default();
    acs.ask("A1", Request::GetParameterNames(names));
    let config = device(&acs, "A1")
        .with(Oddity::WrongArrayCounts)
        .with(Oddity::EmptyId)
        .with(Oddity::NoMoreRequests)
        .with(Oddity::MaxEnvelopes2)
        .with(Oddity::LowerCaseOui)
        .with(Oddity::NullParameterKey)
        .with(Oddity::Clock1970)
        .with(Oddity::Chunked);
    let mut cpe = config.clone().start(Duration::from_secs(1_700_000_000));
    let inform = Message::parse(&cpe.begin_session(Duration::from_secs(1_700_000_100))).unwrap();
    let Body::Request(Request::Inform(inform)) = inform.body else {
        panic!("no Inform");
    };
    assert_eq!(inform.device_id.oui, "02a1b2");
    assert_eq!(inform.current_time.0, "1970-01-01T00:01:40Z");
    assert!(
        inform
            .parameters
            .iter()
            .any(|parameter| parameter.value == "(null)")
    );
    let report = session(config).await.unwrap();
    assert_eq!(report.served("GetParameterNames").count(), 1);
}
