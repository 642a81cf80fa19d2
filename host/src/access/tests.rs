//! The gate as its callers see it, with the time as an argument.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, Method, header};

use super::*;
use crate::clock::Now;
use crate::work::task::{Operation, SetParameter};

const NOW: UnixTime = 1_800_000_000;
const HERE: Client = Client {
    address: IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)),
    tls: false,
};
const ELSEWHERE: Client = Client {
    address: IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)),
    tls: false,
};
const PASSWORD: &str = "correct horse battery";

fn gate(change: impl FnOnce(&mut config::Api)) -> Gate {
    let mut api = config::Api::default();
    change(&mut api);
    Gate::open(Store::memory().unwrap(), &api).unwrap()
}

fn grant(role: &str, instance: Option<&str>) -> Grant {
    Grant {
        role: role.into(),
        instance: instance.map(str::to_owned),
    }
}

fn at(start: Instant, seconds: u64) -> Now {
    Now {
        instant: start + Duration::from_secs(seconds),
        unix: NOW + seconds as i64,
        milliseconds: 0,
    }
}

/// A user whose password is no one-time password any more.
async fn user(gate: &Gate, name: &str, grants: Vec<Grant>) {
    let admin = tokens::config();
    let password = Some(PASSWORD.to_owned());
    let made = gate.create_user(&admin, name, grants, password, NOW).await;
    let mut user = User::clone(&made.unwrap().user);
    user.must_change_password = false;
    gate.put_user(user).await.unwrap();
}

async fn login(gate: &Gate, name: &str) -> Principal {
    let cookie = gate
        .login(name, PASSWORD, HERE, at(Instant::now(), 0))
        .await;
    by_cookie(gate, &cookie.unwrap()).unwrap()
}

fn by_cookie(gate: &Gate, cookie: &str) -> Result<Principal, Refusal> {
    let mut headers = HeaderMap::new();
    let cookie = HeaderValue::from_str(&format!("a=b; {COOKIE}={cookie}")).unwrap();
    headers.insert(header::COOKIE, cookie);
    gate.authenticate(&Method::GET, &headers, NOW)
}

fn by_token(gate: &Gate, token: &str, now: UnixTime) -> Result<Principal, Refusal> {
    let mut headers = HeaderMap::new();
    let token = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    headers.insert(header::AUTHORIZATION, token);
    gate.authenticate(&Method::POST, &headers, now)
}

fn may(principal: &Principal, instance: Option<&str>, permission: &str) -> bool {
    principal.on(instance, permission.parse().unwrap()).is_any()
}

#[tokio::test]
async fn a_grant_is_for_its_instance_alone() {
    let gate = gate(|_| {});
    user(
        &gate,
        "anna",
        vec![
            grant("operator", Some("north")),
            grant("support", Some("south")),
        ],
    )
    .await;
    let anna = login(&gate, "anna").await;
    assert!(may(&anna, Some("north"), "devices:write"));
    assert!(may(&anna, Some("south"), "devices:annotate"));
    assert!(!may(&anna, Some("south"), "devices:write"));
    assert!(!may(&anna, Some("east"), "devices:read"));
    assert!(!may(&anna, None, "devices:read"));
    assert!(!may(&anna, Some("north"), "users:read"));
    assert_eq!(anna.instance().as_ref(), "north");
    user(&gate, "otto", vec![grant("operator", Some("north"))]).await;
    assert_eq!(login(&gate, "otto").await.instance().as_ref(), "north");
}

#[tokio::test]
async fn support_sets_nothing_that_is_secret_or_keeps_the_device_ours() {
    let gate = gate(|_| {});
    user(&gate, "anna", vec![grant("support", None)]).await;
    let anna = login(&gate, "anna").await;
    let set = |path: &str| Operation::Set {
        parameters: vec![
            SetParameter {
                path: "Device.WiFi.SSID.1.SSID".into(),
                value: "home".into(),
                xsd_type: None,
            },
            SetParameter {
                path: path.into(),
                value: "x".into(),
                xsd_type: None,
            },
        ],
    };
    let may = |operation: &Operation| anna.may_do("north", operation).is_any();
    assert!(may(&Operation::Reboot));
    assert!(may(&Operation::Get { paths: vec![] }));
    assert!(may(&set("Device.WiFi.Radio.1.Channel")));
    assert!(!may(&set(
        "Device.WiFi.AccessPoint.1.Security.KeyPassphrase"
    )));
    assert!(!may(&set("InternetGatewayDevice.ManagementServer.URL")));
    assert!(!may(&Operation::FactoryReset));
    assert!(!may(&Operation::Raw {
        method: "X".into(),
        xml: String::new()
    }));
}

