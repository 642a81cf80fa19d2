//! Devices that mean ill: what they can cost is bounded.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::*;

/// A device that answers with this, again and again, until nobody reads any more; and how many
/// bytes it has got rid of.
async fn pouring(head: &'static [u8], more: &'static [u8]) -> (Server, Arc<AtomicU64>) {
    let sent = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    let device = Server::start(move |mut stream, _| {
        let sent = Arc::clone(&counted);
        Box::pin(async move {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            if stream.write_all(head).await.is_err() {
                return;
            }
            let block = more.repeat(4096 / more.len() + 1);
            while stream.write_all(&block).await.is_ok() {
                sent.fetch_add(u64::try_from(block.len()).unwrap(), Ordering::Relaxed);
            }
        })
    })
    .await;
    (device, sent)
}

/// What the kernel takes in on both sides before anybody reads it.
const IN_FLIGHT_BYTES_MAX: u64 = 16 << 20;

async fn check(head: &'static [u8], more: &'static [u8]) -> Result<(), HttpError> {
    let (device, sent) = pouring(head, more).await;
    let begun = Instant::now();
    let result = call(&device).await;
    assert!(begun.elapsed() < Duration::from_secs(4), "{result:?}");
    let sent = sent.load(Ordering::Relaxed);
    assert!(sent < IN_FLIGHT_BYTES_MAX, "{sent} bytes");
    result
}

#[tokio::test]
async fn a_head_without_end() {
    let too_long = Err(HttpError::TooLong(16 << 10));
    let one_header = check(b"HTTP/1.1 200 OK\r\nX: ", b"x").await;
    assert_eq!(one_header, too_long);
    let many = check(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n").await;
    assert!(
        matches!(many, Err(HttpError::TooLong(_) | HttpError::Nonsense(_))),
        "{many:?}"
    );
    let status_line = check(b"HTTP/1.1 200 ", b"O").await;
    assert_eq!(status_line, too_long);
}

#[tokio::test]
async fn a_megabyte_of_challenges() {
    let challenges = check(
        b"HTTP/1.1 401 Unauthorized\r\n",
        b"WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n",
    )
    .await;
    assert!(
        matches!(
            challenges,
            Err(HttpError::TooLong(_) | HttpError::Nonsense(_))
        ),
        "{challenges:?}"
    );
    let one = check(
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: ",
        b"Digest realm=\"r\", nonce=\"n\", ",
    )
    .await;
    assert_eq!(one, Err(HttpError::TooLong(16 << 10)));
}

#[tokio::test]
async fn interim_answers_without_end() {
    let interim = check(b"", b"HTTP/1.1 100 Continue\r\n\r\n").await;
    assert_eq!(interim, Err(HttpError::TooLong(64 << 10)));
}

#[tokio::test]
async fn a_body_without_end() {
    // It has accepted; what else it has to say nobody reads.
    let accepted = check(b"HTTP/1.1 200 OK\r\n\r\n", b"x").await;
    assert_eq!(accepted, Ok(()));
    let announced = check(
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"x",
    )
    .await;
    assert_eq!(announced, Ok(()));
    let chunks = check(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"1\r\nx\r\n",
    )
    .await;
    assert_eq!(chunks, Ok(()));

    let counters = Counters::default();
    let (device, _) = pouring(
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n\r\n",
        b"x",
    )
    .await;
    let refused = request(&Call {
        target: &device.target,
        credentials: &own(),
        leniency: Leniency::default(),
        proxy: None,
        from: &[],
        time: Duration::from_secs(5),
        counters: &counters,
    })
    .await;
    assert_eq!(refused, Err(HttpError::Unauthorized));
    assert_eq!(counters.connection_request_answers_cut.get(), 2);
}

/// A byte now and then keeps no call alive.
#[tokio::test]
async fn an_answer_that_drips() {
    for head in [&b"HTTP/1.1 200 OK\r\nX: "[..], b""] {
        let device = Server::start(move |mut stream, _| {
            Box::pin(async move {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(head).await;
                while stream.write_all(b"H").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            })
        })
        .await;
        let begun = Instant::now();
        let result = call_with(&device, &own(), None, Duration::from_secs(1)).await;
        assert!(begun.elapsed() < Duration::from_secs(3));
        assert!(
            matches!(result, Err(HttpError::Timeout(1) | HttpError::Nonsense(_))),
            "{result:?}"
        );
    }
}

#[tokio::test]
async fn what_is_no_http() {
    for (said, shown) in [
        (&b"SSH-2.0-OpenSSH_9.2\r\n"[..], "SSH-2.0-OpenSSH_9.2"),
        (b"\xff\xfb\x01\xff\xfb\x03login: ", "login:"),
        (b"HTTP/9.9 abc\r\n\r\n", ""),
        (b"HTTP/1.1 99999 Odd\r\n\r\n", ""),
    ] {
        let device = Server::answering(move |_| (said.to_vec(), Then::Close)).await;
        let result = call(&device).await;
        let Err(HttpError::Nonsense(got)) = &result else {
            panic!("{result:?} of {:?}", String::from_utf8_lossy(said));
        };
        assert!(got.contains(shown), "{got}");
    }
    let device = Server::answering(|_| (Vec::new(), Then::Close)).await;
    let result = call(&device).await;
    assert!(matches!(result, Err(HttpError::Broken(_))), "{result:?}");
    // Nobody is there.
    let target = device.target.clone();
    device.serving.abort();
    let nobody = Server {
        target,
        heads: Arc::default(),
        serving: tokio::spawn(async {}),
    };
    drop(device);
    let result = async {
        loop {
            match call(&nobody).await {
                Err(error @ HttpError::Connect { .. }) => return error,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    let result = tokio::time::timeout(Duration::from_secs(10), result).await;
    assert!(
        result
            .unwrap()
            .to_string()
            .starts_with("cannot connect to 127.0.0.1:")
    );
}
