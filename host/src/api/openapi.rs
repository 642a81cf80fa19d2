//! THE OPENAPI TEXT: what the routes say of themselves, with what all of them share, and the
//! permission that each operation needs.

mod shapes;

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Method;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Response, Schema};
use utoipa::{Modify, OpenApi as _, ToSchema as _};

use super::error::ErrorBody;
use crate::access::Permission;

/// The name of the security scheme whose scopes are permissions.
const TOKEN: &str = "token";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Patchbay",
        description = "The northbound interface of Patchbay, an Auto Configuration Server for TR-069.\n\n\
            Times are RFC 3339 texts, lists come in pages (`items`, and `next` to be given back as \
            `after`), errors are `{\"error\": {\"code\", \"message\"}}`. Each operation names the \
            permission that it needs, as the scope of its security requirement."
    ),
    servers(
        (url = "/v1", description = "The caller's own instance, and the host"),
        (
            url = "/v1/instances/{instance}", description = "Another instance",
            variables(("instance" = (default = "default", description = "Its name")))
        ),
    ),
    modifiers(&Security)
)]
struct Document;

struct Security;

impl Modify for Security {
    fn modify(&self, openapi: &mut OpenApi) {
        let scheme = Http::builder()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "An API token; that of the configuration may do everything.",
            ))
            .build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme(TOKEN, SecurityScheme::Http(scheme));
    }
}

/// The text without routes.
pub(super) fn document() -> OpenApi {
    Document::openapi()
}

/// Answers that more or less all operations may give, so that no module has to say so.
pub(super) fn with_shared_answers(mut openapi: OpenApi) -> OpenApi {
    let components = openapi.components.get_or_insert_default();
    let schema = <ErrorBody as utoipa::PartialSchema>::schema();
    components
        .schemas
        .insert(ErrorBody::name().into_owned(), schema);
    let mut referred = Vec::new();
    ErrorBody::schemas(&mut referred);
    components.schemas.extend(referred);
    shapes::reshape(components);
    for item in openapi.paths.paths.values_mut() {
        for (method, operation) in [
            (Method::GET, &mut item.get),
            (Method::PUT, &mut item.put),
            (Method::POST, &mut item.post),
            (Method::DELETE, &mut item.delete),
            (Method::PATCH, &mut item.patch),
        ] {
            if let Some(operation) = operation {
                share(&method, operation);
            }
        }
    }
    openapi
}

fn share(method: &Method, operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter
            && let Some(RefOr::T(Schema::Object(number))) = &mut parameter.schema
            && number.minimum.is_some()
            && number.maximum.is_none()
        {
            // The formats are of signed numbers; ours go further.
            number.format = None;
        }
    }
    for answer in operation.responses.responses.values_mut() {
        if let RefOr::T(answer) = answer
            && answer.description.is_empty()
        {
            "As it was asked for".clone_into(&mut answer.description);
        }
        if let RefOr::T(answer) = answer
            && let Some(RefOr::T(stream)) = answer.content.get_mut("text/event-stream")
        {
            // A schema would be that of each event, of which OpenAPI 3.1 has no idea.
            stream.schema = None;
        }
    }
    let is_open = needs(operation) == Some(Needs::Nothing);
    let has_body = operation.request_body.is_some();
    let changes = !method.is_safe();
    for (status, given, what) in [
        ("400", true, "What was asked for cannot be understood"),
        ("401", !is_open, "It is not known who asks"),
        ("403", !is_open, "The caller may not do this"),
        (
            "404",
            !is_open,
            "There is no such thing, or no such instance",
        ),
        ("409", changes, "It does not fit what is there"),
        ("413", has_body, "The body is too large"),
        ("415", has_body, "The body is of another type"),
        ("422", has_body, "The body does not have the right form"),
        ("500", true, "The host failed"),
        (
            "503",
            true,
            "Not now; `Retry-After` says when it is worth trying again",
        ),
    ] {
        if given {
            let responses = &mut operation.responses.responses;
            let answer = responses.entry(status.to_owned());
            answer.or_insert_with(|| RefOr::T(error_answer(what)));
        }
    }
}

fn error_answer(what: &str) -> Response {
    let schema = Ref::from_schema_name(ErrorBody::name());
    let content = Content::new(Some(schema));
    Response::builder()
        .description(what)
        .content("application/json", content)
        .build()
}

/// Who may use an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// Anybody: login, health.
    Nothing,
    /// Whoever is signed in.
    Principal,
    /// Whoever may do this.
    Permission(Permission),
}

/// What each operation needs, by its path (as it is routed) and method.
#[derive(Debug, Clone, Default)]
pub(super) struct Needed(Arc<BTreeMap<String, BTreeMap<String, Needs>>>);

