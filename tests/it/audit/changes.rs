//! Every operation that changes something, and what the audit log has of it: `tests/fixtures/audit.txt`.

use std::collections::{BTreeMap, BTreeSet};

use patchbay::config::UnknownDevices;
use patchbay::device::DeviceKey;
use patchbay::store::FaultRecord;
use patchbay::work::exchange::Finding;
use serde_json::{Value, json};

use crate::access::{bearer, operations, token};
use crate::harness::{Host, Setup, TOKEN, guest, http, inform};

const DEVICE: &str = "00AABB-Box-1";
/// In everything that is secret here.
const SECRET: &str = "never-to-be-told";

/// What a line of the table says: the word, and the rest.
fn table() -> BTreeMap<String, (&'static str, &'static str)> {
    let text = include_str!("../../fixtures/audit.txt");
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (method, rest) = line.split_once(' ').unwrap();
            let (path, rest) = rest.trim_start().split_once(' ').unwrap();
            let rest = rest.trim_start();
            let (word, why) = rest.split_once(' ').unwrap_or((rest, ""));
            (format!("{method} {path}"), (word, why.trim()))
        })
        .collect()
}

/// Requests, each with the record that came of it.
struct Script {
    host: Host,
    records: BTreeMap<String, Value>,
}

impl Script {
    /// Does an operation, whose record is the last one then.
    async fn ask(&mut self, operation: &str, path: &str, body: impl Into<Value>) -> Value {
        let body: Value = body.into();
        let headers = format!("{}Content-Type: application/json\r\n", bearer(TOKEN));
        let body = match body {
            Value::Null => Vec::new(),
            Value::String(text) => text.into_bytes(),
            body => body.to_string().into_bytes(),
        };
        self.send(operation, path, &headers, &body).await
    }

    async fn send(&mut self, operation: &str, path: &str, headers: &str, body: &[u8]) -> Value {
        let method = operation.split(' ').next().unwrap();
        let path = format!("/v1{path}");
        let answer = http(self.host.api, method, &path, headers, body).await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(
            answer.status < 300,
            "{method} {path}: {} {text}",
            answer.status
        );
        let last = self
            .host
            .get("/v1/audit?limit=1&all_instances=true&query=actor%20!=%20host")
            .await;
        let record = last["items"][0].clone();
        assert_eq!(
            record["path"],
            path.split('?').next().unwrap(),
            "{operation}: {record}"
        );
        assert_eq!(record["status"], answer.status, "{operation}: {record}");
        self.records.insert(operation.to_owned(), record);
        serde_json::from_slice(&answer.body).unwrap_or(Value::Null)
    }

    async fn devices(&mut self) {
        let at = format!("/devices/{DEVICE}");
        let at = at.as_str();
        let body = inform("1", &["2 PERIODIC"]);
        http(self.host.cwmp, "POST", "/", "", body.as_bytes()).await;
        self.ask("POST /devices/{id}/release", &format!("{at}/release"), ())
            .await;
        self.ask("PATCH /devices/{id}", at, json!({ "label": "attic" }))
            .await;
        let tag = format!("{at}/tags/gold");
        self.ask("PUT /devices/{id}/tags/{tag}", &tag, ()).await;
        self.ask("DELETE /devices/{id}/tags/{tag}", &tag, ()).await;
        let note = json!({ "text": "stands in the attic" });
        self.ask("POST /devices/{id}/notes", &format!("{at}/notes"), note)
            .await;
        let note = format!("{at}/notes/1");
        self.ask("DELETE /devices/{id}/notes/{number}", &note, ())
            .await;
        let credentials = format!("{at}/credentials");
        for password in ["another-never-to-be-told", SECRET] {
            let body = json!({ "password": password });
            self.ask("PUT /devices/{id}/credentials", &credentials, body)
                .await;
        }
        self.ask("DELETE /devices/{id}/credentials", &credentials, ())
            .await;
        let lease = format!("{at}/lease");
        self.ask("POST /devices/{id}/lease", &lease, json!({ "seconds": 60 }))
            .await;
        self.ask("DELETE /devices/{id}/lease", &lease, ()).await;
        let trace = json!({ "hours": 2 });
        self.ask("PUT /devices/{id}/trace", &format!("{at}/trace"), trace)
            .await;
        let key = DeviceKey {
            instance: "default".into(),
            id: DEVICE.into(),
        };
        let fault = FaultRecord {
            at: self.host.acs.clock.unix(),
            rpc: "Reboot".into(),
            code: Some(9002),
            text: "no".into(),
            parameters: Vec::new(),
            task: None,
            plugin: None,
        };
        self.host.acs.store.record_fault(&key, fault).unwrap();
        self.ask("DELETE /devices/{id}/faults", &format!("{at}/faults"), ())
            .await;
        let summary = self.host.acs.store.device(&key).unwrap().unwrap();
        let summary = summary.lock().summary().clone();
        let acs = &self.host.acs;
        let learned = acs
            .lessons
            .learn(&key, &summary, &Finding::NoPartialPaths, acs.clock.unix());
        assert!(learned.is_some());
        let models = self.host.get("/v1/models").await;
        let model = models["items"][0]["id"]
            .as_str()
            .unwrap()
            .replace(' ', "%20");
        self.ask("DELETE /models/{id}", &format!("/models/{model}"), ())
            .await;
        let table = format!("id,tags,password\n{DEVICE},silver,{SECRET}\n00AABB-Box-2,,{SECRET}\n");
        let headers = format!("{}Content-Type: text/csv\r\n", bearer(TOKEN));
        self.send(
            "POST /devices/import",
            "/devices/import",
            &headers,
            table.as_bytes(),
        )
        .await;
        self.ask("DELETE /devices/{id}", "/devices/00AABB-Box-2", ())
            .await;
    }

