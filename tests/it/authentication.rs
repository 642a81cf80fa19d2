//! Devices show who they are: passwords and certificates, factory credentials, and who is refused.

use std::time::Duration;

use cpe_sim::{CpeConfig, Oddity, run_session};
use cwmp::authentication::{Algorithm, Challenge, DigestChallenge, Qop, parse_challenges};
use patchbay::config::{Config, FactoryCredentials, Require, Scheme};
use serde_json::{Value, json};

use crate::harness::{Answer, Host, Setup, Sim, http, inform, rpcs};
use crate::kept::{Kept, cookie, header};
use crate::tls::Files;

fn factory(username: Option<&str>, password: &str) -> FactoryCredentials {
    FactoryCredentials {
        username: username.map(str::to_owned),
        password: password.to_owned(),
        manufacturer: None,
        oui: None,
        product_class: None,
    }
}

fn passwords(config: &mut Config) {
    let authentication = &mut config.instance.device_authentication;
    authentication.require = Require::Password;
    authentication.factory_credentials = vec![factory(Some("acs"), "factory")];
}

/// A host that asks for passwords, and a device that it expects.
async fn asking(change: impl FnOnce(&mut Config) + 'static) -> Host {
    let setup = Setup::new().config(passwords).config(change);
    let host = setup.start().await;
    expect(&host, "1", "name 1", "secret").await;
    host
}

async fn expect(host: &Host, serial: &str, username: &str, password: &str) {
    let path = format!("/v1/devices/00AABB-Box-{serial}/credentials");
    let body = json!({ "username": username, "password": password });
    assert_eq!(host.api("PUT", &path, Some(body)).await.0, 204);
}

async fn post(host: &Host, serial: &str, authorization: &str) -> Answer {
    let headers = match authorization {
        "" => String::new(),
        value => format!("Authorization: {value}\r\n"),
    };
    let body = inform(serial, &["2 PERIODIC"]);
    http(host.cwmp, "POST", "/", &headers, body.as_bytes()).await
}

fn challenges(answer: &Answer) -> Vec<Challenge> {
    assert_eq!(answer.status, 401, "{answer:?}");
    let lines = answer.head.lines();
    let values = lines.filter_map(|line| line.strip_prefix("Www-Authenticate: "));
    parse_challenges(values)
}

async fn digest(host: &Host, algorithm: Algorithm) -> DigestChallenge {
    let answer = post(host, "1", "").await;
    let found = challenges(&answer)
        .into_iter()
        .find_map(|challenge| match challenge {
            Challenge::Digest(digest) if digest.algorithm == Some(algorithm) => Some(digest),
            _ => None,
        });
    found.expect("such a challenge")
}

fn respond(challenge: &DigestChallenge, password: &str, cnonce: &str, nc: u32) -> String {
    challenge.respond("POST", "/", "name 1", password, cnonce, nc)
}

async fn last_refusal(host: &Host) -> Value {
    host.get("/v1/refusals").await["items"][0].clone()
}

#[tokio::test]
async fn the_challenges_are_offered_in_their_order_each_in_a_header_of_its_own() {
    let host = asking(|_| ()).await;
    let mut device = Kept::open(host.cwmp).await;
    let head = "POST / HTTP/1.1\r\nHost: acs\r\n";
    let body = inform("1", &["2 PERIODIC"]);
    let asked = device.request(head, body.as_bytes()).await;
    assert_eq!(header(&asked, "connection").unwrap(), "keep-alive");
    let algorithms: Vec<_> = challenges(&asked)
        .into_iter()
        .map(|challenge| match challenge {
            Challenge::Digest(digest) => {
                assert_eq!(digest.qop, Some(Qop::Auth));
                digest.algorithm.unwrap()
            }
            other => panic!("{other:?}"),
        })
        .collect();
    // No Basic where others could read it.
    assert_eq!(algorithms, [Algorithm::Sha256, Algorithm::Md5]);
    assert!(!asked.text().contains("name 1"));
    assert_eq!(last_refusal(&host).await["why"], "no-credentials");
    assert_eq!(
        host.get("/v1/status").await["counters"]["requests_refused"],
        0
    );
    host.stop().await;
}