#[tokio::test]
async fn nobody_gives_more_than_they_have() {
    let gate = gate(|api| api.token = Some("a-token-for-tests-only".into()));
    let host = tokens::config();
    user(&gate, "north", vec![grant("admin", Some("north"))]).await;
    user(&gate, "boss", vec![grant("admin", None)]).await;
    user(
        &gate,
        "both",
        vec![
            grant("support", Some("north")),
            grant("support", Some("south")),
        ],
    )
    .await;
    user(&gate, "other", vec![grant("support", Some("south"))]).await;
    let north = login(&gate, "north").await;
    let make = async |grants: Vec<Grant>| {
        let password = Some(PASSWORD.to_owned());
        gate.create_user(&north, "new", grants, password, NOW)
            .await
            .map(|_| ())
    };
    let forbidden = |result: Result<(), Refusal>| matches!(result, Err(Refusal::Forbidden(_)));
    assert!(forbidden(make(vec![grant("support", None)]).await));
    assert!(forbidden(make(vec![grant("admin", Some("south"))]).await));
    assert!(make(vec![grant("admin", Some("north"))]).await.is_ok());
    // Of others it sees what they have here, and changes nobody who has more.
    let seen: Vec<String> = gate
        .users(&north)
        .iter()
        .map(|seen| seen.user.name.to_string())
        .collect();
    assert_eq!(seen, ["both", "new", "north"]);
    assert_eq!(
        gate.user(&north, "both").unwrap().grants,
        [grant("support", Some("north"))]
    );
    let reset = async |name| {
        gate.reset_password(&north, name, None, NOW)
            .await
            .map(|_| ())
    };
    assert!(forbidden(reset("both").await));
    assert!(matches!(reset("boss").await, Err(Refusal::NotFound(_))));
    assert!(matches!(reset("other").await, Err(Refusal::NotFound(_))));
    // Who manages users with fewer rights does not help itself to an admin's.
    let clerk = RoleText {
        description: String::new(),
        permissions: vec!["users:*".into(), "devices:read".into()],
        devices: None,
        operations: None,
    };
    gate.put_role(&host, "clerk", clerk).await.unwrap();
    user(&gate, "clerk", vec![grant("clerk", Some("north"))]).await;
    let clerk = login(&gate, "clerk").await;
    let reset = gate.reset_password(&clerk, "north", None, NOW).await;
    assert!(forbidden(reset.map(|_| ())));
    let token = NewToken {
        name: "x".into(),
        grants: vec![grant("operator", Some("north"))],
        only: None,
        expires: None,
    };
    let made = gate.create_token(&clerk, token.clone(), NOW).await;
    assert!(forbidden(made.map(|_| ())));
    let token = NewToken {
        grants: vec![grant("clerk", Some("north"))],
        ..token
    };
    assert!(gate.create_token(&clerk, token, NOW).await.is_ok());
}

#[tokio::test]
async fn tokens_end_and_narrow_what_their_grants_give() {
    let gate = gate(|api| api.token = Some("a-token-for-tests-only".into()));
    let host = by_token(&gate, "a-token-for-tests-only", NOW).unwrap();
    assert_eq!(&*host.name, "token:config");
    assert!(may(&host, None, "backups:write"));
    let new = NewToken {
        name: "ci".into(),
        grants: vec![grant("operator", Some("north"))],
        only: Some(vec!["devices:read".parse().unwrap()]),
        expires: Some(NOW + 100),
    };
    let (token, text) = gate.create_token(&host, new, NOW).await.unwrap();
    let ci = by_token(&gate, &text, NOW + 99).unwrap();
    assert_eq!(&*ci.name, "token:ci");
    assert!(may(&ci, Some("north"), "devices:read"));
    assert!(!may(&ci, Some("north"), "devices:write"));
    assert!(!may(&ci, Some("south"), "devices:read"));
    assert!(by_token(&gate, &text, NOW + 100).is_err());
    let cut = by_token(&gate, &text[..50], NOW).unwrap_err().to_string();
    assert!(cut.contains("checksum"), "{cut}");
    assert!(by_token(&gate, &secret::token(), NOW).is_err());
    // Nothing that is stored lets anybody in.
    for name in gate.store.setting_names("").unwrap() {
        let stored = gate.store.setting(&name).unwrap().unwrap().to_string();
        assert!(
            !stored.contains(&text) && !stored.contains(&text[3..46]),
            "{stored}"
        );
    }
    // It is the same after a restart, and when it was used is known.
    gate.sweep(NOW + 99).await.unwrap();
    let again = Gate::open(gate.store.clone(), &config::Api::default()).unwrap();
    assert!(by_token(&again, &text, NOW + 99).is_ok());
    assert_eq!(again.token(&host, &token.id).unwrap().used, Some(NOW + 99));
    // What goes on for long is looked at again.
    assert!(gate.again(&ci, NOW + 99).is_some() && gate.again(&ci, NOW + 100).is_none());
    gate.revoke_token(&host, &token.id).await.unwrap();
    assert!(by_token(&gate, &text, NOW).is_err());
    assert!(gate.again(&ci, NOW).is_none());
    let again = Gate::open(gate.store.clone(), &config::Api::default()).unwrap();
    assert!(by_token(&again, &text, NOW).is_err());
}

