//! Waking a device over HTTP: the two steps of it, and all that devices answer to a connection
//! request.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cpe_sim::{CpeConfig, FleetConfig, Oddities, Oddity, Vendor};
use cwmp::authentication::{Algorithm, Authorization, DigestChallenge};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::harness::{Host, Live, PATIENCE, Setup, Sim, free_address};

/// Longer than any wake-up here takes.
const WAIT_SECONDS: u64 = 20;

/// A host whose devices get credentials, and that does not wait long for them.
fn setup() -> Setup {
    Setup::new()
        .plugin("shipped", "first-contact")
        .config(|config| {
            config.instance.connection_request_seconds_max = 2;
            config.instance.session_after_wake_seconds_max = 1;
        })
}

async fn live(host: &Host, oddity: Option<Oddity>) -> Live {
    let config = FleetConfig {
        oddities: oddity.into_iter().collect::<Oddities>(),
        boot_time: Duration::from_millis(50),
        ..FleetConfig::single(&host.url(), Vendor::tr181())
    };
    Live::start(config).await
}

/// Wakes a device and waits for the end of that.
async fn wake(host: &Host, at: &str) -> Value {
    let report = host
        .post(
            &format!("{at}/wake"),
            json!({ "wait_seconds": WAIT_SECONDS }),
        )
        .await;
    let shown = host.get(at).await["reachability"]["last_wake"].clone();
    assert_eq!(shown, report, "the device shows its last wake-up");
    report
}

#[track_caller]
fn opened(report: &Value) {
    assert_eq!(report["state"], "session-opened", "{report}");
    let [attempt] = report["attempts"].as_array().unwrap().as_slice() else {
        panic!("{report}")
    };
    assert_eq!(attempt["mode"], "direct-http");
    assert!(
        attempt["accepted"].is_string() && attempt["session_opened"].is_string(),
        "{report}"
    );
    assert_eq!(attempt["error"], Value::Null);
}

/// `accepted`: the device took the request, and nothing came of it.
#[track_caller]
fn failed(report: &Value, accepted: bool, outcome: &str, error: &str) {
    assert_eq!(report["state"], "failed", "{report}");
    assert_eq!(report["outcome"], outcome, "{report}");
    assert!(
        report["words"].is_string() && report["advice"].is_string(),
        "{report}"
    );
    let [attempt] = report["attempts"].as_array().unwrap().as_slice() else {
        panic!("{report}")
    };
    assert_eq!(attempt["accepted"].is_string(), accepted, "{report}");
    assert_eq!(attempt["session_opened"], Value::Null, "{report}");
    assert!(
        attempt["error"].as_str().unwrap().contains(error),
        "{error}: {report}"
    );
}

#[tokio::test]
async fn a_device_with_its_credentials() {
    let host = setup().start().await;
    let mut live = live(&host, None).await;
    opened(&wake(&host, &live.at).await);
    assert_eq!(live.session().await.0, ["6 CONNECTION REQUEST"]);
    assert_eq!(live.device.connection_requests(), (1, 0));
    let history = &host.get(&live.at).await["reachability"]["history"]["direct-http"];
    assert_eq!(
        (&history["attempts"], &history["opened"]),
        (&1.into(), &1.into())
    );

    // Who asks while a call is under way joins it.
    let [one, two] = [0, 1].map(|_| wake(&host, &live.at));
    let (one, two) = tokio::join!(one, two);
    opened(&one);
    assert_eq!(one, two);
    assert_eq!(live.device.connection_requests(), (2, 0));
    host.stop().await;
}

