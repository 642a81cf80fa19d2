use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

fn digest(header: &str) -> DigestChallenge {
    match parse_challenges([header]).remove(0) {
        Challenge::Digest(digest) => digest,
        other => panic!("{other:?}"),
    }
}

fn response(header: &str) -> DigestResponse {
    match Authorization::parse(header).unwrap() {
        Authorization::Digest(response) => response,
        Authorization::Basic { .. } => panic!("{header}"),
    }
}

#[test]
fn rfc_2617_example() {
    let challenge = digest(
        r#"Digest realm="testrealm@host.com", qop="auth,auth-int",
           nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41""#,
    );
    let header = challenge.respond(
        "GET",
        "/dir/index.html",
        "Mufasa",
        "Circle Of Life",
        "0a4f113b",
        1,
    );
    assert_eq!(
        response(&header).response,
        "6629fae49393a05397450978507c4ef1"
    );
    expect![[r#"Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html", response="6629fae49393a05397450978507c4ef1", qop=auth, nc=00000001, cnonce="0a4f113b", opaque="5ccc069c403ebaf9f0171e9517f40e41""#]].assert_eq(&header);
}

#[test]
fn rfc_7616_example_in_both_algorithms() {
    let challenges = parse_challenges([
        r#"Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256,
           nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
           opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#,
        r#"Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=MD5,
           nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
           opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#,
    ]);
    let proofs: Vec<String> = challenges
        .iter()
        .map(|challenge| {
            let Challenge::Digest(digest) = challenge else {
                panic!("{challenge:?}")
            };
            let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
            let header = digest.respond(
                "GET",
                "/dir/index.html",
                "Mufasa",
                "Circle of Life",
                cnonce,
                1,
            );
            response(&header).response
        })
        .collect();
    assert_eq!(
        proofs,
        [
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
            "8ca523f5e9506fed4657c9700eebdbec"
        ]
    );
}

/// Each challenge answered, and the answer verified.
fn challenges(headers: &[&str], expected: Expect) {
    let mut lines = String::new();
    for challenge in parse_challenges(headers.iter().copied()) {
        match challenge {
            Challenge::Digest(digest) => {
                let header = digest.respond("GET", "/cr?a=b", "user", "pass", "c", 255);
                let answer = response(&header);
                assert!(answer.verify("GET", "pass") || digest.qop == Some(Qop::AuthInt));
                assert!(!answer.verify("GET", "Pass"));
                assert!(!answer.verify("POST", "pass"));
                let stale = if digest.stale { " stale" } else { "" };
                lines.push_str(&format!("{:?}{stale}\n  {header}\n", digest.realm));
            }
            other => lines.push_str(&format!("{other:?}\n")),
        }
    }
    expected.assert_eq(&lines);
}

#[test]
fn challenges_of_odd_servers() {
    // Without qop: RFC 2069.
    challenges(
        &[r#"Digest realm="r", nonce="n""#],
        expect![[r#"
        "r"
          Digest username="user", realm="r", nonce="n", uri="/cr?a=b", response="f7938f2d74341e94dff87eb9727ef199"
    "#]],
    );
    challenges(
        &[r#"DIGEST Realm=r, NONCE=n, QOP="AUTH", algorithm="md5", stale=TRUE,"#],
        expect![[r#"
            "r" stale
              Digest username="user", realm="r", nonce="n", uri="/cr?a=b", algorithm=MD5, response="29b5069b670e5f08288f0e8f5c19dc7b", qop=auth, nc=000000ff, cnonce="c"
        "#]],
    );
    challenges(
        &[r#"Digest realm="r", nonce="n", qop="auth-int", opaque="""#],
        expect![[r#"
            "r"
              Digest username="user", realm="r", nonce="n", uri="/cr?a=b", response="39560baaaeb17fbb0060c41cc5b724ca", qop=auth-int, nc=000000ff, cnonce="c", opaque=""
        "#]],
    );
    challenges(
        &[r#"Digest realm="r", nonce="n", algorithm=MD5-sess, qop=auth"#],
        expect![[r#"
            "r"
              Digest username="user", realm="r", nonce="n", uri="/cr?a=b", algorithm=MD5-sess, response="d2c4ae41379d73ed20a0338b1e399f1a", qop=auth, nc=000000ff, cnonce="c"
        "#]],
    );
    challenges(
        &[r#"Digest realm="r", nonce="n", algorithm=SHA-256-sess"#],
        expect![[r#"
            "r"
              Digest username="user", realm="r", nonce="n", uri="/cr?a=b", algorithm=SHA-256-sess, response="dc3de0eff04931a01a0a968202d788734131986300ea902a2b8f44eed5107e38", cnonce="c"
        "#]],
    );
    challenges(
        &[
            r#"Basic realm="a b", Digest realm="c \"d\"", nonce="n", qop="auth""#,
            "Digest nonce=n, algorithm=SHA-512-256",
            "Digest realm=r",
            "Negotiate",
        ],
        expect![[r#"
            Basic { realm: "a b" }
            "c \"d\""
              Digest username="user", realm="c \"d\"", nonce="n", uri="/cr?a=b", response="22ef64f5ecebf9e7490ce497e1489b9a", qop=auth, nc=000000ff, cnonce="c"
            Other("Digest")
            Other("Digest")
            Other("Negotiate")
        "#]],
    );
}

#[test]
fn the_first_digest_is_taken() {
    let all = parse_challenges([
        "Basic realm=a, Digest realm=b, nonce=1, algorithm=NEW",
        "Digest realm=c, nonce=2, Digest realm=d, nonce=3",
    ]);
    assert_eq!(Challenge::first_digest(&all).unwrap().realm, "c");
    assert_eq!(Challenge::first_digest(&[]), None);
}

#[test]
fn our_challenge_is_understood() {
    let mut challenge = DigestChallenge::new("Patch\"bay", "n1", Algorithm::Md5);
    challenge.stale = true;
    let header = challenge.to_header();
    expect![[r#"Digest realm="Patch\"bay", nonce="n1", qop="auth", algorithm=MD5, stale=true"#]]
        .assert_eq(&header);
    assert_eq!(digest(&header), challenge);
}

/// A Broadcom client quotes what should not be quoted.
#[test]
fn quoted_qop_algorithm_and_nc() {
    let answer = response(
        r#"Digest username="00005E-Box-1", realm="ACS", nonce="n", uri="/",
           algorithm="MD5", qop="auth", nc="00000001", cnonce="c", response="RIGHT""#,
    );
    assert_eq!(answer.qop, Some(Qop::Auth));
    assert_eq!(answer.algorithm, Some(Algorithm::Md5));
    assert_eq!(answer.count(), Some(1));
    let right = DigestResponse {
        response: answer.proof("POST", "p").to_uppercase(),
        ..answer.clone()
    };
    assert!(right.verify("POST", "p"));
    assert!(!answer.verify("POST", "p"));
}

#[test]
fn auth_int_is_never_right() {
    let mut answer =
        response("Digest username=u, realm=r, nonce=n, uri=/, qop=auth-int, response=x");
    answer.response = answer.proof("POST", "p");
    assert!(!answer.verify("POST", "p"));
}

fn authorization(header: &str, expected: Expect) {
    let line = match Authorization::parse(header) {
        Ok(authorization) => format!("{authorization:?}"),
        Err(error) => error.to_string(),
    };
    expected.assert_eq(&line);
}

#[test]
fn authorizations() {
    authorization(
        "Basic dXNlcjpwYTpzcw==",
        expect![[r#"Basic { username: "user", password: "pa:ss" }"#]],
    );
    authorization(
        "basic dXNlcjpwYTpzcw",
        expect![[r#"Basic { username: "user", password: "pa:ss" }"#]],
    );
    authorization(
        "Basic dXNlcg==",
        expect!["unusable Authorization header: Basic, but no colon"],
    );
    authorization(
        "Basic ???",
        expect!["unusable Authorization header: Basic, but no base64"],
    );
    authorization(
        "Basic",
        expect!["unusable Authorization header: Basic, but no colon"],
    );
    authorization(
        "Bearer abc",
        expect!["unusable Authorization header: neither Basic nor Digest"],
    );
    authorization("", expect!["unusable Authorization header: it is empty"]);
    authorization(
        "Digest username=u",
        expect!["unusable Authorization header: Digest without nonce"],
    );
    authorization(
        "Digest username=u, nonce=n, uri=/, response=r, qop=new",
        expect!["unusable Authorization header: Digest of unknown qop"],
    );
    authorization(
        "Digest username=u, nonce=n, uri=/, response=r, algorithm=new",
        expect!["unusable Authorization header: Digest of an unknown algorithm"],
    );
    authorization(
        r#"Digest username="a b", nonce=n, uri="/x, y", response=r, qop="""#,
        expect![[
            r#"Digest(DigestResponse { username: "a b", realm: "", nonce: "n", uri: "/x, y", response: "r", algorithm: None, qop: None, cnonce: "", nc: "", opaque: None })"#
        ]],
    );
}

#[test]
fn a_header_cannot_be_split() {
    let challenge = DigestChallenge::new("r", "n", Algorithm::Md5);
    let header = challenge.respond("GET", "/", "u\r\nX-Evil: 1", "p", "c", 1);
    assert!(!header.contains(['\r', '\n']));
}

proptest! {
    #[test]
    fn no_header_panics(header in ".{0,200}", words in "(Digest|Basic|[a-z]{1,5}|[ ,=\"\\\\]){0,40}") {
        parse_challenges([header.as_str(), words.as_str()]);
        let _ = Authorization::parse(&header);
        let _ = Authorization::parse(&words);
    }

    #[test]
    fn what_is_answered_is_verified(
        realm in "[^\\p{Cc}]{0,20}",
        nonce in "[^\\p{Cc}]{0,20}",
        username in "[^\\p{Cc}]{0,20}",
        password in ".{0,20}",
        cnonce in "[^\\p{Cc}]{0,20}",
        nc in any::<u32>(),
    ) {
        for algorithm in [
            Algorithm::Md5,
            Algorithm::Md5Sess,
            Algorithm::Sha256,
            Algorithm::Sha256Sess,
        ] {
            let challenge = DigestChallenge::new(&realm, &nonce, algorithm);
            prop_assert_eq!(&digest(&challenge.to_header()), &challenge);
            let header = challenge.respond("GET", "/a", &username, &password, &cnonce, nc);
            let answer = response(&header);
            prop_assert!(answer.verify("GET", &password));
            prop_assert_eq!(answer.username, username.as_str());
            prop_assert_eq!(answer.nc, format!("{nc:08x}"));
        }
    }
}
