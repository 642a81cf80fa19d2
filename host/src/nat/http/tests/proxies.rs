//! Through a proxy: a double that forwards, and the answers of proxies that do not.

use super::*;
use crate::config::HostAndPort;

/// A proxy that passes requests on to whom they are for, each on a connection of its own, once it
/// has seen this Proxy-Authorization.
async fn forwarding(wants: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Server {
    let wants = Arc::new(wants);
    Server::start(move |mut stream, heads| {
        let wants = Arc::clone(&wants);
        Box::pin(async move {
            let place = {
                let mut heads = heads.lock().unwrap();
                heads.push(Vec::new());
                heads.len() - 1
            };
            let mut bytes = Vec::new();
            while matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
                let head = String::from_utf8(bytes.clone()).unwrap();
                if !head.ends_with("\r\n\r\n") {
                    continue;
                }
                bytes.clear();
                heads.lock().unwrap()[place].push(head.clone());
                let answer = match wants(&head) {
                    Some(challenge) => {
                        let head = format!(
                            "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: {challenge}\r\nContent-Length: 0\r\n\r\n"
                        );
                        head.into_bytes()
                    }
                    None => pass_on(&head).await,
                };
                if stream.write_all(&answer).await.is_err() {
                    break;
                }
            }
        })
    })
    .await
}

/// The device's answer, Via added.
async fn pass_on(head: &str) -> Vec<u8> {
    let (line, rest) = head.split_once("\r\n").unwrap();
    let url = line.strip_prefix("GET http://").unwrap();
    let (url, _) = url.split_once(' ').unwrap();
    let (authority, path) = url.split_once('/').unwrap();
    assert_eq!(header(head, "host"), Some(authority));
    let rest: String = rest
        .lines()
        .filter(|line| !line.to_ascii_lowercase().starts_with("proxy-"))
        .map(|line| format!("{line}\r\n"))
        .collect();
    let mut device = TcpStream::connect(authority).await.unwrap();
    let request = format!("GET /{path} HTTP/1.1\r\nVia: 1.1 double\r\n{rest}");
    device.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        assert_ne!(device.read_buf(&mut answer).await.unwrap(), 0);
    }
    let answer = String::from_utf8(answer).unwrap();
    answer
        .replacen("\r\n", "\r\nVia: 1.1 double\r\n", 1)
        .into_bytes()
}

fn settings(proxy: &Server, login: Option<(&str, &str)>) -> HttpProxy {
    HttpProxy {
        address: HostAndPort {
            host: "127.0.0.1".into(),
            port: proxy.target.address.port(),
        },
        username: login.map(|(username, _)| username.to_owned()),
        password: login.map(|(_, password)| password.to_owned()),
    }
}

async fn device() -> Server {
    Server::answering(|head| {
        if is_authorized(head) {
            ok()
        } else {
            challenge()
        }
    })
    .await
}

async fn call_through(
    proxy: &Server,
    device: &Server,
    login: Option<(&str, &str)>,
) -> Result<(), HttpError> {
    let settings = settings(proxy, login);
    call_with(device, &own(), Some(&settings), Duration::from_secs(5)).await
}

#[tokio::test]
async fn both_rounds_on_one_connection_with_the_whole_url() {
    let (proxy, device) = (forwarding(|_| None).await, device().await);
    assert_eq!(call_through(&proxy, &device, None).await, Ok(()));
    let [heads] = proxy.heads().try_into().unwrap();
    assert_eq!(heads.len(), 2);
    for head in &heads {
        let line = format!("GET http://{}/cr?id=1 HTTP/1.1\r\n", device.target.address);
        assert!(head.starts_with(&line), "{head}");
        assert_eq!(header(head, "cache-control"), Some("no-cache"));
        assert_eq!(header(head, "pragma"), Some("no-cache"));
        assert_eq!(header(head, "proxy-authorization"), None);
    }
    // The digest is for the device: its path, not the URL.
    assert!(is_authorized(&heads[1]));
}