    async fn tasks(&mut self) {
        let secret = format!("https://me:{SECRET}@files.example/x?key={SECRET}");
        let tasks = format!("/devices/{DEVICE}/tasks");
        let body = json!({ "operation": {
            "op": "set", "parameters": [{ "path": "InternetGatewayDevice.X.Password", "value": SECRET }]
        } });
        let task = self.ask("POST /devices/{id}/tasks", &tasks, body).await;
        let at = format!("/tasks/{}", task["id"].as_str().unwrap());
        self.ask("POST /tasks/{id}/cancel", &format!("{at}/cancel"), ())
            .await;
        let again = self
            .ask("POST /tasks/{id}/retry", &format!("{at}/retry"), ())
            .await;
        let record = &self.records["POST /tasks/{id}/retry"];
        assert_eq!(record["after"]["task"], again["id"]);
        for operation in [
            "POST /devices/{id}/tasks",
            "POST /tasks/{id}/cancel",
            "POST /tasks/{id}/retry",
        ] {
            assert_eq!(self.records[operation]["device"], DEVICE, "{operation}");
        }
        let body =
            json!({ "operation": { "op": "download", "file_type": "firmware", "url": secret } });
        self.ask("POST /devices/{id}/tasks", &tasks, body).await;
    }

    async fn campaigns(&mut self) {
        let campaign =
            json!({ "name": "c", "query": "tag = nobody", "operation": { "op": "reboot" } });
        let made = self
            .ask("POST /campaigns", "/campaigns", campaign.clone())
            .await;
        let at = format!("/campaigns/{}", made["id"].as_str().unwrap());
        let mut changed = campaign;
        changed["name"] = "d".into();
        self.ask("PUT /campaigns/{id}", &at, changed).await;
        let clone = self
            .ask("POST /campaigns/{id}/clone", &format!("{at}/clone"), ())
            .await;
        let clone = format!("/campaigns/{}", clone["id"].as_str().unwrap());
        self.ask("DELETE /campaigns/{id}", &clone, ()).await;
        // One that waits for its time: it does not end by itself meanwhile.
        let later = json!({
            "name": "later", "query": "tag = silver", "operation": { "op": "reboot" },
            "schedule": { "start": "2099-01-01T00:00:00Z" },
        });
        let made = self.ask("POST /campaigns", "/campaigns", later).await;
        let at = format!("/campaigns/{}", made["id"].as_str().unwrap());
        for verb in ["start", "pause", "resume", "abort"] {
            let operation = format!("POST /campaigns/{{id}}/{verb}");
            self.ask(&operation, &format!("{at}/{verb}"), ()).await;
        }
    }

