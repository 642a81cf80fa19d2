//! What the provider says of a person → who it is here, and what they may.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::super::{Grant, Refusal};
use super::Person;
use crate::config::Oidc;

/// Characters of a name.
const NAME_CHARS_MAX: usize = 200;

/// The claims of a token whose signature was checked.
pub(super) fn payload(token: &str) -> Option<Map<String, Value>> {
    let payload = token.split('.').nth(1)?;
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice(&payload).ok()
}

/// Who it is.
///
/// # Errors
/// When they are not of those who may come, or no role is for them.
pub(super) fn person(settings: &Oidc, claims: &Map<String, Value>) -> Result<Person, Refusal> {
    let text = |name: &str| claim(claims, name).and_then(Value::as_str);
    let name = text(&settings.name_claim).unwrap_or_default();
    let length = name.chars().count();
    if !(1..=NAME_CHARS_MAX).contains(&length) || name.chars().any(char::is_control) {
        return Err(Refusal::NotWelcome(format!(
            "expected a name of 1 to {NAME_CHARS_MAX} characters in the claim {:?} (api.oidc.name_claim)",
            settings.name_claim
        )));
    }
    let by_email = settings.name_claim == "email" || !settings.allowed_domains.is_empty();
    if by_email && claim(claims, "email_verified") == Some(&Value::Bool(false)) {
        return Err(Refusal::NotWelcome(format!(
            "expected an e-mail address that the provider has verified, {name:?} is not"
        )));
    }
    if !settings.allowed_domains.is_empty() {
        let email = text("email").unwrap_or_default();
        let domain = email.rsplit_once('@').map(|(_, domain)| domain);
        let mut allowed = settings.allowed_domains.iter();
        if !allowed.any(|allowed| domain.is_some_and(|d| d.eq_ignore_ascii_case(allowed))) {
            return Err(Refusal::NotWelcome(format!(
                "expected an e-mail address of {}, got {email:?}",
                settings.allowed_domains.join(", ")
            )));
        }
    }
    let groups = &settings.allowed_groups;
    let is_in = |group: &String| has(claims, &settings.groups_claim, group);
    if !groups.is_empty() && !groups.iter().any(is_in) {
        return Err(Refusal::NotWelcome(format!(
            "{name:?} is in none of the groups that may log in (api.oidc.allowed_groups)"
        )));
    }
    let mut grants: Vec<Grant> = Vec::new();
    for rule in &settings.roles {
        let name = rule.claim.as_ref().unwrap_or(&settings.groups_claim);
        let grant = Grant {
            role: rule.role.clone(),
            instance: rule.instance.clone(),
        };
        if has(claims, name, &rule.value) && !grants.contains(&grant) {
            grants.push(grant);
        }
    }
    if grants.is_empty() {
        return Err(Refusal::NotWelcome(format!(
            "no role of [[api.oidc.roles]] is for {name:?}"
        )));
    }
    Ok(Person::Oidc {
        name: Arc::from(name),
        subject: text("sub").unwrap_or_default().to_owned(),
        grants,
    })
}

/// A claim by its name; `realm_access.roles` is one within another where none has that name.
fn claim<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let mut parts = name.split('.');
    let first = claims.get(parts.next()?)?;
    parts.try_fold(first, |value, part| value.get(part))
}

/// Whether a claim is this text, or a list with it.
fn has(claims: &Map<String, Value>, name: &str, wanted: &str) -> bool {
    match claim(claims, name) {
        Some(Value::Array(values)) => values.iter().any(|value| value == wanted),
        Some(value) => value == wanted,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings() -> Oidc {
        toml::from_str(
            r#"
            issuer = "https://login.example.net"
            client_id = "patchbay"
            allowed_domains = ["example.net"]
            allowed_groups = ["acs", "noc"]
            roles = [
                { value = "noc", role = "admin" },
                { value = "acs", role = "support", instance = "north" },
                { claim = "realm_access.roles", value = "boss", role = "read-only" },
            ]
            "#,
        )
        .unwrap()
    }

    fn check(claims: Value, expected: Result<&[(&str, Option<&str>)], &str>) {
        let claims = claims.as_object().unwrap();
        match (person(&settings(), claims), expected) {
            (Ok(Person::Oidc { grants, .. }), Ok(expected)) => {
                let grants: Vec<_> = grants
                    .iter()
                    .map(|grant| (grant.role.as_str(), grant.instance.as_deref()))
                    .collect();
                assert_eq!(grants, expected);
            }
            (Err(refusal), Err(part)) => {
                assert!(refusal.to_string().contains(part), "{refusal}");
            }
            (found, expected) => panic!("{found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn claims_become_roles() {
        let email = "anna@example.net";
        check(
            json!({ "email": email, "groups": ["x", "acs"] }),
            Ok(&[("support", Some("north"))]),
        );
        check(
            json!({ "email": email, "groups": ["noc", "acs"], "realm_access": { "roles": ["boss"] } }),
            Ok(&[
                ("admin", None),
                ("support", Some("north")),
                ("read-only", None),
            ]),
        );
        check(
            json!({ "email": email, "groups": "noc" }),
            Ok(&[("admin", None)]),
        );
    }

    #[test]
    fn who_may_not_come() {
        let email = "anna@example.net";
        check(json!({ "groups": ["noc"] }), Err("name_claim"));
        check(json!({ "email": 7, "groups": ["noc"] }), Err("name_claim"));
        check(
            json!({ "email": email, "email_verified": false, "groups": ["noc"] }),
            Err("verified"),
        );
        for other in [
            "anna@example.org",
            "anna@example.net.evil.example",
            "example.net",
        ] {
            check(
                json!({ "email": other, "groups": ["noc"] }),
                Err("example.net"),
            );
        }
        check(
            json!({ "email": email, "groups": ["x"] }),
            Err("allowed_groups"),
        );
        check(json!({ "email": email }), Err("allowed_groups"));
    }
}