#[tokio::test]
async fn every_kind_of_digest_is_taken_once() {
    let host = asking(|c| c.instance.device_authentication.digest_without_qop = true).await;
    for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
        for session in [false, true] {
            let mut challenge = digest(&host, algorithm).await;
            challenge.algorithm = Some(match (algorithm, session) {
                (Algorithm::Md5, true) => Algorithm::Md5Sess,
                (Algorithm::Sha256, true) => Algorithm::Sha256Sess,
                _ => algorithm,
            });
            let first = respond(&challenge, "secret", "c", 1);
            assert_eq!(post(&host, "1", &first).await.status, 200, "{first}");
            let again = post(&host, "1", &first).await;
            assert_eq!(again.status, 401, "a proof is good once");
            assert!(again.head.contains("stale=true"), "{again:?}");
            let next = respond(&challenge, "secret", "c", 2);
            assert_eq!(post(&host, "1", &next).await.status, 200);
        }
    }
    // No algorithm named, no qop: RFC 2069.
    let mut old = digest(&host, Algorithm::Md5).await;
    (old.algorithm, old.qop) = (None, None);
    let answer = respond(&old, "secret", "", 1);
    assert_eq!(post(&host, "1", &answer).await.status, 200, "{answer}");
    // Asked for nothing any more, and no refusal is left of it.
    let refusals = host.get("/v1/refusals").await;
    assert_eq!(refusals["items"], json!([]), "{refusals}");
    host.stop().await;
}

#[tokio::test]
async fn b6_b11_digests_as_devices_write_them() {
    let host = asking(|_| ()).await;
    let challenge = digest(&host, Algorithm::Md5).await;
    let plain = respond(&challenge, "secret", "c", 1);
    let quoted = plain
        .replace("qop=auth", "qop=\"auth\"")
        .replace("=MD5", "=\"MD5\"");
    assert_eq!(post(&host, "1", &quoted).await.status, 200, "{quoted}");
    // The count begins anew with a new connection.
    let anew = respond(&challenge, "secret", "another", 1);
    let spaced = anew.replace(", ", " ,  ").replace("Digest", "digest");
    assert_eq!(post(&host, "1", &spaced).await.status, 200, "{spaced}");
    for garbage in [
        "",
        "Digest",
        "Digest ,,,=\"",
        "Basic !!!",
        "Bearer x",
        "Digest username=\"a b\"",
    ] {
        let headers = format!("Authorization: {garbage}\r\n");
        let body = inform("1", &["2 PERIODIC"]);
        let answer = http(host.cwmp, "POST", "/", &headers, body.as_bytes()).await;
        assert_eq!(answer.status, 401, "{garbage:?}");
    }
    host.stop().await;
}

#[tokio::test]
async fn b6_b11_the_simulated_devices_log_in_with_their_oddities() {
    let host = asking(|c| c.instance.device_authentication.basic_without_tls = true).await;
    let kinds: [&[Oddity]; 6] = [
        &[],
        &[Oddity::DigestMd5Only],
        &[Oddity::DigestQuoted],
        &[Oddity::DigestQuoted, Oddity::DigestMd5Only],
        &[Oddity::BasicUnasked],
        &[
            Oddity::ConnectionPerPost,
            Oddity::CookieIgnored,
            Oddity::GzipBody,
        ],
    ];
    for (number, oddities) in kinds.into_iter().enumerate() {
        let mut config = CpeConfig::tr098(&format!("S{number}"), &host.url());
        config = config.acs_login("acs", "factory");
        config = oddities
            .iter()
            .fold(config, |config, oddity| config.with(*oddity));
        let mut sim = Sim::new(config);
        if oddities.contains(&Oddity::CookieIgnored) {
            // Nobody knows yet whose POSTs these are.
            assert!(run_session(&mut sim.cpe, &sim.options).await.is_err());
        }
        let given = sim.session().await;
        assert_eq!(rpcs(&given), ["SetParameterValues"], "{oddities:?}");
        let name = format!("{}/credentials", sim.at());
        assert_eq!(host.get(&name).await["state"], "expected");
        for _ in 0..2 {
            sim.later(Duration::from_secs(60));
            assert_eq!(rpcs(&sim.session().await), [""; 0], "{oddities:?}");
        }
        assert_eq!(host.get(&name).await["state"], "shown");
    }
    host.stop().await;
}