#[tokio::test]
async fn a_proxy_that_asks_for_basic() {
    let right = "Basic cGF0Y2hiYXk6dG8gdGhlIHByb3h5";
    let wants = move |head: &str| {
        let shown = header(head, "proxy-authorization");
        (shown != Some(right)).then(|| "Basic realm=\"proxy\"".to_owned())
    };
    let (proxy, device) = (forwarding(wants).await, device().await);
    let login = Some(("patchbay", "to the proxy"));
    assert_eq!(call_through(&proxy, &device, login).await, Ok(()));
    assert_eq!(proxy.requests(), 3, "407, 401, 200");
    assert_eq!(proxy.heads().len(), 1);
    for head in device.heads().concat() {
        assert_eq!(
            header(&head, "proxy-authorization"),
            None,
            "it is not the device's"
        );
    }

    let refused = call_through(&proxy, &device, Some(("patchbay", "wrong"))).await;
    assert_eq!(refused, Err(ProxyError::Unauthorized.into()));
    let refused = call_through(&proxy, &device, None).await;
    assert_eq!(refused, Err(ProxyError::NoCredentials.into()));
    assert_eq!(device.requests(), 2, "it was not asked");
}

#[tokio::test]
async fn a_proxy_that_asks_for_digest() {
    let uses = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&uses);
    let wants = move |head: &str| {
        let challenge = DigestChallenge::new("proxy", "p1", Algorithm::Sha256).to_header();
        let both = format!("Basic realm=\"proxy\", {challenge}");
        match header(head, "proxy-authorization").map(Authorization::parse) {
            Some(Ok(Authorization::Digest(answer))) => {
                let url = head.strip_prefix("GET ").unwrap();
                // For the proxy the target is the URL.
                assert_eq!(Some(answer.uri.as_str()), url.split(' ').next());
                seen.lock().unwrap().push(answer.nc.clone());
                (!answer.verify("GET", "to the proxy")).then_some(both)
            }
            Some(other) => panic!("{other:?}: Digest is better"),
            None => Some(both),
        }
    };
    let (proxy, device) = (forwarding(wants).await, device().await);
    let login = Some(("patchbay", "to the proxy"));
    assert_eq!(call_through(&proxy, &device, login).await, Ok(()));
    assert_eq!(*uses.lock().unwrap(), ["00000001", "00000002"]);
    let refused = call_through(&proxy, &device, Some(("patchbay", "wrong"))).await;
    assert_eq!(refused, Err(ProxyError::Unauthorized.into()));
}

#[tokio::test]
async fn a_proxy_that_keeps_no_connection() {
    let device = device().await;
    let proxy = Server::start(|mut stream, heads| {
        Box::pin(async move {
            let mut bytes = Vec::new();
            while !bytes.ends_with(b"\r\n\r\n") {
                if matches!(stream.read_buf(&mut bytes).await, Ok(0) | Err(_)) {
                    return;
                }
            }
            let head = String::from_utf8(bytes).unwrap();
            let answer = pass_on(&head).await;
            heads.lock().unwrap().push(vec![head]);
            let _ = stream.write_all(&answer).await;
        })
    })
    .await;
    assert_eq!(call_through(&proxy, &device, None).await, Ok(()));
    assert_eq!(proxy.heads().len(), 2, "a connection for each round");
}

#[tokio::test]
async fn a_proxy_that_asks_for_something_else() {
    for (challenge, expected) in [
        ("Negotiate", ProxyError::Challenge("Negotiate".into())),
        ("NTLM, Bearer", ProxyError::Challenge("NTLM, Bearer".into())),
    ] {
        let (proxy, device) = (
            forwarding(move |_| Some(challenge.to_owned())).await,
            device().await,
        );
        let refused = call_through(&proxy, &device, Some(("a", "b"))).await;
        assert_eq!(refused, Err(expected.into()));
    }
    // Each of its nonces is too old: some day that has to end.
    let stale = "Digest realm=\"p\", nonce=\"n\", stale=true";
    let (proxy, device) = (
        forwarding(move |_| Some(stale.to_owned())).await,
        device().await,
    );
    let refused = call_through(&proxy, &device, Some(("a", "b"))).await;
    assert_eq!(refused, Err(ProxyError::Unauthorized.into()));
    assert_eq!(proxy.requests(), 3);
}