    async fn files(&mut self) {
        let at = "/files?name=x.bin&type=firmware";
        let headers = bearer(TOKEN);
        let file = self.send("POST /files", at, &headers, b"one").await;
        assert_eq!(file["uploaded_by"], "token:config");
        self.send("PUT /files", at, &headers, b"two").await;
        let at = format!("/files/{}", file["id"].as_str().unwrap());
        self.ask("PATCH /files/{id}", &at, json!({ "note": "good" }))
            .await;
        self.ask("DELETE /files/{id}", &at, ()).await;
    }

    async fn plugins(&mut self) {
        let headers = bearer(TOKEN);
        for version in ["version-1", "version-2"] {
            let component = std::fs::read(guest("test", version)).unwrap();
            self.send(
                "PUT /plugins/{name}",
                "/plugins/version",
                &headers,
                &component,
            )
            .await;
        }
        let record = &self.records["PUT /plugins/{name}"];
        assert_eq!(
            (&record["before"]["version"], &record["after"]["version"]),
            (&json!("1.0.0"), &json!("2.0.0"))
        );
        self.ask(
            "POST /plugins/{name}/rollback",
            "/plugins/version/rollback",
            (),
        )
        .await;
        let off = json!({ "enabled": false });
        self.ask("PATCH /plugins/{name}", "/plugins/version", off)
            .await;
        let text =
            json!({ "text": format!("enabled = false\n[settings]\nsome_token = \"{SECRET}\"\n") });
        self.ask(
            "PUT /plugins/{name}/settings",
            "/plugins/version/settings",
            text,
        )
        .await;
        self.ask("DELETE /plugins/{name}", "/plugins/version", ())
            .await;
        self.ask("POST /backups", "/backups", ()).await;
    }

    async fn people(&mut self) {
        for text in ["one", "two"] {
            let role = json!({ "description": text, "permissions": ["devices:read"] });
            self.ask("PUT /roles/{name}", "/roles/clerk", role).await;
        }
        self.ask("DELETE /roles/{name}", "/roles/clerk", ()).await;
        let grants = json!([{ "role": "support" }]);
        let new = json!({ "name": "ci", "grants": grants });
        let made = self.ask("POST /tokens", "/tokens", new).await;
        let at = format!("/tokens/{}", made["id"].as_str().unwrap());
        self.ask("DELETE /tokens/{id}", &at, ()).await;
        let record = json!([
            self.records["POST /tokens"],
            self.records["DELETE /tokens/{id}"]
        ]);
        assert!(!record.to_string().contains(made["token"].as_str().unwrap()));
        let new = json!({ "name": "anna", "grants": grants, "password": SECRET });
        self.ask("POST /users", "/users", new).await;
        let more = json!({ "grants": [{ "role": "operator" }] });
        self.ask("PATCH /users/{name}", "/users/anna", more).await;
        let page = "Content-Type: application/json\r\nX-Patchbay: 1\r\n";
        let body = json!({ "username": "anna", "password": SECRET }).to_string();
        let answer = http(self.host.api, "POST", "/v1/login", page, body.as_bytes()).await;
        let cookie = answer.head.split("patchbay_session=").nth(1).unwrap();
        let cookie = cookie.split(';').next().unwrap();
        let cookie = format!("patchbay_session={cookie}");
        let headers = format!("{page}Cookie: {cookie}\r\n");
        let body = json!({ "present": SECRET, "password": format!("{SECRET}-2") }).to_string();
        self.send(
            "POST /me/password",
            "/me/password",
            &headers,
            body.as_bytes(),
        )
        .await;
        let logins = self.host.get("/v1/logins").await;
        let at = format!("/logins/{}", logins["items"][0]["id"].as_str().unwrap());
        self.ask("DELETE /logins/{id}", &at, ()).await;
        self.ask(
            "POST /users/{name}/password",
            "/users/anna/password",
            json!({}),
        )
        .await;
        self.ask("DELETE /users/{name}", "/users/anna", ()).await;
    }