impl Needed {
    /// As the text has it; the paths of the text are below `prefix`. An operation that says
    /// nothing of its security is not in it, and thereby refused.
    pub(super) fn of(openapi: &OpenApi, prefix: &str) -> Needed {
        let paths = openapi.paths.paths.iter().map(|(path, item)| {
            let operations = operations(item);
            let needs = operations
                .filter_map(|(method, operation)| Some((method.to_string(), needs(operation)?)));
            (format!("{prefix}{path}"), needs.collect())
        });
        Needed(Arc::new(paths.collect()))
    }

    /// What a request needs whose path was routed as `path`. HEAD needs what GET needs.
    pub(super) fn by(&self, path: &str, method: &Method) -> Result<Needs, Untold> {
        let methods = self.0.get(path).ok_or(Untold::Path)?;
        let get = || {
            methods
                .get(Method::GET.as_str())
                .filter(|_| method == Method::HEAD)
        };
        let found = methods.get(method.as_str()).or_else(get);
        found
            .copied()
            .ok_or_else(|| Untold::Method(methods.keys().cloned().collect()))
    }
}

/// Why it is not known what a request needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Untold {
    /// Its path is not in the text.
    Path,
    /// Its path has other methods, these.
    Method(Vec<String>),
}

/// What an operation's `security` says; `None`: nothing, or what is no permission.
pub(super) fn needs(operation: &Operation) -> Option<Needs> {
    let requirements = serde_json::to_value(operation.security.as_ref()?).ok()?;
    let [requirement] = requirements.as_array()?.as_slice() else {
        return None;
    };
    let requirement = requirement.as_object()?;
    if requirement.is_empty() {
        return Some(Needs::Nothing);
    }
    let scopes = requirement.get(TOKEN)?.as_array()?;
    match scopes.as_slice() {
        [] => Some(Needs::Principal),
        [scope] => Some(Needs::Permission(scope.as_str()?.parse().ok()?)),
        _ => None,
    }
}

/// The operations of a path with their methods.
pub(super) fn operations(item: &PathItem) -> impl Iterator<Item = (Method, &Operation)> {
    [
        (Method::GET, &item.get),
        (Method::PUT, &item.put),
        (Method::POST, &item.post),
        (Method::DELETE, &item.delete),
        (Method::OPTIONS, &item.options),
        (Method::HEAD, &item.head),
        (Method::PATCH, &item.patch),
        (Method::TRACE, &item.trace),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_operation_says_what_it_needs() {
        let text = crate::api::openapi();
        let needed = Needed::of(&text, "");
        let mut ids = BTreeSet::new();
        for (path, item) in &text.paths.paths {
            for (method, operation) in operations(item) {
                let needs = needed.by(path, &method);
                assert!(needs.is_ok(), "{method} {path}: no security(…)");
                assert!(
                    operation.tags.is_some(),
                    "{method} {path}: without a tag it is hard to find"
                );
                let id = operation.operation_id.clone().unwrap_or_default();
                assert!(ids.insert(id), "{method} {path}: another one has its id");
            }
        }
        assert!(!ids.is_empty());
    }

    /// Changes of the interface are seen where they are reviewed.
    #[test]
    fn the_text_is_as_it_was_checked_in() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
        let text = crate::api::openapi().to_pretty_json().unwrap() + "\n";
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            std::fs::write(file, &text).unwrap();
        }
        let checked_in = std::fs::read_to_string(file).unwrap_or_default();
        assert!(
            checked_in == text,
            "the API has changed: look at it with `patchbay openapi | diff docs/openapi.json -`, then write it \
             with `patchbay openapi > docs/openapi.json`"
        );
    }

    #[test]
    fn what_says_nothing_is_refused() {
        #[utoipa::path(get, path = "/nothing")]
        #[allow(dead_code, reason = "only what it says of itself is looked at")]
        fn nothing() {}
        #[utoipa::path(get, path = "/odd", security(("token" = ["devices:eat"])))]
        #[allow(dead_code, reason = "only what it says of itself is looked at")]
        fn odd() {}
        #[utoipa::path(get, path = "/open", security(()))]
        #[allow(dead_code, reason = "only what it says of itself is looked at")]
        fn open() {}
        #[utoipa::path(get, path = "/me", security(("token" = [])))]
        #[allow(dead_code, reason = "only what it says of itself is looked at")]
        fn me() {}
        #[derive(utoipa::OpenApi)]
        #[openapi(paths(nothing, odd, open, me))]
        struct Text;
        let needed = Needed::of(&Text::openapi(), "/v1");
        let untold = Err(Untold::Method(vec![]));
        assert_eq!(needed.by("/v1/nothing", &Method::GET), untold);
        assert_eq!(needed.by("/v1/odd", &Method::GET), untold);
        assert_eq!(needed.by("/v1/open", &Method::GET), Ok(Needs::Nothing));
        assert_eq!(needed.by("/v1/me", &Method::HEAD), Ok(Needs::Principal));
        assert_eq!(
            needed.by("/v1/me", &Method::PUT),
            Err(Untold::Method(vec!["GET".to_owned()]))
        );
        assert_eq!(needed.by("/v1/other", &Method::GET), Err(Untold::Path));
    }
}