#[tokio::test]
async fn changes_act_with_the_next_request() {
    let gate = gate(|api| api.token = Some("a-token-for-tests-only".into()));
    let host = tokens::config();
    let role = |permissions: &[&str]| RoleText {
        description: String::new(),
        permissions: permissions.iter().map(|p| (*p).to_owned()).collect(),
        devices: None,
        operations: None,
    };
    gate.put_role(&host, "desk", role(&["devices:read"]))
        .await
        .unwrap();
    user(&gate, "anna", vec![grant("desk", Some("north"))]).await;
    let now = at(Instant::now(), 0);
    let cookie = gate.login("Anna", PASSWORD, HERE, now).await.unwrap();
    assert!(!may(
        &by_cookie(&gate, &cookie).unwrap(),
        Some("north"),
        "faults:read"
    ));
    gate.put_role(&host, "desk", role(&["faults:read"]))
        .await
        .unwrap();
    let anna = by_cookie(&gate, &cookie).unwrap();
    assert!(may(&anna, Some("north"), "faults:read") && !may(&anna, Some("north"), "devices:read"));
    assert!(matches!(
        gate.remove_role("desk").await,
        Err(Refusal::Conflict(_))
    ));
    let grants = Some(vec![grant("read-only", Some("south"))]);
    gate.change_user(&host, "anna", grants, None).await.unwrap();
    let anna = gate.again(&anna, NOW).unwrap();
    assert!(may(&anna, Some("south"), "devices:read"));
    let anna = by_cookie(&gate, &cookie).unwrap();
    assert!(may(&anna, Some("south"), "devices:read") && !may(&anna, Some("north"), "faults:read"));
    gate.remove_role("desk").await.unwrap();
    gate.change_user(&host, "anna", None, Some(true))
        .await
        .unwrap();
    assert!(by_cookie(&gate, &cookie).is_err());
    assert!(gate.again(&anna, NOW).is_none());
    assert!(gate.login("anna", PASSWORD, HERE, now).await.is_err());
    gate.change_user(&host, "anna", None, Some(false))
        .await
        .unwrap();
    assert!(by_cookie(&gate, &cookie).is_err(), "the session was ended");
    assert!(gate.login("anna", PASSWORD, HERE, now).await.is_ok());
}

#[tokio::test]
async fn who_guesses_has_to_wait() {
    let gate = gate(|api| api.login_failures_per_minute_max = 3);
    user(&gate, "anna", vec![grant("admin", None)]).await;
    let start = Instant::now();
    let attempt = async |name: &str, password: &str, from, seconds| {
        gate.login(name, password, from, at(start, seconds)).await
    };
    assert!(attempt("anna", PASSWORD, HERE, 0).await.is_ok());
    // The same words for a wrong password, an unknown name, one that is none, and a disabled user.
    let mut words = Vec::new();
    for name in ["anna", "otto", "\u{0}../"] {
        words.push(
            attempt(name, "wrong", HERE, 0)
                .await
                .unwrap_err()
                .to_string(),
        );
    }
    assert!(words.iter().all(|text| *text == words[0]), "{words:?}");
    let Err(Refusal::TooMany(wait)) = attempt("anna", PASSWORD, HERE, 0).await else {
        panic!("three failures in a minute are too many");
    };
    assert!((20..=21).contains(&wait.as_secs()), "{wait:?}");
    assert!(attempt("anna", PASSWORD, HERE, 21).await.is_ok());
    // A name is guessed from many addresses: it waits everywhere but where it has logged in.
    for last in 10..13 {
        let from = Client {
            address: [192, 0, 2, last].into(),
            tls: false,
        };
        assert!(attempt("anna", "wrong", from, 100).await.is_err());
    }
    let stranger = attempt("anna", PASSWORD, ELSEWHERE, 100).await;
    assert!(matches!(stranger, Err(Refusal::TooMany(_))));
    assert!(attempt("anna", PASSWORD, HERE, 100).await.is_ok());
    // Right passwords cost nothing.
    for _ in 0..5 {
        assert!(attempt("anna", PASSWORD, HERE, 200).await.is_ok());
    }
}