/// What is made of an answer that came through a proxy, in words.
async fn answered(line: &'static str, headers: &'static str, port: u16) -> String {
    let proxy = Server::answering(move |_| status(line, headers)).await;
    let settings = settings(&proxy, None);
    let device = Server {
        target: Target {
            address: ([192, 0, 2, 1], port).into(),
            authority: "192.0.2.1".into(),
            path: "/cr".into(),
        },
        heads: Arc::default(),
        serving: tokio::spawn(async {}),
    };
    let called = call_with(&device, &own(), Some(&settings), Duration::from_secs(5)).await;
    match called {
        Ok(()) => "accepted".into(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn whose_answer_it_is() {
    const SQUID_DENIED: &str = "X-Squid-Error: ERR_ACCESS_DENIED 0\r\nVia: 1.1 p (squid)\r\n";
    const SQUID_FAILED: &str = "X-Squid-Error: ERR_CONNECT_FAIL 111\r\nVia: 1.1 p (squid)\r\n";
    for (line, headers, expected) in [
        // The proxy's.
        (
            "403 Forbidden",
            SQUID_DENIED,
            "the HTTP proxy refused to call the device (403, ERR_ACCESS_DENIED): is the ACS in its access list, and the device's network?",
        ),
        (
            "403 Filtered",
            "",
            "the HTTP proxy refused to call the device (403): is the ACS in its access list, and the device's network?",
        ),
        (
            "503 Service Unavailable",
            SQUID_FAILED,
            "the HTTP proxy cannot reach the device (503, ERR_CONNECT_FAIL 111)",
        ),
        (
            "503 Service Unavailable",
            "Proxy-Status: far.example, near.example; error=connection_refused\r\n",
            "the HTTP proxy cannot reach the device (503, connection_refused)",
        ),
        (
            "504 Gateway Timeout",
            "",
            "the HTTP proxy cannot reach the device (504)",
        ),
        (
            "502 Bad Gateway",
            "X-Squid-Error: ERR_ZERO_SIZE_OBJECT 0\r\n",
            "the HTTP proxy cannot reach the device (502, ERR_ZERO_SIZE_OBJECT)",
        ),
        (
            "400 Bad Request",
            "X-Squid-Error: ERR_INVALID_URL 0\r\n",
            "the HTTP proxy answered 400, ERR_INVALID_URL, expected the device's answer",
        ),
        (
            "200 OK",
            "Age: 12\r\nVia: 1.1 p\r\n",
            "the HTTP proxy answered from its cache: the device was not asked",
        ),
        // The device's.
        (
            "503 Service Unavailable",
            "Via: 1.1 p\r\n",
            "the device is busy (503)",
        ),
        (
            "403 Forbidden",
            "Via: 1.1 p\r\n",
            "the device answered 403, expected 200 or 204",
        ),
        (
            "404 Not Found",
            "Via: 1.1 p\r\n",
            "the device answered 404, expected 200 or 204",
        ),
        ("204 No Content", "Via: 1.1 p\r\n", "accepted"),
    ] {
        assert_eq!(
            answered(line, headers, 7547).await,
            expected,
            "{line} {headers}"
        );
    }
    assert_eq!(
        answered("403 Forbidden", SQUID_DENIED, 80).await,
        "the HTTP proxy refused to call the device (403, ERR_ACCESS_DENIED): the device's port is 80, and proxies are often configured to refuse ports below 1025"
    );
}

#[tokio::test]
async fn a_proxy_that_is_not_there() {
    let device = device().await;
    let proxy = Server::answering(|_| ok()).await;
    let mut settings = settings(&proxy, None);
    // Nobody has this port: it was just given up.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    settings.address.port = free.local_addr().unwrap().port();
    drop(free);
    let called = call_with(&device, &own(), Some(&settings), Duration::from_secs(5)).await;
    let text = called.unwrap_err().to_string();
    let address = &settings.address;
    assert!(
        text.starts_with(&format!("cannot connect to the HTTP proxy {address}: ")),
        "{text}"
    );
    settings.address.host = "no..name".into();
    let called = call_with(&device, &own(), Some(&settings), Duration::from_secs(5)).await;
    assert!(
        matches!(
            called,
            Err(HttpError::Proxy(ProxyError::Unreachable { .. }))
        ),
        "{called:?}"
    );
    assert_eq!(device.requests(), 0);
}
