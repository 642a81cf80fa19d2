//! People who log in at an OpenID Connect provider.

mod provider;

use patchbay::config::{Oidc, OidcRole};
use serde_json::{Value, json};

use self::provider::{CLIENT, Provider, SECRET, Signed};
use crate::harness::{Answer, Host, Setup, http};

/// Where people find the host; the test looks at the path alone.
const URL: &str = "https://acs.example";

async fn host(provider: &Provider) -> Host {
    let role = |value: &str, role: &str, instance: Option<&str>| OidcRole {
        claim: None,
        value: value.into(),
        role: role.into(),
        instance: instance.map(str::to_owned),
    };
    let oidc = Oidc {
        issuer: provider.issuer(),
        client_id: CLIENT.into(),
        client_secret: Some(SECRET.into()),
        scopes: vec!["email".into()],
        name_claim: "email".into(),
        groups_claim: "groups".into(),
        allowed_domains: vec!["example.net".into()],
        allowed_groups: Vec::new(),
        roles: vec![
            role("acs", "operator", Some("default")),
            role("boss", "admin", None),
            role("lost", "a-role-that-is-gone", None),
        ],
        ca: None,
    };
    let setup = Setup::new().config(move |config| {
        config.api.url = Some(URL.into());
        config.api.oidc = Some(oidc);
    });
    setup.start().await
}

/// The value of a header of an answer.
fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    let mut lines = answer.head.lines().filter_map(|line| line.split_once(": "));
    lines
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// The cookie that an answer sets, as it is sent back.
fn cookie(answer: &Answer) -> String {
    let set = header(answer, "set-cookie").unwrap();
    assert!(
        set.contains("HttpOnly") && set.contains("SameSite=Lax") && set.contains("Secure"),
        "{set}"
    );
    format!("Cookie: {}\r\n", set.split(';').next().unwrap())
}

/// As a browser: to the provider and back. The cookie of the login, and the path of the callback.
async fn to_provider_and_back(host: &Host, provider: &Provider, back: &str) -> (String, String) {
    let begun = http(host.api, "GET", &format!("/v1/login/oidc{back}"), "", b"").await;
    assert_eq!(begun.status, 303, "{begun:?}");
    let to = header(&begun, "location").unwrap();
    let path = to.strip_prefix(&provider.issuer()).unwrap();
    let sent_back = http(provider.address, "GET", path, "", b"").await;
    let to = header(&sent_back, "location").unwrap();
    (cookie(&begun), to.strip_prefix(URL).unwrap().to_owned())
}

async fn arrive(host: &Host, cookie: &str, callback: &str) -> Answer {
    http(host.api, "GET", callback, cookie, b"").await
}

async fn log_in(host: &Host, provider: &Provider) -> Answer {
    let (cookie, callback) = to_provider_and_back(host, provider, "").await;
    arrive(host, &cookie, &callback).await
}