#[tokio::test]
async fn basic_is_taken_only_where_it_is_offered() {
    // "name 1:secret"
    const BASIC: &str = "Basic bmFtZSAxOnNlY3JldA==";
    let host = asking(|_| ()).await;
    assert_eq!(post(&host, "1", BASIC).await.status, 401);
    assert!(
        last_refusal(&host).await["reason"]
            .as_str()
            .unwrap()
            .contains("TLS")
    );
    host.stop().await;
    let host = asking(|c| {
        c.cwmp.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        c.instance.device_authentication.schemes = vec![Scheme::Basic];
    })
    .await;
    assert_eq!(
        post(&host, "1", "").await.status,
        403,
        "there is nothing to offer"
    );
    let headers = format!("X-Forwarded-Proto: https\r\nAuthorization: {BASIC}\r\n");
    let body = inform("1", &["2 PERIODIC"]);
    let answer = http(host.cwmp, "POST", "/", &headers, body.as_bytes()).await;
    assert_eq!(answer.status, 200, "the trusted proxy says that it was TLS");
    host.stop().await;
}

#[tokio::test]
async fn a_device_is_only_who_its_credentials_say() {
    let host = asking(|_| ()).await;
    expect(&host, "2", "name 2", "secret 2").await;
    let refused = async |serial: &str, username: &str, password: &str| {
        let challenge = digest(&host, Algorithm::Sha256).await;
        let answer = challenge.respond("POST", "/", username, password, "c", 1);
        let answer = post(&host, serial, &answer).await;
        assert_eq!(answer.status, 401, "{answer:?}");
        let refusal = last_refusal(&host).await;
        assert_eq!(refusal["device"], format!("00AABB-Box-{serial}"));
        assert_eq!(refusal["username"], username);
        let (why, reason) = (&refusal["why"], &refusal["reason"]);
        format!("{}: {}", why.as_str().unwrap(), reason.as_str().unwrap())
    };
    assert_eq!(
        refused("2", "name 1", "secret").await,
        "wrong-device: the user name is not that of the device, which is \"name 2\""
    );
    assert_eq!(
        refused("2", "name 2", "secret").await,
        "wrong-credentials: the password is wrong"
    );
    assert_eq!(
        refused("3", "name 1", "secret").await,
        "wrong-credentials: the device has no credentials of its own, and no factory credentials are these"
    );
    // What was made up leaves no device behind.
    assert_eq!(
        host.api("GET", "/v1/devices/00AABB-Box-3", None).await.0,
        404
    );
    host.stop().await;
}