#[tokio::test]
async fn a_task_that_wakes_its_device() {
    let host = setup().start().await;
    let mut live = live(&host, None).await;
    let tasks = format!("{}/tasks", live.at);
    let operation = json!({ "op": "get", "paths": ["Device.DeviceInfo.UpTime"] });
    let body = json!({ "operation": operation, "wake": true, "wait_seconds": WAIT_SECONDS });
    let task = host.post(&tasks, body).await;
    assert_eq!(task["state"], "done", "{task}");
    let (events, rpcs) = live.session().await;
    assert_eq!(
        (events, rpcs),
        (
            vec!["6 CONNECTION REQUEST".into()],
            vec!["GetParameterValues".into()]
        )
    );

    // The device has other credentials than the ACS knows: the task waits, and shows why.
    let password = "Device.ManagementServer.ConnectionRequestPassword";
    assert!(
        live.device
            .with(|cpe, now| cpe.set(password, "another", now))
            .await
    );
    let task = host
        .post(&tasks, json!({ "operation": operation, "wake": true }))
        .await;
    assert_eq!(task["state"], "waking", "{task}");
    let at = format!("/v1/tasks/{}", task["id"].as_str().unwrap());
    let waiting = host
        .until(&at, |task| task["wake"]["state"] == "failed")
        .await;
    assert_eq!(waiting["state"], "queued");
    failed(
        &waiting["wake"],
        false,
        "refused-credentials",
        "credentials (401)",
    );
    // It comes by itself.
    live.device.with(|cpe, now| cpe.power_cycle(now)).await;
    assert_eq!(live.session().await.1, ["GetParameterValues"]);
    assert_eq!(host.get(&at).await["state"], "done");
    host.stop().await;
}

#[tokio::test]
async fn what_devices_make_of_a_connection_request() {
    let host = setup().start().await;
    let check = async |oddity| {
        let live = live(&host, Some(oddity)).await;
        let report = wake(&host, &live.at).await;
        host.api("DELETE", &live.at, None).await;
        (report, live)
    };
    for oddity in [
        Oddity::RequestClosedAfter401,
        Oddity::RequestHugeAnswer,
        Oddity::RequestWaits,
    ] {
        let (report, live) = check(oddity).await;
        opened(&report);
        assert_eq!(live.device.connection_requests(), (1, 0), "{oddity:?}");
    }
    for (oddity, accepted, outcome, error) in [
        (
            Oddity::RequestBasic,
            false,
            "refused-credentials",
            "asks for Basic authentication, expected Digest",
        ),
        (Oddity::RequestRedirected, false, "nonsense", "answered 302"),
        (
            Oddity::RequestNeverAnswered,
            false,
            "no-answer",
            "no answer within 2 s",
        ),
        (
            Oddity::Request200BeforeAuth,
            true,
            "accepted-but-silent",
            "no session within 1 s",
        ),
    ] {
        let (report, live) = check(oddity).await;
        failed(&report, accepted, outcome, error);
        assert_eq!(live.device.connection_requests(), (0, 0), "{oddity:?}");
    }
    host.stop().await;
}

#[tokio::test]
async fn basic_authentication_where_a_profile_says_so() {
    let toml = "[settings.overrides]\nconnection-request-basic-auth = \"true\"\n";
    let host = setup().plugin_with("test", "bad-hooks", toml).start().await;
    let live = live(&host, Some(Oddity::RequestBasic)).await;
    opened(&wake(&host, &live.at).await);
    host.stop().await;
}

#[tokio::test]
async fn without_credentials_and_without_leave() {
    let host = Setup::new().start().await;
    let nobody = live(&host, None).await;
    failed(
        &wake(&host, &nobody.at).await,
        false,
        "no-credentials",
        "the ACS has none for it yet",
    );
    host.stop().await;

    let host = setup()
        .config(|config| config.instance.connection_request_allow.clear())
        .start()
        .await;
    let live = live(&host, None).await;
    failed(
        &wake(&host, &live.at).await,
        false,
        "blocked",
        "127.0.0.1 is a loopback address",
    );
    assert_eq!(live.device.connection_requests(), (0, 0));
    host.stop().await;
}

/// The heads of the requests that came to a [`listener`].
type Heads = Arc<Mutex<Vec<String>>>;

/// The connection-request server of a device, written by hand: what it answers to the head of
/// each request; an empty answer hangs up. Each answer says whether the connection stays.
async fn listener(answer: impl Fn(&str) -> String + Send + 'static) -> (SocketAddr, Heads) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heads = Heads::default();
    let seen = Arc::clone(&heads);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = Vec::new();
            while matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
                let head = String::from_utf8(bytes.clone()).unwrap();
                if !head.ends_with("\r\n\r\n") {
                    continue;
                }
                bytes.clear();
                let answer = answer(&head);
                seen.lock().unwrap().push(head);
                if stream.write_all(answer.as_bytes()).await.is_err()
                    || !answer.contains("Content-Length")
                {
                    break;
                }
            }
        }
    });
    (address, heads)
}

