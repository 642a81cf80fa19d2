//! THE AUDIT LOG: who did what to which device, when, from where, with what result.
//!
//! Every request that changes something is in it before the caller hears of its end, and what
//! the host does by itself on somebody's behalf. Nothing is ever changed in it (`store/audit.rs`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::Acs;
use crate::device::UnixTime;
use crate::events::{Event, Follower, What, short};
use crate::query::{Datum, Field, Kind, Named, Subject, Vocabulary};
use crate::secrets::{hidden_in_url, is_secret};
use crate::store::StoreError;

/// Who acts when nobody asks.
pub const HOST: &str = "host";
/// Stands for a secret that is as it was.
pub const SECRET: &str = "(secret)";
/// Stands for a secret that is another one.
pub const CHANGED: &str = "(changed)";
/// Bytes of what was before, and of what is after, as JSON; more is left out.
const SIDE_BYTES_MAX: usize = 64 << 10;

/// What lists show of a record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Entry {
    /// `user:anna`, `token:ci`; `host`: the host by itself; empty: nobody who is known.
    pub actor: String,
    /// The client's address, after the word of trusted proxies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// As the client names itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// As in the log and in the answer (`X-Request-Id`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The operation's id in the OpenAPI text, or what the host did.
    pub action: String,
    /// Of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Absent: it is about the whole host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The device's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Of the answer; absent: there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why it was refused: the code of the answer, or a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A setting before and after. Secrets are never in it, see [`Sides::of`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Sides {
    /// Absent: there was nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// Absent: there is nothing any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

impl Entry {
    /// The host did this by itself.
    pub fn by_host(action: &str) -> Entry {
        Entry {
            actor: HOST.to_owned(),
            action: action.to_owned(),
            ..Entry::default()
        }
    }

    /// In this instance.
    #[must_use]
    pub fn in_instance(self, instance: &str) -> Entry {
        Entry {
            instance: Some(instance.to_owned()),
            ..self
        }
    }
}

impl Sides {
    /// Both sides with their secrets hidden: what stands under the name of a secret (`password`,
    /// `token`, …), and the user and query of a URL, become `(secret)`, after a change `(changed)`.
    pub fn of(mut before: Option<Value>, mut after: Option<Value>) -> Sides {
        hide(before.as_mut(), after.as_mut());
        Sides {
            before: before.map(bounded),
            after: after.map(bounded),
        }
    }
}

impl Acs {
    /// Writes a record; durable on return.
    ///
    /// # Errors
    /// When the store takes no writes.
    pub async fn audit(
        &self,
        at: UnixTime,
        entry: &Entry,
        sides: &Sides,
    ) -> Result<u64, StoreError> {
        let head = serde_json::to_vec(entry).unwrap_or_default();
        let body = match *sides == Sides::default() {
            true => Vec::new(),
            false => serde_json::to_vec(sides).unwrap_or_default(),
        };
        self.store.audit(at, &head, &body).await
    }

    /// Writes down what the host does by itself: plugins that come and go, steps of campaigns.
    pub(crate) async fn audit_events(self: Arc<Self>, mut follower: Follower) {
        loop {
            let news = follower.next().await;
            if news.events.is_empty() && self.events.is_closed() {
                return;
            }
            if let Some(lost @ 1..) = news.lost {
                tracing::error!(
                    lost,
                    "events came faster than the audit log could be written"
                );
            }
            for event in news.events {
                let Some((entry, sides)) = told(&event) else {
                    continue;
                };
                if let Err(error) = self.audit(event.at, &entry, &sides).await {
                    tracing::error!(%error, action = entry.action, "cannot write the audit log");
                }
            }
        }
    }
}

/// What of the events the host did by itself.
fn told(event: &Event) -> Option<(Entry, Sides)> {
    let error = match &event.what {
        What::Plugin(plugin) => plugin.error.clone(),
        What::Campaign(campaign) => campaign.reason.clone(),
        _ => return None,
    };
    if event.what.kind() == "plugin.trapped" {
        return None;
    }
    let entry = Entry {
        instance: event.instance.as_deref().map(str::to_owned),
        error,
        ..Entry::by_host(event.what.kind())
    };
    let after = serde_json::to_value(&event.what).ok();
    Some((entry, Sides::of(None, after)))
}