async fn me(host: &Host, cookie: &str) -> (u16, Value) {
    let answer = http(host.api, "GET", "/v1/me", cookie, b"").await;
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_logs_in_at_the_provider() {
    let provider = Provider::start().await;
    let host = host(&provider).await;
    for signed in [Signed::Rs256, Signed::Es256] {
        provider.plan(|plan| plan.signed = signed);
        let (cookie_of_login, callback) =
            to_provider_and_back(&host, &provider, "?back=/docs").await;
        let answer = arrive(&host, &cookie_of_login, &callback).await;
        assert_eq!(answer.status, 303, "{signed:?}: {answer:?}");
        assert_eq!(header(&answer, "location"), Some("/docs"));
        let session = cookie(&answer);
        let (status, me) = me(&host, &session).await;
        assert_eq!(status, 200);
        assert_eq!(me["name"], "oidc:anna@example.net");
        assert_eq!(
            me["grants"],
            json!([{ "role": "operator", "instance": "default" }])
        );
        // The way back leads once.
        assert_eq!(arrive(&host, &cookie_of_login, &callback).await.status, 401);
        // An admin sees the session, and ends it.
        let logins = host.get("/v1/logins").await;
        assert_eq!(logins["items"][0]["subject"], "anna-1");
        let id = logins["items"][0]["id"].as_str().unwrap();
        let (status, _) = host.api("DELETE", &format!("/v1/logins/{id}"), None).await;
        assert_eq!(status, 204);
        assert_eq!(self::me(&host, &session).await.0, 401);
    }
    provider.plan(|plan| plan.claims = json!({ "groups": ["boss", "acs"] }));
    let (_, me) = me(&host, &cookie(&log_in(&host, &provider).await)).await;
    assert_eq!(me["grants"][1], json!({ "role": "admin" }));
    // Keys change; the next login finds them.
    provider.plan(|plan| plan.generation += 1);
    assert_eq!(log_in(&host, &provider).await.status, 303);
    let logins = host
        .get("/v1/audit?query=action%20=%20login_oidc_callback")
        .await;
    let last = &logins["items"][0];
    assert_eq!(
        (&last["actor"], &last["status"]),
        (&json!("oidc:anna@example.net"), &json!(303))
    );
    // The code of the provider stands in no log.
    assert_eq!(last["path"], "/v1/login/oidc/callback");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_must_not_say() {
    let provider = Provider::start().await;
    let host = host(&provider).await;
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let acs = json!(["acs"]);
    let claims = [
        (json!({ "nonce": "another", "groups": acs }), "nonce"),
        (json!({ "nonce": null, "groups": acs }), "nonce"),
        (json!({ "aud": "another", "groups": acs }), "audience"),
        (
            json!({ "aud": [CLIENT, "another"], "groups": acs }),
            "audience",
        ),
        (
            json!({ "iss": "https://login.example", "groups": acs }),
            "issuer",
        ),
        (json!({ "exp": now - 1, "groups": acs }), "expired"),
        (json!({ "groups": ["other"] }), "api.oidc.roles"),
        (json!({}), "api.oidc.roles"),
        (json!({ "groups": ["lost"] }), "has no role"),
        (
            json!({ "email": "anna@example.org", "groups": acs }),
            "example.net",
        ),
        (
            json!({ "email_verified": false, "groups": acs }),
            "verified",
        ),
        (json!({ "email": "", "groups": acs }), "name_claim"),
    ];
    for (claims, part) in claims {
        provider.plan(|plan| plan.claims = claims.clone());
        refused(&log_in(&host, &provider).await, part, &claims.to_string());
    }
    for (signed, part) in [
        (Signed::Hs256, "algorithm"),
        (Signed::None, "signature"),
        (Signed::Tampered, "signature"),
    ] {
        provider.plan(|plan| plan.signed = signed);
        refused(
            &log_in(&host, &provider).await,
            part,
            &format!("{signed:?}"),
        );
    }
    provider.plan(|plan| plan.kid = Some("unknown".into()));
    refused(&log_in(&host, &provider).await, "no matching key", "kid");
    provider.plan(|_| {});
    assert_eq!(log_in(&host, &provider).await.status, 303);
    // Persons who are not to come in are told of; what somebody may have made up is not.
    let refused = host
        .get("/v1/audit?query=action%20=%20login_oidc_callback%20and%20status%20=%20403")
        .await;
    assert_eq!(refused["items"].as_array().unwrap().len(), 6, "{refused}");
    host.stop().await;
}

fn refused(answer: &Answer, part: &str, why: &str) {
    let text = answer.text();
    assert_eq!(answer.status, 403, "{why}: {answer:?}");
    assert!(text.to_lowercase().contains(part), "{why}: {text}");
    assert_eq!(header(answer, "set-cookie"), None, "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_comes_in_by_the_way_back_alone() {
    let provider = Provider::start().await;
    let host = host(&provider).await;
    provider.plan(|_| {});
    let (cookie, callback) = to_provider_and_back(&host, &provider, "").await;
    let (other, other_callback) = to_provider_and_back(&host, &provider, "").await;
    // Without the cookie, and with the answer to somebody else's login.
    assert_eq!(arrive(&host, "", &callback).await.status, 401);
    assert_eq!(arrive(&host, &cookie, &other_callback).await.status, 401);
    // That has spent it.
    assert_eq!(arrive(&host, &cookie, &callback).await.status, 401);
    // A code that is none: PKCE or not, the provider says no.
    let state = other_callback.split("state=").nth(1).unwrap();
    let answer = arrive(
        &host,
        &other,
        &format!("/v1/login/oidc/callback?code=x&state={state}"),
    )
    .await;
    assert_eq!(answer.status, 502, "{answer:?}");
    let (cookie, callback) = to_provider_and_back(&host, &provider, "").await;
    let state = callback.split("state=").nth(1).unwrap();
    let denied = format!("/v1/login/oidc/callback?error=access_denied&state={state}");
    refused(
        &arrive(&host, &cookie, &denied).await,
        "access_denied",
        "denied",
    );
    // The way leads back to this host only.
    let (cookie, callback) = to_provider_and_back(&host, &provider, "?back=//evil.example").await;
    let answer = arrive(&host, &cookie, &callback).await;
    assert_eq!(header(&answer, "location"), Some("/"));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_provider_nobody_is_sent_anywhere() {
    let plain = Setup::new().start().await;
    assert_eq!(
        http(plain.api, "GET", "/v1/login/oidc", "", b"")
            .await
            .status,
        404
    );
    plain.stop().await;
    let provider = Provider {
        address: "127.0.0.1:9".parse().unwrap(),
        ..Provider::start().await
    };
    let host = host(&provider).await;
    let answer = http(host.api, "GET", "/v1/login/oidc", "", b"").await;
    assert_eq!(answer.status, 502, "{answer:?}");
    host.stop().await;
}
