//! People: the first admin, logins, and the command for who has lost the password.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::harness::{Answer, Host, Setup, http};

/// With the header that a page of ours sends.
const JSON: &str = "Content-Type: application/json\r\nX-Patchbay: 1\r\n";

async fn login(host: &Host, name: &str, password: &str) -> Answer {
    let body = json!({ "username": name, "password": password }).to_string();
    http(host.api, "POST", "/v1/login", JSON, body.as_bytes()).await
}

fn cookie(answer: &Answer) -> String {
    let line = answer
        .head
        .lines()
        .find(|line| line.to_lowercase().starts_with("set-cookie"));
    let value = line.unwrap().split_once(": ").unwrap().1;
    format!("Cookie: {}\r\n", value.split(';').next().unwrap())
}

async fn ask(host: &Host, cookie: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let headers = format!("{JSON}{cookie}");
    let answer = http(host.api, method, path, &headers, body.as_bytes()).await;
    (
        answer.status,
        serde_json::from_slice(&answer.body).unwrap_or(Value::Null),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_admin_changes_the_password_before_anything_else() {
    let host = Setup::new()
        .config(|config| config.api.token = None)
        .start()
        .await;
    let now = host.acs.clock.unix();
    let first = host.acs.gate.first_admin(now).await.unwrap().unwrap();
    let answer = login(&host, &first.name, &first.one_time_password).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        body,
        json!({ "name": "user:admin", "must_change_password": true })
    );
    assert!(
        answer.head.contains("HttpOnly; SameSite=Lax"),
        "{}",
        answer.head
    );
    let cookie = cookie(&answer);
    for operation in super::operations(&host).await {
        let path = operation.url(|_| "nothing".into());
        if operation
            .permission
            .is_none_or(|permission| permission.is_empty())
        {
            continue;
        }
        let (status, body) = ask(&host, &cookie, &operation.method, &path, Value::Null).await;
        assert_eq!(status, 403, "{} {path}", operation.method);
        assert_eq!(body["error"]["code"], "password-change-required");
    }
    assert_eq!(
        ask(&host, &cookie, "GET", "/v1/me", Value::Null).await.0,
        200
    );
    let change = json!({ "present": first.one_time_password, "password": "correct horse battery" });
    assert_eq!(
        ask(&host, &cookie, "POST", "/v1/me/password", change)
            .await
            .0,
        204
    );
    let made = json!({ "name": "Anna", "grants": [{ "role": "support", "instance": "default" }] });
    let (status, anna) = ask(&host, &cookie, "POST", "/v1/users", made).await;
    assert_eq!((status, &anna["name"]), (201, &json!("anna")));
    let password = anna["one_time_password"].as_str().unwrap();
    // It is shown once.
    let (_, seen) = ask(&host, &cookie, "GET", "/v1/users/anna", Value::Null).await;
    assert!(
        !seen.to_string().contains(password) && !seen.to_string().contains("argon2"),
        "{seen}"
    );
    assert_eq!(login(&host, "anna", password).await.status, 200);
    // After a restart the session goes on, and nobody is made again.
    let host = host.restart(|_| {}).await;
    assert!(host.acs.gate.first_admin(now).await.unwrap().is_none());
    assert_eq!(
        ask(&host, &cookie, "GET", "/v1/users", Value::Null).await.0,
        200
    );
    assert_eq!(
        ask(&host, &cookie, "POST", "/v1/logout", Value::Null)
            .await
            .0,
        204
    );
    assert_eq!(
        ask(&host, &cookie, "GET", "/v1/me", Value::Null).await.0,
        401
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_are_limited_and_say_when_to_come_again() {
    let host = Setup::new()
        .config(|config| config.api.login_failures_per_minute_max = 2)
        .start()
        .await;
    let mut answers = Vec::new();
    for name in ["anna", "admin", "anna"] {
        answers.push(login(&host, name, "a wrong password").await);
    }
    assert_eq!(
        [401, 401, 429],
        [answers[0].status, answers[1].status, answers[2].status]
    );
    assert_eq!(answers[0].body, answers[1].body);
    let head = answers[2].head.to_lowercase();
    assert!(head.contains("retry-after: 3"), "{head}");
    // A page of somebody else logs nobody in.
    let body = json!({ "username": "anna", "password": "x" }).to_string();
    let headers = format!("{JSON}Origin: https://evil.example\r\n");
    let answer = http(host.api, "POST", "/v1/login", &headers, body.as_bytes()).await;
    assert_eq!(answer.status, 403, "{answer:?}");
    // No form can be posted here, and no oversized body is taken.
    let form = http(
        host.api,
        "POST",
        "/v1/login",
        "",
        b"username=anna&password=x",
    )
    .await;
    assert_eq!(form.status, 415, "{form:?}");
    host.stop().await;
}

/// `patchbay user …` on a store whose server does not run.
fn user(directory: &std::path::Path, arguments: &[&str], input: &str) -> Output {
    let config = directory.join("patchbay.toml");
    let text = format!("data_directory = {:?}\n", directory.join("data"));
    std::fs::write(&config, text).unwrap();
    let binary = std::env::var_os("PATCHBAY_BIN").expect("run these tests with tests/run");
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut child = Command::new(std::path::Path::new(root).join(binary))
        .arg("user")
        .args(arguments)
        .arg("--config")
        .arg(&config)
        .env_remove("PATCHBAY_API_TOKEN")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_lost_the_password_has_a_command() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("data")).unwrap();
    let run = |arguments: &[&str], input: &str| {
        let output = user(directory.path(), arguments, input);
        let error = String::from_utf8(output.stderr).unwrap();
        (
            output.status.success(),
            String::from_utf8(output.stdout).unwrap(),
            error,
        )
    };
    let (done, told, error) = run(&["add", "anna", "--role", "admin"], "");
    assert!(done, "{error}");
    assert!(told.contains("one-time password"), "{told}");
    let (done, ..) = run(
        &[
            "add",
            "otto",
            "--role",
            "support",
            "--instance",
            "north",
            "--stdin",
        ],
        "correct horse battery\n",
    );
    assert!(done);
    let (done, _, error) = run(&["add", "otto", "--role", "admin"], "");
    assert!(!done && error.contains("already"), "{error}");
    let (done, _, error) = run(&["role", "otto", "--role", "boss"], "");
    assert!(!done && error.contains("read-only"), "{error}");
    assert!(run(&["role", "otto", "--role", "operator"], "").0);
    assert!(run(&["disable", "otto"], "").0);
    let (_, list, _) = run(&["list"], "");
    assert!(list.contains("otto  operator  disabled"), "{list}");
    assert!(list.contains("anna  admin"), "{list}");
    let (done, told, _) = run(&["password", "anna"], "");
    assert!(done);
    let password = told
        .lines()
        .find_map(|line| line.split("password   ").nth(1))
        .unwrap()
        .trim();
    // The server finds what the command has written; meanwhile the command is refused.
    let data = directory.path().join("data");
    let host = Setup::new()
        .config(move |config| {
            config.data_directory = data;
            config.api.token = None;
        })
        .start()
        .await;
    let answer = login(&host, "anna", password).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        login(&host, "otto", "correct horse battery").await.status,
        401
    );
    let (done, _, error) = run(&["list"], "");
    assert!(
        !done && error.contains("another patchbay has the store"),
        "{error}"
    );
    host.stop().await;
}