#[tokio::test]
async fn factory_credentials_are_taken_until_the_device_has_its_own() {
    let host = asking(|_| ()).await;
    let config = CpeConfig::tr181("F 1", &host.url()).acs_login("acs", "factory");
    let mut sim = Sim::new(config.clone());
    let at = format!("{}/credentials", sim.at());
    sim.session().await;
    let given = host.get(&at).await;
    assert_eq!(
        (&given["state"], &given["pending"]),
        (&"expected".into(), &0.into())
    );
    assert!(
        given["username"].as_str().unwrap().ends_with("-F%201"),
        "{given}"
    );
    assert_ne!(sim.value("ManagementServer.Password"), "factory");
    sim.later(Duration::from_secs(60));
    sim.session().await;
    // From now on the factory's are refused: somebody else with them is not this device.
    let mut other = Sim::new(config);
    assert!(run_session(&mut other.cpe, &other.options).await.is_err());
    let refusal = last_refusal(&host).await;
    assert_eq!(
        (&refusal["why"], &refusal["username"]),
        (&"factory-spent".into(), &"acs".into())
    );
    // After a reset of the device the operator forgets what it had.
    assert_eq!(host.api("DELETE", &at, None).await.0, 204);
    other.later(Duration::from_secs(60));
    assert_eq!(rpcs(&other.session().await), ["SetParameterValues"]);
    let shown = host.get(&sim.at()).await;
    assert!(
        !shown
            .to_string()
            .contains(&other.value("ManagementServer.Password")),
        "{shown}"
    );
    host.stop().await;
}

/// Whichever message is lost when the device is given credentials, it can log in afterwards.
#[tokio::test]
async fn credentials_whose_answer_was_lost_are_taken() {
    let host = asking(|_| ()).await;
    for (number, posts) in [(1, 2), (2, 3)] {
        let config =
            CpeConfig::tr098(&format!("L{number}"), &host.url()).acs_login("acs", "factory");
        let mut sim = Sim::new(config);
        // By hand: 401, Inform, and an empty POST, which is answered with the credentials.
        let now = sim.now();
        let mut connection = Kept::open(host.cwmp).await;
        let mut body = sim.cpe.begin_session(now);
        let (status, _, _) = connection
            .post(None, &String::from_utf8(body.clone()).unwrap())
            .await;
        assert_eq!(status, 401);
        let challenge = digest(&host, Algorithm::Md5).await;
        let mut last = String::new();
        for nc in 1..=posts {
            let line = challenge.respond("POST", "/", "acs", "factory", "c", nc);
            let headers = format!("Authorization: {line}\r\n");
            let text = String::from_utf8(body.clone()).unwrap();
            let (status, _, answer) = connection.post_with(&headers, &text).await;
            assert!(status == 200 || status == 204, "{status} {answer}");
            if nc < posts {
                match sim.cpe.receive(answer.as_bytes(), now).unwrap() {
                    cpe_sim::Step::Post(next) => body = next,
                    other => panic!("{other:?}"),
                }
            }
            last = answer;
        }
        assert_eq!(last.contains("SetParameterValues"), posts == 2, "{last}");
        // The connection breaks: the answer of the ACS, or of the device, is lost.
        sim.hang_up();
        drop(connection);
        sim.later(Duration::from_secs(60));
        let next = sim.session().await;
        let again: &[&str] = if posts == 2 {
            &["SetParameterValues"]
        } else {
            &[]
        };
        assert_eq!(rpcs(&next), again);
        sim.later(Duration::from_secs(60));
        sim.session().await;
        assert_eq!(
            host.get(&format!("{}/credentials", sim.at())).await["state"],
            "shown"
        );
    }
    host.stop().await;
}

#[tokio::test]
async fn a_task_that_sets_the_password_changes_what_is_expected() {
    let host = asking(|_| ()).await;
    let config = CpeConfig::tr181("T1", &host.url()).acs_login("acs", "factory");
    let mut sim = Sim::new(config);
    sim.session().await;
    let values = [("Device.ManagementServer.Password", "chosen")];
    let values = values.map(|(name, value)| json!({ "path": name, "value": value }));
    let operation = json!({ "op": "set", "parameters": values });
    let body = json!({ "operation": operation });
    host.post(&format!("{}/tasks", sim.at()), body).await;
    for _ in 0..2 {
        sim.later(Duration::from_secs(60));
        sim.session().await;
    }
    assert_eq!(sim.value("ManagementServer.Password"), "chosen");
    assert_eq!(
        host.get(&format!("{}/credentials", sim.at())).await["pending"],
        0
    );
    host.stop().await;
}