/// Hides the values of secrets on both sides.
fn hide(before: Option<&mut Value>, after: Option<&mut Value>) {
    match (before, after) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            for (name, after) in &mut *after {
                match before.get_mut(name) {
                    Some(before) if is_secret(name) => hide_one(before, after),
                    before => hide_named(name, before, Some(after)),
                }
            }
            for (name, before) in &mut *before {
                if !after.contains_key(name) {
                    hide_named(name, Some(before), None);
                }
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => {
            let mut before = before.iter_mut();
            for after in after {
                hide(before.next(), Some(after));
            }
            before.for_each(|before| hide(Some(before), None));
        }
        (Some(Value::String(before)), Some(Value::String(after))) => {
            let word = if before == after { SECRET } else { CHANGED };
            hide_in_url(before, SECRET);
            hide_in_url(after, word);
        }
        (before, after) => {
            for side in [before, after].into_iter().flatten() {
                match side {
                    Value::String(text) => hide_in_url(text, SECRET),
                    Value::Object(object) => {
                        for (name, value) in object {
                            hide_named(name, Some(value), None);
                        }
                    }
                    Value::Array(values) => {
                        values.iter_mut().for_each(|value| hide(Some(value), None));
                    }
                    _ => {}
                }
            }
        }
    }
}

fn hide_in_url(text: &mut String, word: &str) {
    if let Some(hidden) = hidden_in_url(text, word) {
        *text = hidden;
    }
}

fn hide_named(name: &str, before: Option<&mut Value>, after: Option<&mut Value>) {
    if !is_secret(name) {
        return hide(before, after);
    }
    for side in [before, after].into_iter().flatten() {
        if is_told(side) {
            *side = SECRET.into();
        }
    }
}

fn hide_one(before: &mut Value, after: &mut Value) {
    let is_same = before == after;
    if is_told(before) {
        *before = SECRET.into();
    }
    if is_told(after) {
        *after = if is_same { SECRET } else { CHANGED }.into();
    }
}

/// That there is none, or whether there is one, is no secret.
fn is_told(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(_)) && value.as_str() != Some("")
}

fn bounded(value: Value) -> Value {
    let bytes = value.to_string().len();
    if bytes <= SIDE_BYTES_MAX {
        return value;
    }
    let mut note = Map::new();
    note.insert("left_out_bytes".to_owned(), bytes.into());
    note.into()
}

const fn named(name: &'static str, kind: Kind) -> Named {
    Named { name, kind }
}

/// The fields of a record, for queries.
pub static AUDIT: Vocabulary = Vocabulary {
    of: "record",
    fields: &[
        named("at", Kind::Time),
        named("actor", Kind::Text),
        named("action", Kind::Text),
        named("method", Kind::Text),
        named("path", Kind::Text),
        named("instance", Kind::Text),
        named("device", Kind::Text),
        named("status", Kind::Number),
        named("error", Kind::Text),
        named("address", Kind::Text),
        named("user_agent", Kind::Text),
        named("request", Kind::Text),
    ],
};

/// A record, for queries.
#[derive(Debug, Clone, Copy)]
pub struct Recorded<'a> {
    /// When it was written.
    pub at: UnixTime,
    /// What it says.
    pub entry: &'a Entry,
}

