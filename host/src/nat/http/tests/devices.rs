use super::*;

/// A device that challenges with these bytes is called all the same, in two rounds.
async fn called(odd: &'static [u8], then: Then) -> Vec<Vec<String>> {
    let device = Server::answering(move |head| {
        if is_authorized(head) {
            ok()
        } else {
            (odd.to_vec(), then)
        }
    })
    .await;
    let shown = String::from_utf8_lossy(odd);
    assert_eq!(call(&device).await, Ok(()), "{shown}");
    let heads = device.heads();
    assert_eq!(heads.concat().len(), 2, "{shown}");
    heads
}

macro_rules! challenges {
    ($($name:ident: $bytes:expr,)*) => {$(
        #[tokio::test]
        async fn $name() {
            let heads = called($bytes, Then::Keep).await;
            assert_eq!(heads.len(), 1, "one connection for both rounds");
        }
    )*};
}

challenges! {
    a_challenge_without_qop:
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=\"MD5\", opaque=\"o\"\r\nContent-Length: 0\r\n\r\n",
    a_scheme_in_lower_case:
        b"HTTP/1.1 401 Unauthorized\r\nwww-authenticate: digest realm=\"r\",nonce=\"n\",qop=\"auth\"\r\ncontent-length: 0\r\n\r\n",
    values_without_quotes:
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm=r, nonce=n, qop=auth, algorithm=MD5\r\nContent-Length: 0\r\n\r\n",
    quotes_where_none_belong_and_blanks_about:
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm = \"a \\\"b\\\"\" ,nonce=\"n\",, algorithm=\"MD5\" , stale=\"false\", qop=\"auth\"\r\nContent-Length: 0\r\n\r\n",
    two_qops:
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth-int,auth\"\r\nContent-Length: 0\r\n\r\n",
    challenges_in_two_headers:
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=SHA-256\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=MD5\r\nContent-Length: 0\r\n\r\n",
    several_challenges_in_one_header:
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Negotiate, Basic realm=\"x, y\", Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\nContent-Length: 0\r\n\r\n",
    an_unknown_algorithm_before_a_known_one:
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"m\", algorithm=SHA3, Digest realm=\"r\", nonce=\"n\"\r\nContent-Length: 0\r\n\r\n",
    a_comma_at_the_end:
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\",\r\nContent-Length: 0\r\n\r\n",
    an_empty_opaque:
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"r\", domain=\"/\", nonce=\"n\", opaque=\"\", stale=FALSE, qop=\"auth\"\r\nContent-Length: 0\r\n\r\n",
    a_status_without_text:
        b"HTTP/1.1 401\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\nContent-Length: 0\r\n\r\n",
    lines_that_end_with_lf:
        b"HTTP/1.1 401 Unauthorized\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\nContent-Length: 0\n\n",
    a_blank_before_the_colon:
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate : Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\nContent-Length: 0\r\n\r\n",
    a_header_that_is_none:
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\nX Bad Header\r\nContent-Length: 0\r\n\r\n",
    a_header_over_several_lines:
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"r\",\r\n nonce=\"n\",\r\n qop=\"auth\"\r\nContent-Length: 0\r\n\r\n",
    an_interim_answer_before:
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\nContent-Length: 0\r\n\r\n",
    a_body_in_chunks:
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
}

#[tokio::test]
async fn a_connection_that_ends_with_the_challenge() {
    for odd in [
        // Without a word, said in a header, as HTTP/1.0 does, with a body.
        &b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\nContent-Length: 3\r\n\r\nabc"[..],
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n\r\n<html>",
    ] {
        let heads = called(odd, Then::Close).await;
        assert_eq!(heads.len(), 2, "{heads:?}");
    }
}

#[tokio::test]
async fn a_challenge_without_length_on_a_connection_that_stays() {
    let odd =
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n\r\n";
    let heads = called(odd, Then::Keep).await;
    assert_eq!(heads.len(), 2, "nobody waits for its end");
}

#[tokio::test]
async fn what_is_sent() {
    let device = Server::answering(|head| {
        if is_authorized(head) {
            ok()
        } else {
            challenge()
        }
    })
    .await;
    call(&device).await.unwrap();
    let [heads] = device.heads().try_into().unwrap();
    for head in &heads {
        assert!(head.starts_with("GET /cr?id=1 HTTP/1.1\r\n"), "{head}");
        let authority = device.target.authority.as_str();
        assert_eq!(header(head, "host"), Some(authority));
        assert_eq!(header(head, "cache-control"), Some("no-cache"));
        assert_eq!(header(head, "proxy-authorization"), None);
    }
}