/// A device known to the host, in nobody's hands but the test's, with that server.
async fn device(host: &Host, server: SocketAddr) -> Sim {
    let mut sim = Sim::new(CpeConfig {
        connection_request_url: format!("http://{server}/cr"),
        ..CpeConfig::tr181("W1", &host.url())
    });
    sim.settle().await;
    sim
}

const EMPTY_200: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[tokio::test]
async fn accepted_and_opened_are_two_steps() {
    let host = setup()
        .config(|config| config.instance.session_after_wake_seconds_max = 20)
        .start()
        .await;
    let (server, heads) = listener(|_| EMPTY_200.into()).await;
    let mut sim = device(&host, server).await;
    let begun = host.post(&format!("{}/wake", sim.at()), json!({})).await;
    assert_ne!(begun["state"], "session-opened", "{begun}");
    let last = |device: &Value| device["reachability"]["last_wake"].clone();
    let device = host
        .until(&sim.at(), |device| last(device)["state"] != "calling")
        .await;
    assert_eq!(last(&device)["state"], "accepted");
    let attempt = &last(&device)["attempts"][0];
    assert!(
        attempt["accepted"].is_string() && attempt["session_opened"].is_null(),
        "{attempt}"
    );
    let now = sim.now();
    assert!(sim.cpe.connection_request(now));
    sim.settle().await;
    let device = host
        .until(&sim.at(), |device| last(device)["state"] != "accepted")
        .await;
    opened(&last(&device));
    assert_eq!(heads.lock().unwrap().len(), 1);
    host.stop().await;
}

#[tokio::test]
async fn a_device_that_accepts_and_never_comes() {
    let host = setup().start().await;
    let (server, _) = listener(|_| EMPTY_200.into()).await;
    let sim = device(&host, server).await;
    failed(
        &wake(&host, &sim.at()).await,
        true,
        "accepted-but-silent",
        "no session within 1 s",
    );
    let history = &host.get(&sim.at()).await["reachability"]["history"]["direct-http"];
    assert_eq!(
        (&history["opened"], &history["failed_in_a_row"]),
        (&0.into(), &1.into())
    );
    host.stop().await;
}

#[tokio::test]
async fn answers_that_are_no_acceptance() {
    let host = setup().start().await;
    let (elsewhere, visits) = listener(|_| EMPTY_200.into()).await;
    let redirect =
        format!("HTTP/1.1 302 Found\r\nLocation: http://{elsewhere}/\r\nContent-Length: 0\r\n\r\n");
    let unauthorized = |challenge: &str| {
        format!(
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\nContent-Length: 0\r\n\r\n"
        )
    };
    let digest = DigestChallenge::new("r", "n1", Algorithm::Md5).to_header();
    for (answer, outcome, error, requests) in [
        (
            "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".into(),
            "busy",
            "busy (503)",
            3,
        ),
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".into(),
            "nonsense",
            "answered 404",
            1,
        ),
        (redirect, "nonsense", "answered 302", 1),
        (
            unauthorized("Bearer"),
            "refused-credentials",
            "asks for Bearer authentication",
            1,
        ),
        // The one round that the credentials are good for, and no other.
        (
            unauthorized(&digest),
            "refused-credentials",
            "refused the connection-request credentials (401)",
            2,
        ),
        (String::new(), "nonsense", "broke off", 1),
    ] {
        let told = answer.clone();
        let (server, heads) = listener(move |_| told.clone()).await;
        let sim = device(&host, server).await;
        failed(&wake(&host, &sim.at()).await, false, outcome, error);
        assert_eq!(heads.lock().unwrap().len(), requests, "{answer:?}");
        host.api("DELETE", &sim.at(), None).await;
    }
    assert_eq!(
        visits.lock().unwrap().len(),
        0,
        "a redirect is not followed"
    );
    // What is no HTTP at all may pass for an acceptance, but never for a session.
    let (server, _) = listener(|_| "SSH-2.0-OpenSSH\r\n".into()).await;
    let sim = device(&host, server).await;
    let report = wake(&host, &sim.at()).await;
    assert_eq!(report["state"], "failed", "{report}");
    host.api("DELETE", &sim.at(), None).await;
    // Nobody listens.
    let sim = device(&host, free_address()).await;
    failed(
        &wake(&host, &sim.at()).await,
        false,
        "unreachable",
        "cannot connect",
    );
    host.stop().await;
}

