//! Connection requests.

use std::net::SocketAddr;
use std::sync::Arc;

use cwmp::authentication::{Challenge, parse_challenges};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::{
    Connection, Framing, HttpError, HttpResponse, Oddities, Oddity, RequestListener, RequestTarget,
    TargetState,
};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

struct Bench {
    listener: RequestListener,
    target: Arc<RequestTarget>,
    woken: UnboundedReceiver<u32>,
}

async fn bench(oddities: &[Oddity]) -> Bench {
    let listener = RequestListener::bind(ANY, 1).await.unwrap();
    let (wake, woken) = unbounded_channel();
    let oddities: Oddities = oddities.iter().copied().collect();
    let target = Arc::new(RequestTarget::new(7, oddities, wake));
    target.set_login(("u".to_owned(), "p".to_owned()));
    listener.add("/cr/A1", Arc::clone(&target));
    Bench {
        listener,
        target,
        woken,
    }
}

impl Bench {
    async fn connect(&self) -> Connection {
        let address = self.listener.address().to_string();
        Connection::open(&address, &address, None).await.unwrap()
    }

    async fn request(&self, password: &str) -> HttpResponse {
        let mut connection = self.connect().await;
        let first = get(&mut connection, "/cr/A1", None).await.unwrap();
        let challenges = parse_challenges(first.headers_named("www-authenticate"));
        let [Challenge::Digest(challenge)] = challenges.as_slice() else {
            panic!("{first:?}");
        };
        let authorization = challenge.respond("GET", "/cr/A1", "u", password, "c", 1);
        if !connection.is_open() {
            connection = self.connect().await;
        }
        get(&mut connection, "/cr/A1", Some(&authorization))
            .await
            .unwrap()
    }
}

async fn get(
    connection: &mut Connection,
    target: &str,
    authorization: Option<&str>,
) -> Result<HttpResponse, HttpError> {
    let headers: Vec<(&str, &str)> = authorization
        .into_iter()
        .map(|value| ("Authorization", value))
        .collect();
    connection
        .request("GET", target, &headers, b"", Framing::Length)
        .await
}

#[tokio::test]
async fn digest_lets_in_and_wakes() {
    let mut bench = bench(&[]).await;
    assert_eq!(bench.request("p").await.status, 200);
    assert_eq!(bench.woken.try_recv(), Ok(7));
    assert_eq!(bench.request("wrong").await.status, 401);
    assert!(bench.woken.try_recv().is_err());
    assert_eq!((bench.target.accepted(), bench.target.refused()), (1, 1));
    let mut connection = bench.connect().await;
    assert_eq!(
        get(&mut connection, "/cr/B2", None).await.unwrap().status,
        404
    );
}

#[tokio::test]
async fn busy_and_down() {
    let mut bench = bench(&[]).await;
    bench.target.set_state(TargetState::InSession);
    assert_eq!(bench.request("p").await.status, 503);
    assert!(bench.woken.try_recv().is_err());
    bench.target.set_state(TargetState::Down);
    let mut connection = bench.connect().await;
    assert!(get(&mut connection, "/cr/A1", None).await.is_err());
}

#[tokio::test]
async fn oddities_of_the_connection_request() {
    let mut waits = bench(&[Oddity::RequestWaits]).await;
    waits.target.set_state(TargetState::InSession);
    assert_eq!(waits.request("p").await.status, 200);
    assert_eq!(waits.woken.try_recv(), Ok(7));

    let closed = bench(&[Oddity::RequestClosedAfter401]).await;
    let mut connection = closed.connect().await;
    assert_eq!(
        get(&mut connection, "/cr/A1", None).await.unwrap().status,
        401
    );
    assert!(get(&mut connection, "/cr/A1", None).await.is_err());
    assert_eq!(closed.request("p").await.status, 200);

    let basic = bench(&[Oddity::RequestBasic]).await;
    let mut connection = basic.connect().await;
    let first = get(&mut connection, "/cr/A1", None).await.unwrap();
    assert!(
        first
            .header("www-authenticate")
            .unwrap()
            .starts_with("Basic ")
    );
    assert_eq!(
        get(&mut connection, "/cr/A1", Some("Basic dTpw"))
            .await
            .unwrap()
            .status,
        200
    );

    let mut early = bench(&[Oddity::Request200BeforeAuth]).await;
    let mut connection = early.connect().await;
    assert_eq!(
        get(&mut connection, "/cr/A1", None).await.unwrap().status,
        200
    );
    assert!(early.woken.try_recv().is_err());

    let redirected = bench(&[Oddity::RequestRedirected]).await;
    let mut connection = redirected.connect().await;
    assert_eq!(
        get(&mut connection, "/cr/A1", None).await.unwrap().status,
        302
    );

    let huge = bench(&[Oddity::RequestHugeAnswer]).await;
    assert!(huge.request("p").await.body.len() > 1_000_000);

    let silent = bench(&[Oddity::RequestNeverAnswered]).await;
    let mut connection = silent.connect().await;
    let waiting = get(&mut connection, "/cr/A1", None);
    let wait = std::time::Duration::from_millis(100);
    assert!(tokio::time::timeout(wait, waiting).await.is_err());
}
