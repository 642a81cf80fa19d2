//! Every operation, with and without what it needs.

use std::collections::BTreeSet;

use patchbay::access::{Grant, NewToken, Principal};
use serde_json::json;

use super::expected::{ROLES, Who, table};
use super::{Operation, admin, ask, bearer, operations, status, token};
use crate::harness::{Host, Setup, TOKEN};

/// A request that does nothing where it is allowed: there is no such thing, or nothing is asked for.
/// Of an instance that there is not nobody is told what may be done there.
async fn try_it(host: &Host, operation: &Operation, headers: &str) -> u16 {
    let name = match operation.path.starts_with("/instances/") {
        true => "default",
        false => "nothing",
    };
    let path = operation.url(|_| name.to_owned());
    status(host.api, &operation.method, &path, headers, "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_has_a_line_and_every_line_an_operation() {
    let host = Setup::new().start().await;
    let served: BTreeSet<String> = operations(&host)
        .await
        .iter()
        .map(Operation::name)
        .collect();
    let expected: BTreeSet<String> = table().into_keys().collect();
    let without: Vec<_> = served.difference(&expected).collect();
    assert!(
        without.is_empty(),
        "nobody has said in tests/fixtures/access.txt who may use these: {without:#?}"
    );
    let gone: Vec<_> = expected.difference(&served).collect();
    assert!(gone.is_empty(), "there is nothing like these: {gone:#?}");
    host.stop().await;
}

/// The token of an administrator whose time is over.
async fn expired(host: &Host) -> String {
    let then = host.acs.clock.unix() - 100;
    let new = NewToken {
        name: "old".into(),
        grants: vec![Grant {
            role: "admin".into(),
            instance: None,
        }],
        only: None,
        expires: Some(then + 99),
    };
    let asking = Principal::of_the_command();
    let made = host.acs.gate.create_token(&asking, new, then).await;
    made.unwrap().1
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_nothing_is_reachable() {
    let host = Setup::new().start().await;
    let revoked = token(&host, &[("admin", None)]).await;
    let tokens = host.get("/v1/tokens").await;
    let id = tokens["items"][0]["id"].as_str().unwrap();
    let (deleted, _) = host.api("DELETE", &format!("/v1/tokens/{id}"), None).await;
    assert_eq!(deleted, 204);
    let expired = expired(&host).await;
    let cut = &TOKEN[..TOKEN.len() - 1];
    let mut wrong = vec![
        String::new(),
        "Authorization: Bearer\r\n".to_owned(),
        "Authorization: Bearer  \r\n".to_owned(),
        format!("Authorization: Basic {TOKEN}\r\n"),
        format!("Authorization: {TOKEN}\r\n"),
        "Authorization: \u{fffd}\r\n".to_owned(),
        "Cookie: patchbay_session=nothing\r\n".to_owned(),
        format!("Cookie: patchbay_session={TOKEN}\r\nX-Patchbay: 1\r\n"),
    ];
    let made_up = "pb_0123456789012345678901234567890123456789012deadbeef";
    for text in [&expired, &revoked, cut, &format!("{TOKEN}x"), made_up] {
        wrong.push(bearer(text));
    }
    let table = table();
    for operation in operations(&host).await {
        let is_open = table.get(&operation.name()) == Some(&Who::Anybody);
        assert_eq!(
            is_open,
            operation.permission.is_none(),
            "{}",
            operation.name()
        );
        for headers in &wrong {
            let status = try_it(&host, &operation, headers).await;
            assert_eq!(
                status == 401,
                !is_open,
                "{}: {status} with {headers:?}",
                operation.name()
            );
        }
    }
    // What is not there is not told either.
    for path in ["/v1/nothing", "/", "/v1", "/v1/instances/nothing/devices"] {
        assert_eq!(status(host.api, "GET", path, "", "").await, 401, "{path}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_may_what_the_table_says() {
    let host = Setup::new().start().await;
    let table = table();
    let operations = operations(&host).await;
    let mut wrong = Vec::new();
    for role in ROLES {
        for instance in [None, Some("default")] {
            let headers = bearer(&token(&host, &[(role, instance)]).await);
            for operation in &operations {
                let may = match &table[&operation.name()] {
                    Who::Anybody | Who::SignedIn => true,
                    Who::Roles(roles) => roles
                        .get(role)
                        .is_some_and(|in_one| *in_one || instance.is_none()),
                };
                let status = try_it(&host, operation, &headers).await;
                assert_ne!(status, 500, "{}", operation.name());
                let name = operation.name();
                // Nobody is let in by the callback without a login.
                if (status == 403) == may && !name.contains("callback") {
                    let place = instance.unwrap_or("all instances");
                    wrong.push(format!("{name}: {role} in {place} got {status}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_one_permission_has_one() {
    let host = Setup::new().start().await;
    let operations = operations(&host).await;
    let permissions: BTreeSet<&str> = operations
        .iter()
        .filter_map(|operation| operation.permission.as_deref())
        .filter(|permission| !permission.is_empty())
        .collect();
    assert!(permissions.len() > 10, "{permissions:?}");
    for permission in permissions {
        let request =
            json!({ "name": "one", "grants": [{ "role": "admin" }], "only": [permission] });
        let made = host.post("/v1/tokens", request).await;
        let headers = bearer(made["token"].as_str().unwrap());
        let (resource, action) = permission.split_once(':').unwrap();
        for operation in &operations {
            let may = match operation.permission.as_deref() {
                None | Some("") => true,
                Some(needed) => {
                    let (needed_resource, needed_action) = needed.split_once(':').unwrap();
                    let finer = action == "write" && !["read", "write"].contains(&needed_action);
                    resource == needed_resource && (action == needed_action || finer)
                }
            };
            if operation.path.contains("callback") {
                continue;
            }
            let status = try_it(&host, operation, &headers).await;
            // Who may write users may still not give more than it has.
            assert_eq!(
                status != 403,
                may,
                "{permission}: {} {status}",
                operation.name()
            );
        }
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_open_operations_are_these() {
    let host = Setup::new().start().await;
    let operations = operations(&host).await;
    let open = operations
        .iter()
        .filter(|operation| operation.permission.is_none());
    let open: BTreeSet<String> = open.map(Operation::name).collect();
    for name in &open {
        let path = name.split(' ').nth(1).unwrap();
        assert!(
            path.starts_with("/login") || path.starts_with("/health") || path.starts_with("/ready"),
            "{name} is open to anybody"
        );
    }
    // The text and its page too, which say nothing of this host.
    assert_eq!(
        status(host.api, "GET", "/v1/openapi.json", "", "").await,
        200
    );
    let (_, me) = ask(&host, TOKEN, "GET", "/v1/me", None).await;
    assert_eq!(me["name"], "token:config");
    assert_eq!(status(host.api, "GET", "/v1/me", &admin(), "").await, 200);
    host.stop().await;
}