impl Subject for Recorded<'_> {
    fn any(&self, field: &Field, test: &mut dyn FnMut(Datum<'_>) -> bool) -> Option<bool> {
        let Field::Named { named, .. } = field else {
            return Some(false);
        };
        let entry = self.entry;
        let text = match named.name {
            "at" => return Some(test(Datum::Time(self.at))),
            "status" => {
                let status = entry.status.map(i64::from);
                return Some(status.is_some_and(|status| test(Datum::Number(status))));
            }
            "actor" => Some(&entry.actor),
            "action" => Some(&entry.action),
            "method" => entry.method.as_ref(),
            "path" => entry.path.as_ref(),
            "instance" => entry.instance.as_ref(),
            "device" => entry.device.as_ref(),
            "error" => entry.error.as_ref(),
            "address" => entry.address.as_ref(),
            "user_agent" => entry.user_agent.as_ref(),
            "request" => entry.request.as_ref(),
            _ => None,
        };
        Some(text.is_some_and(|text| test(Datum::Text(text))))
    }

    fn any_identifying(&self, test: &mut dyn FnMut(&str) -> bool) -> Option<bool> {
        let entry = self.entry;
        let texts = [
            Some(&entry.actor),
            Some(&entry.action),
            entry.device.as_ref(),
        ];
        Some(texts.into_iter().flatten().any(|text| test(text)))
    }
}

/// A header of a request as it is kept.
pub(crate) fn kept(text: &str) -> String {
    short(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::query::Query;

    #[test]
    fn secrets_are_never_told_but_that_they_changed_is() {
        let check = |before: Value, after: Value, expected: Value| {
            let some = |side: Value| (!side.is_null()).then_some(side);
            let sides = Sides::of(some(before), some(after));
            assert_eq!(json!([sides.before, sides.after]), expected);
        };
        check(
            json!({ "username": "a", "password": "old", "token": "t" }),
            json!({ "username": "b", "password": "new", "token": "t" }),
            json!([
                { "username": "a", "password": "(secret)", "token": "(secret)" },
                { "username": "b", "password": "(changed)", "token": "(secret)" },
            ]),
        );
        check(
            Value::Null,
            json!({ "hooks": [{ "secret": "x" }, { "secret": "" }], "has_password": true }),
            json!([
                null,
                { "hooks": [{ "secret": "(secret)" }, { "secret": "" }], "has_password": true }
            ]),
        );
        check(
            json!({ "a": { "password": "x" }, "b": [{ "password": "y" }] }),
            json!({ "b": [{ "password": "z" }, { "password": "z" }] }),
            json!([
                { "a": { "password": "(secret)" }, "b": [{ "password": "(secret)" }] },
                { "b": [{ "password": "(changed)" }, { "password": "(secret)" }] },
            ]),
        );
        check(
            json!({ "url": "http://a/?k=1", "other": ["https://u:p@b/"] }),
            json!({ "url": "http://a/?k=2", "other": ["https://u:p@b/"] }),
            json!([
                { "url": "http://a/?(secret)", "other": ["https://(secret)@b/"] },
                { "url": "http://a/?(changed)", "other": ["https://(secret)@b/"] },
            ]),
        );
        check(
            json!({ "password": { "salt": "abc" } }),
            json!({ "password": null }),
            json!([{ "password": "(secret)" }, { "password": null }]),
        );
    }

    #[test]
    fn a_huge_side_is_left_out() {
        let sides = Sides::of(None, Some("x".repeat(SIDE_BYTES_MAX).into()));
        assert_eq!(
            sides.after,
            Some(json!({ "left_out_bytes": SIDE_BYTES_MAX + 2 }))
        );
    }

    #[test]
    fn records_are_asked_for_by_their_fields() {
        let entry = Entry {
            actor: "user:anna".to_owned(),
            action: "add_tag".to_owned(),
            device: Some("AABBCC-X-1".to_owned()),
            status: Some(204),
            ..Entry::default()
        };
        let check = |query: &str, expected: bool| {
            let query = Query::parse_for(&AUDIT, query).unwrap();
            let record = Recorded {
                at: 1_000,
                entry: &entry,
            };
            assert_eq!(query.matches(&record, 1_000 + 3_600), expected, "{query}");
        };
        check("", true);
        check("anna", true);
        check("actor = \"user:*\" and status < 300", true);
        check(
            "device = AABBCC-X-1 and action in (add_tag, remove_tag)",
            true,
        );
        check("age(at) < 30m", false);
        check("age(at) < 2h", true);
        check("has(error)", false);
        check("method = PUT", false);
        check("not status = 204", false);
        for field in AUDIT.fields {
            check(&format!("has({0}) or not has({0})", field.name), true);
        }
    }
}