#[tokio::test]
async fn factory_credentials_may_be_narrowed_and_named_after_the_device() {
    let host = asking(|config| {
        let narrow = FactoryCredentials {
            oui: Some("00aabb".into()),
            product_class: Some("Other".into()),
            ..factory(Some("other"), "pw")
        };
        let named = factory(None, "pw");
        config.instance.device_authentication.factory_credentials = vec![narrow, named];
    })
    .await;
    for (username, status) in [
        ("other", 401),
        ("00AABB-7", 200),
        ("00aabb-box-7", 200),
        ("00AABB-77", 401),
    ] {
        let challenge = digest(&host, Algorithm::Md5).await;
        let line = challenge.respond("POST", "/", username, "pw", "c", 1);
        assert_eq!(post(&host, "7", &line).await.status, status, "{username}");
    }
    host.stop().await;
}

#[tokio::test]
async fn who_fails_too_often_has_to_wait_and_others_do_not() {
    let host = asking(|c| c.instance.device_authentication.failures_per_minute_max = 3).await;
    let challenge = digest(&host, Algorithm::Md5).await;
    for nc in 1..=3 {
        let wrong = respond(&challenge, "guess", "c", nc);
        assert_eq!(post(&host, "1", &wrong).await.status, 401);
    }
    let right = respond(&challenge, "secret", "c", 9);
    let waits = post(&host, "1", &right).await;
    assert_eq!(waits.status, 429, "{waits:?}");
    let seconds: u64 = header(&waits, "retry-after").unwrap().parse().unwrap();
    assert!((1..=21).contains(&seconds), "{seconds}");
    assert_eq!(last_refusal(&host).await["why"], "too-many-failures");
    // Who asks for a challenge is not guessing.
    assert_eq!(post(&host, "1", "").await.status, 401);
    host.stop().await;
}

#[tokio::test]
async fn a_session_goes_on_where_it_was_begun_or_with_credentials() {
    let host = asking(|c| c.cwmp.trusted_proxies = vec!["127.0.0.1".parse().unwrap()]).await;
    let challenge = digest(&host, Algorithm::Md5).await;
    let from = async |address: &str, cookie: &str, line: &str, body: &str| {
        let mut headers = format!("X-Forwarded-For: {address}\r\nCookie: {cookie}\r\n");
        if !line.is_empty() {
            headers.push_str(&format!("Authorization: {line}\r\n"));
        }
        http(host.cwmp, "POST", "/", &headers, body.as_bytes()).await
    };
    let body = inform("1", &["2 PERIODIC"]);
    let line = respond(&challenge, "secret", "c", 1);
    let begun = from("203.0.113.1", "", &line, &body).await;
    assert_eq!(begun.status, 200);
    let cookie = cookie(&begun).unwrap();
    // The cookie is not enough for somebody else.
    assert_eq!(from("203.0.113.2", &cookie, "", "").await.status, 401);
    let wrong = respond(&challenge, "guess", "c", 2);
    assert_eq!(from("203.0.113.2", &cookie, &wrong, "").await.status, 401);
    let right = respond(&challenge, "secret", "c", 3);
    assert_eq!(from("203.0.113.2", &cookie, &right, "").await.status, 204);
    host.stop().await;
}

#[tokio::test]
async fn certificates_name_the_device() {
    let files = Files::new();
    let setup = files.setup().config(|config| {
        config.instance.device_authentication.require = Require::Certificate;
    });
    let host = setup.start().await;
    let body = inform("1", &["2 PERIODIC"]);
    for (common_name, uris, status) in [
        ("00AABB-Box-1", &[][..], 200),
        ("00aabb-1", &[], 200),
        ("Router", &["urn:dslforum-org:cpe:00AABB-Box-1"][..], 200),
        ("00AABB-Box-12", &[], 403),
        ("Router", &["urn:other:00AABB-Box-1"], 403),
    ] {
        let client = files.authority.sign(common_name, uris);
        let mut device = files.connect(&host, Some(&client)).await.unwrap();
        let (got, _, answer) = device.post(None, &body).await;
        assert_eq!(got, status, "{common_name} {uris:?}: {answer}");
    }
    assert_eq!(last_refusal(&host).await["why"], "wrong-device");
    let mut without = files.connect(&host, None).await.unwrap();
    assert_eq!(without.post(None, &body).await.0, 403);
    assert_eq!(
        http(host.cwmp, "POST", "/", "", body.as_bytes())
            .await
            .status,
        403
    );
    host.stop().await;
}