#[tokio::test]
async fn a_nonce_that_was_too_old_is_no_wrong_password() {
    let stale = "WWW-Authenticate: Digest realm=\"r\", nonce=\"second\", stale=true\r\n";
    let device = Server::answering(move |head| match header(head, "authorization") {
        Some(answer) if answer.contains("\"second\"") => ok(),
        Some(_) => status("401 Unauthorized", stale),
        None => challenge(),
    })
    .await;
    assert_eq!(call(&device).await, Ok(()));
    assert_eq!(device.requests(), 3);
    // It cannot go on like that for ever.
    let device = Server::answering(move |_| status("401 Unauthorized", stale)).await;
    assert_eq!(call(&device).await, Err(HttpError::Unauthorized));
    assert_eq!(device.requests(), 3);
}

#[tokio::test]
async fn all_credentials_are_tried_in_their_order() {
    let device = Server::answering(|head| {
        if is_authorized(head) {
            ok()
        } else {
            challenge()
        }
    })
    .await;
    let wrong = Credentials {
        username: "acs".into(),
        password: "before".into(),
    };
    let all = [wrong.clone(), own().remove(0)];
    let time = Duration::from_secs(5);
    assert_eq!(call_with(&device, &all, None, time).await, Ok(()));
    assert_eq!(device.requests(), 3);
    let refused = call_with(&device, &[wrong], None, time).await;
    assert_eq!(refused, Err(HttpError::Unauthorized));
    let refused = call_with(&device, &[], None, time).await;
    assert_eq!(refused, Err(HttpError::NoCredentials));
}

#[tokio::test]
async fn answers_that_say_no() {
    for (line, headers, expected) in [
        (
            "503 Service Unavailable",
            "Retry-After: 5\r\n",
            HttpError::Busy,
        ),
        ("403 Forbidden", "", HttpError::Status(403)),
        ("404 Not Found", "", HttpError::Status(404)),
        (
            "302 Found",
            "Location: http://169.254.169.254/\r\n",
            HttpError::Status(302),
        ),
        // Nobody has asked through a proxy.
        (
            "407 Proxy Authentication Required",
            "Proxy-Authenticate: Basic realm=x\r\n",
            HttpError::Status(407),
        ),
        (
            "401 Unauthorized",
            "WWW-Authenticate: Basic realm=x\r\n",
            HttpError::Challenge("Basic".into()),
        ),
        (
            "401 Unauthorized",
            "WWW-Authenticate: Bearer, NTLM\r\n",
            HttpError::Challenge("Bearer, NTLM".into()),
        ),
        ("401 Unauthorized", "", HttpError::Challenge("no".into())),
    ] {
        let device = Server::answering(move |_| status(line, headers)).await;
        assert_eq!(call(&device).await, Err(expected), "{line}");
        assert_eq!(device.requests(), 1, "{line}");
    }
    for accepted in ["200 OK", "204 No Content"] {
        let device = Server::answering(move |_| status(accepted, "")).await;
        assert_eq!(call(&device).await, Ok(()), "{accepted}");
    }
}

#[tokio::test]
async fn it_leaves_from_the_address_that_was_published() {
    let (told, mut came) = tokio::sync::mpsc::unbounded_channel();
    let device = Server::start(move |mut stream, _| {
        let from = stream.peer_addr().unwrap().ip();
        told.send(from).unwrap();
        Box::pin(async move {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(&ok().0).await;
        })
    })
    .await;
    let from = [
        "2001:db8::1".parse().unwrap(),
        "127.0.0.77".parse().unwrap(),
    ];
    let called = request(&Call {
        target: &device.target,
        credentials: &[],
        leniency: Leniency::default(),
        proxy: None,
        from: &from,
        time: Duration::from_secs(5),
        counters: &Counters::default(),
    })
    .await;
    assert_eq!(called, Ok(()));
    assert_eq!(came.recv().await, Some(from[1]));
    // Not an address of this host.
    let foreign = ["192.0.2.77".parse().unwrap()];
    let failed = request(&Call {
        target: &device.target,
        credentials: &[],
        leniency: Leniency::default(),
        proxy: None,
        from: &foreign,
        time: Duration::from_secs(5),
        counters: &Counters::default(),
    })
    .await;
    assert!(
        matches!(failed, Err(HttpError::Connect { .. })),
        "{failed:?}"
    );
}