#[tokio::test]
async fn a_host_that_nobody_can_enter_makes_one_admin_once() {
    let gate = gate(|_| {});
    let first = gate.first_admin(NOW).await.unwrap().unwrap();
    assert!(gate.first_admin(NOW).await.unwrap().is_none());
    let now = at(Instant::now(), 0);
    let one_time = &first.one_time_password;
    let cookie = gate.login("admin", one_time, HERE, now).await.unwrap();
    let other = gate.login("admin", one_time, HERE, now).await.unwrap();
    let admin = by_cookie(&gate, &cookie).unwrap();
    assert!(admin.must_change_password && may(&admin, None, "users:write"));
    let change = async |present, wanted| {
        gate.change_password(&admin, present, wanted, HERE, now)
            .await
    };
    assert!(change("wrong", PASSWORD).await.is_err());
    assert!(change(one_time, "short").await.is_err());
    assert!(change(one_time, one_time).await.is_err());
    change(one_time, PASSWORD).await.unwrap();
    assert!(!by_cookie(&gate, &cookie).unwrap().must_change_password);
    assert!(by_cookie(&gate, &other).is_err(), "other sessions are over");
    assert!(gate.login("admin", one_time, HERE, now).await.is_err());
    // The last admin stays one.
    let last = gate.change_user(&admin, "admin", None, Some(true)).await;
    assert!(matches!(last, Err(Refusal::Conflict(_))));
    let demoted = Some(vec![grant("operator", None)]);
    assert!(
        gate.change_user(&admin, "admin", demoted.clone(), None)
            .await
            .is_err()
    );
    assert!(gate.remove_user(&admin, "admin").await.is_err());
    user(&gate, "anna", vec![grant("admin", None)]).await;
    assert!(
        gate.change_user(&admin, "admin", demoted, None)
            .await
            .is_ok()
    );
    gate.logout(&admin).await.unwrap();
    assert!(by_cookie(&gate, &cookie).is_err());
    // With the token of the file nobody is made.
    let other = self::gate(|api| api.token = Some("a-token-for-tests-only".into()));
    assert!(other.first_admin(NOW).await.unwrap().is_none());
}

#[tokio::test]
async fn a_cookie_changes_nothing_from_elsewhere() {
    let gate = gate(|_| {});
    user(&gate, "anna", vec![grant("admin", None)]).await;
    let now = at(Instant::now(), 0);
    let cookie = gate.login("anna", PASSWORD, HERE, now).await.unwrap();
    let check = |pairs: &[(&'static str, &str)], method: Method| {
        let mut headers = HeaderMap::new();
        let cookie = HeaderValue::from_str(&format!("{COOKIE}={cookie}")).unwrap();
        headers.insert(header::COOKIE, cookie);
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        gate.authenticate(&method, &headers, NOW)
    };
    let other_site = |result| matches!(result, Err(Refusal::OtherSite(_)));
    assert!(check(&[], Method::GET).is_ok());
    assert!(other_site(check(&[], Method::POST)));
    assert!(check(&[(CSRF_HEADER, "1")], Method::POST).is_ok());
    let cross = [(CSRF_HEADER, "1"), ("sec-fetch-site", "cross-site")];
    assert!(other_site(check(&cross, Method::DELETE)));
    let evil = [
        (CSRF_HEADER, "1"),
        ("origin", "https://evil.example"),
        ("host", "acs.example"),
    ];
    assert!(other_site(check(&evil, Method::PUT)));
    // A token beside the cookie counts, even if it is wrong.
    assert!(check(&[("authorization", "Bearer no")], Method::GET).is_err());
    assert!(check(&[("authorization", "Basic YTpi")], Method::GET).is_err());
}

#[test]
fn a_role_of_some_devices_has_nothing_else() {
    let role = |permissions: &[&str], operations: Option<&[&str]>| {
        let text = RoleText {
            description: String::new(),
            permissions: permissions.iter().map(|p| (*p).to_owned()).collect(),
            devices: Some("tag = north".into()),
            operations: operations.map(|all| all.iter().map(|o| (*o).to_owned()).collect()),
        };
        Role::new("desk", text).map_err(|error| error.to_string())
    };
    assert!(role(&["devices:*", "tasks:write"], Some(&["reboot"])).is_ok());
    let error = role(&["devices:read", "files:read"], None).unwrap_err();
    assert!(error.contains("files:read"), "{error}");
    let error = role(&["tasks:write"], Some(&["explode"])).unwrap_err();
    assert!(
        error.contains("explode") && error.contains("reboot"),
        "{error}"
    );
    assert!(role(&[], None).is_err());
}

#[test]
fn every_operation_can_be_named_in_a_role() {
    let error = serde_json::from_str::<Operation>(r#"{"op": "?"}"#).unwrap_err();
    let error = error.to_string();
    let mut known: Vec<&str> = error.split('`').skip(3).step_by(2).collect();
    known.push("set-open");
    known.sort_unstable();
    let mut named = OPERATIONS.to_vec();
    named.sort_unstable();
    assert_eq!(known, named);
}
