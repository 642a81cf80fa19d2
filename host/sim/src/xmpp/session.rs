//! Connection requests over the stream.

use std::time::Duration;

use ::xmpp::{Element, Io, Stream, ns, stanza};
use cwmp::connection_request::{XmppRequest, XmppVerdict};
use tokio::time::sleep;

use super::login::send;
use super::{Settings, Shared, count};
use crate::Oddity;
use crate::listener::TargetState;

/// Without a keep-alive: as good as never.
const SILENCE_MAX: Duration = Duration::from_secs(86_400);

/// Until the stream ends.
pub(super) async fn serve(shared: &Shared, settings: &Settings, mut stream: Stream<Io>, jid: &str) {
    let keep_alive = settings.keep_alive.unwrap_or(SILENCE_MAX);
    loop {
        let reply = tokio::select! {
            element = stream.read() => match element {
                Ok(Some(element)) => answer(shared, settings, &element, jid),
                Ok(None) | Err(_) => return,
            },
            () = sleep(keep_alive) => Some(" ".to_owned()),
        };
        if let Some(reply) = reply
            && send(&mut stream, &reply).await.is_err()
        {
            return;
        }
    }
}

fn answer(shared: &Shared, settings: &Settings, element: &Element, jid: &str) -> Option<String> {
    let mut xml = Vec::new();
    element.write_to(&mut xml).ok()?;
    let request = XmppRequest::read(&String::from_utf8_lossy(&xml)).ok()?;
    let Some(mut request) = request else {
        return other(shared, element);
    };
    request.to = jid.to_owned();
    let oddities = shared.oddities;
    let allowed = &settings.allowed;
    let is_allowed = allowed.is_empty() || allowed.iter().any(|jid| request.from.starts_with(jid));
    let is_right = (request.username.clone(), request.password.clone()) == shared.target.login();
    let busy = shared.target.state() != TargetState::Idle && !oddities.has(Oddity::RequestWaits);
    let verdict = if !is_allowed || busy || oddities.has(Oddity::XmppUnavailable) {
        XmppVerdict::Unavailable
    } else if is_right {
        XmppVerdict::Accepted
    } else {
        XmppVerdict::WrongCredentials
    };
    if oddities.has(Oddity::XmppSilent) {
        return None;
    }
    if verdict == XmppVerdict::Accepted {
        count(&shared.counts.accepted);
        shared.target.accept();
    } else {
        count(&shared.counts.refused);
    }
    if oddities.has(Oddity::XmppMisspelled) && verdict != XmppVerdict::Accepted {
        return Some(misspelled(&request, &verdict));
    }
    Some(request.answer(&verdict))
}

/// The request sent back, the code of old Jabber, and a condition that no standard knows.
fn misspelled(request: &XmppRequest, verdict: &XmppVerdict) -> String {
    let condition = match verdict {
        XmppVerdict::WrongCredentials => "not-autorized",
        _ => "service-unavailable",
    };
    let payload = format!(
        "<connectionRequest xmlns='{}'><username>{}</username></connectionRequest>\
         <error code='503' type='cancel'><{condition} xmlns='{}'/></error>",
        cwmp::connection_request::xmpp::NAMESPACE,
        stanza::escaped(&request.username),
        ns::STANZAS
    );
    stanza::iq("error", &request.id, &request.to, &request.from, &payload)
}

/// Whatever else is asked.
fn other(shared: &Shared, element: &Element) -> Option<String> {
    let get = |name: &'static str| element.attr(name).unwrap_or_default();
    if element.name() != "iq"
        || !matches!(get("type"), "get" | "set")
        || shared.oddities.has(Oddity::XmppIgnoresOthers)
    {
        return None;
    }
    let is_ping = element.children().any(|child| child.is("ping", ns::PING));
    let (kind, payload) = match is_ping {
        true => ("result", String::new()),
        false => ("error", stanza::error("cancel", "service-unavailable")),
    };
    Some(stanza::iq(
        kind,
        get("id"),
        get("to"),
        get("from"),
        &payload,
    ))
}