/// Challenges, then takes the answer that proves the password.
async fn digest(
    host: &Host,
    challenge: &str,
    hang_up: Option<&'static str>,
) -> (Value, Vec<String>) {
    let password = Arc::new(Mutex::new(String::new()));
    let (known, challenge) = (Arc::clone(&password), challenge.to_owned());
    let (server, heads) = listener(move |head| {
        let authorization = head
            .lines()
            .find_map(|line| line.strip_prefix("Authorization: "));
        match authorization.map(Authorization::parse) {
            Some(Ok(Authorization::Digest(answer)))
                if answer.verify("GET", &known.lock().unwrap()) =>
            {
                assert_eq!(answer.uri, "/cr");
                EMPTY_200.into()
            }
            Some(other) => panic!("{other:?} of {head}"),
            None => format!(
                "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\n{}\r\n\r\n",
                hang_up.unwrap_or("Content-Length: 0")
            ),
        }
    })
    .await;
    let mut sim = device(host, server).await;
    *password.lock().unwrap() = sim.value("ManagementServer.ConnectionRequestPassword");
    let at = sim.at();
    let woken = async {
        let came = async {
            while !heads
                .lock()
                .unwrap()
                .iter()
                .any(|head| head.contains("Authorization"))
            {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, came)
            .await
            .expect("no second round");
        sim.session().await;
    };
    let (report, ()) = tokio::join!(wake(host, &at), woken);
    host.api("DELETE", &at, None).await;
    let heads = heads.lock().unwrap().clone();
    (report, heads)
}

#[tokio::test]
async fn digests_of_all_kinds() {
    let host = setup().start().await;
    for (challenge, parts, lacks) in [
        (
            r#"Digest realm="a, b", nonce="n1", qop="auth", algorithm=MD5, opaque="o""#,
            "nc=00000001",
            "SHA",
        ),
        (
            r#"Digest realm="r", nonce="n1", qop="auth,auth-int""#,
            "qop=auth",
            "algorithm",
        ),
        (r#"Digest realm="r", nonce="n1""#, "response=", "cnonce"),
        (
            r#"Digest realm="r", nonce="n1", qop="auth", algorithm=SHA-256"#,
            "algorithm=SHA-256",
            "MD5",
        ),
        (
            r#"Digest realm="r", nonce="n1", qop="auth", algorithm=MD5-sess"#,
            "algorithm=MD5-sess",
            "SHA",
        ),
        (
            r#"Basic realm="r", Digest realm="r", nonce="n1", qop="auth""#,
            "Digest ",
            "Basic",
        ),
    ] {
        let (report, heads) = digest(&host, challenge, None).await;
        opened(&report);
        let [first, second] = heads.as_slice() else {
            panic!("{heads:?}")
        };
        assert!(
            first.starts_with("GET /cr HTTP/1.1\r\n") && !first.contains("Authorization"),
            "{first}"
        );
        assert!(
            second.contains(parts) && !second.contains(lacks),
            "{challenge}: {second}"
        );
    }
    // The connection does not outlive the 401, said so or not.
    for end in [
        "Connection: close",
        "X-Odd: no length and no word of the end",
    ] {
        let (report, heads) = digest(
            &host,
            r#"Digest realm="r", nonce="n1", qop="auth""#,
            Some(end),
        )
        .await;
        opened(&report);
        assert_eq!(heads.len(), 2, "{heads:?}");
    }
    host.stop().await;
}