#[tokio::test]
async fn a_certificate_or_a_password() {
    let files = Files::new();
    let setup = files.setup().config(passwords).config(|config| {
        config.instance.device_authentication.require = Require::PasswordOrCertificate;
    });
    let host = setup.start().await;
    expect(&host, "1", "name 1", "secret").await;
    let body = inform("1", &["2 PERIODIC"]);
    let own = files.authority.sign("00AABB-1", &[]);
    let mut device = files.connect(&host, Some(&own)).await.unwrap();
    assert_eq!(device.post(None, &body).await.0, 200);
    // A certificate that all of a kind share says nothing of the one; its password does.
    let shared = files.authority.sign("Any router", &[]);
    let mut device = files.connect(&host, Some(&shared)).await.unwrap();
    assert_eq!(device.post(None, &body).await.0, 401);
    let basic = "Authorization: Basic bmFtZSAxOnNlY3JldA==\r\n";
    assert_eq!(device.post_with(basic, &body).await.0, 200);
    host.stop().await;
}

#[tokio::test]
async fn curl_logs_in_with_digest() {
    let body = inform("1", &["2 PERIODIC"]);
    for schemes in [vec![Scheme::DigestMd5], vec![Scheme::DigestSha256]] {
        let host = asking(move |c| c.instance.device_authentication.schemes = schemes).await;
        let (url, body) = (host.url(), body.clone());
        let run = move || {
            std::process::Command::new("curl")
                .args([
                    "--silent",
                    "--digest",
                    "--user",
                    "name 1:secret",
                    "--data-binary",
                ])
                .args([&body, &url])
                .output()
                .expect("curl is needed for this test")
        };
        let output = tokio::task::spawn_blocking(run).await.unwrap();
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        // It asks for the challenge with an empty POST, and leaves no refusal behind.
        assert!(answer.contains("InformResponse"), "{answer}");
        assert_eq!(host.get("/v1/refusals").await["items"], json!([]));
        host.stop().await;
    }
}

#[tokio::test]
async fn credentials_in_the_api() {
    let host = asking(|_| ()).await;
    let path = "/v1/devices/00AABB-Box-1/credentials";
    let shown = host.get(path).await;
    assert_eq!(
        shown,
        json!({ "state": "shown", "username": "name 1", "pending": 0 })
    );
    let device = host.get("/v1/devices/00AABB-Box-1").await;
    assert_eq!(
        (&device["serial_number"], &device["first_contact"]),
        (&"1".into(), &Value::Null)
    );
    for (path, body, says) in [
        (
            "/v1/devices/nonsense/credentials",
            json!({ "password": "x" }),
            "OUI-ProductClass",
        ),
        (path, json!({ "password": "" }), "1 to 256"),
        (
            path,
            json!({ "username": "a\n", "password": "x" }),
            "username",
        ),
    ] {
        let (status, answer) = host.api("PUT", path, Some(body)).await;
        assert_eq!(status, 400, "{answer}");
        assert!(answer.to_string().contains(says), "{answer}");
    }
    let (status, _) = host
        .api("PUT", path, Some(json!({ "password": "x" })))
        .await;
    assert_eq!(
        (status, &host.get(path).await["username"]),
        (204, &"00AABB-Box-1".into())
    );
    assert_eq!(host.api("DELETE", path, None).await.0, 204);
    assert_eq!(host.get(path).await["state"], "none");
    host.stop().await;
}