    async fn instances_and_webhooks(&mut self) {
        let patch = json!({ "hosts": ["*"] });
        self.ask("PATCH /instances/{name}", "/instances/default", patch)
            .await;
        let new = json!({ "name": "acme", "settings": { "hosts": ["acs.acme.example"] } });
        self.ask("POST /instances", "/instances", new).await;
        let patch = json!({ "http_proxy": {
            "address": "192.0.2.1:80", "username": "acs", "password": SECRET
        } });
        self.ask("PATCH /instances/{name}", "/instances/acme", patch)
            .await;
        let record = &self.records["PATCH /instances/{name}"];
        assert_eq!(
            (&record["instance"], &record["before"]),
            (&json!("acme"), &json!({ "http_proxy": null }))
        );
        self.ask("DELETE /instances/{name}", "/instances/acme", ())
            .await;
        for path in ["one", "two"] {
            let hook = json!({
                "url": format!("https://me:{SECRET}@hooks.example/{SECRET}/{path}?key={SECRET}"),
                "secret": format!("{SECRET}-of-the-hook"), "headers": { "X-Key": SECRET },
            });
            self.ask("PUT /webhooks/{name}", "/webhooks/crm", hook)
                .await;
        }
        let record = &self.records["PUT /webhooks/{name}"];
        assert_eq!(record["after"]["url"], "https://hooks.example", "{record}");
        assert_eq!(record["after"]["url_secret"], "(changed)", "{record}");
        assert_eq!(record["after"]["secret"], "(secret)", "{record}");
        let letters = "/webhooks/crm/dead-letters";
        self.ask("DELETE /webhooks/{name}/dead-letters", letters, ())
            .await;
        self.ask("DELETE /webhooks/{name}", "/webhooks/crm", ())
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_told_as_before_and_after() {
    let host = Setup::new()
        .config(|config| config.instance.unknown_devices = UnknownDevices::Quarantine)
        .start()
        .await;
    let mut script = Script {
        host,
        records: BTreeMap::new(),
    };
    script.devices().await;
    script.tasks().await;
    script.campaigns().await;
    script.files().await;
    script.plugins().await;
    script.people().await;
    script.instances_and_webhooks().await;
    let Script { host, mut records } = script;
    let mut wrong = Vec::new();
    for (operation, (word, why)) in table() {
        let record = records.remove(&operation).unwrap_or(Value::Null);
        let (before, after) = (record.get("before"), record.get("after"));
        let is_right = match word {
            "made" => before.is_none() && after.is_some(),
            "removed" => before.is_some() && after.is_none(),
            "changed" => before.is_some() && after.is_some() && before != after,
            "verb" => why.split(' ').count() > 1,
            "elsewhere" => !why.is_empty(),
            _ => false,
        };
        if !is_right {
            wrong.push(format!("{operation}: {word}: {record}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(records.is_empty(), "not in the table: {records:#?}");
    let all = host.get("/v1/audit?limit=1000&all_instances=true").await;
    assert!(!all.to_string().contains(SECRET), "{all:#}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_has_a_line_and_one_that_is_refused_a_record_of_it() {
    let host = Setup::new().start().await;
    let operations = operations(&host).await;
    let served: BTreeSet<String> = operations
        .iter()
        .filter(|operation| operation.method != "GET")
        .map(crate::access::Operation::name)
        .collect();
    let decided: BTreeSet<String> = table().into_keys().collect();
    let open: Vec<_> = served.difference(&decided).collect();
    assert!(
        open.is_empty(),
        "nobody has said in tests/fixtures/audit.txt what the audit log has of these: {open:#?}"
    );
    let gone: Vec<_> = decided.difference(&served).collect();
    assert!(gone.is_empty(), "there is nothing like these: {gone:#?}");

    let reader = token(&host, &[("read-only", Some("default"))]).await;
    let headers = format!("{}Content-Type: application/json\r\n", bearer(&reader));
    for operation in operations
        .iter()
        .filter(|operation| operation.method != "GET")
    {
        let needs_more = operation
            .permission
            .as_deref()
            .is_some_and(|needed| !needed.is_empty() && !needed.ends_with(":read"));
        if !needs_more {
            continue;
        }
        let path = operation.url(|_| "default".to_owned());
        let answer = http(host.api, &operation.method, &path, &headers, b"{}").await;
        assert_eq!(answer.status, 403, "{}", operation.name());
        let last = host.get("/v1/audit?limit=1&all_instances=true").await;
        let record = &last["items"][0];
        let name = operation.name();
        assert_eq!(
            (&record["path"], &record["status"]),
            (&json!(path), &json!(403)),
            "{name}: {record}"
        );
        assert_eq!(record["actor"], "token:of a test", "{name}");
        let error = record["error"].as_str().unwrap();
        assert!(error.starts_with("forbidden: "), "{name}: {record}");
        assert!(
            record.get("before").is_none() && record.get("after").is_none(),
            "{name}: {record}"
        );
    }
    host.stop().await;
}
