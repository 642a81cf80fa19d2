//! A session as a conversation in plain text, for whoever has to read it at night.

use std::fmt::Write;

use cwmp::{Message, Request, Response};

use super::pretty::{pretty, push};
use super::session::{Body, Entry, Head, Session, Told};

/// Where bodies and what else belongs to a line begin.
const INDENT: &str = "            ";
/// Characters of one thing in the essentials of a message.
const ESSENTIAL_CHARS_MAX: usize = 120;

/// The whole conversation.
pub fn text(session: &Session) -> String {
    let mut out = String::with_capacity(4_096);
    header(&session.head, &mut out);
    for entry in &session.entries {
        out.push('\n');
        self::entry(entry, &mut out);
    }
    let _ = writeln!(
        out,
        "\n{:>9}  ── {}",
        seconds(session.head.duration),
        ending(&session.head)
    );
    out
}

fn header(head: &Head, out: &mut String) {
    let started = jiff::Timestamp::from_millisecond(head.started);
    let started = started.map(|at| at.to_string()).unwrap_or_default();
    let _ = writeln!(out, "session   {}", head.id);
    let _ = writeln!(
        out,
        "device    {} (instance {})",
        head.device, head.instance
    );
    let _ = writeln!(out, "started   {started}, from {}", head.peer);
    let _ = writeln!(out, "events    {}", head.events.join(", "));
    let _ = writeln!(out, "ended     {}", ending(head));
    if head.left_out > 0 {
        let _ = writeln!(
            out,
            "          {} entries are missing: there was no room",
            head.left_out
        );
    }
}

fn ending(head: &Head) -> String {
    let faults = match head.faults {
        0 => String::new(),
        1 => ", 1 fault".to_owned(),
        n => format!(", {n} faults"),
    };
    let how = head.ended.as_deref().unwrap_or("still under way");
    let rpcs = match head.rpcs {
        1 => "1 RPC".to_owned(),
        n => format!("{n} RPCs"),
    };
    format!("{how}, {rpcs}{faults}, {} s", seconds(head.duration))
}

fn entry(entry: &Entry, out: &mut String) {
    let at = seconds(entry.at);
    match &entry.what {
        Told::Request {
            method,
            target,
            version,
            headers,
            message,
            body,
        } => {
            let what = essentials(message.as_deref(), body);
            let _ = writeln!(out, "{at:>9}  device → ACS  {what}");
            let _ = writeln!(out, "{INDENT}{method} {} {version}", one_line(target));
            message_parts(headers, body, out);
        }
        Told::Answer {
            status,
            headers,
            message,
            body,
        } => {
            let what = essentials(message.as_deref(), body);
            let _ = writeln!(out, "{at:>9}  device ← ACS  {what}");
            let _ = writeln!(out, "{INDENT}{status}");
            message_parts(headers, body, out);
        }
        Told::Plugin {
            hook,
            plugin,
            changes,
            failure,
            took,
        } => {
            let took = match took {
                0 => String::new(),
                took => format!(", {took} µs"),
            };
            let _ = writeln!(out, "{at:>9}  plugin {plugin}, {hook}{took}");
            for change in changes {
                let _ = writeln!(out, "{INDENT}{}", one_line(change));
            }
            if let Some(failure) = failure {
                let _ = writeln!(out, "{INDENT}failed: {}", one_line(failure));
            }
        }
        Told::Note { text } => {
            let _ = writeln!(
                out,
                "{at:>9}  • {}",
                text.replace('\n', &format!("\n{INDENT}  "))
            );
        }
    }
}

fn message_parts(headers: &[(String, String)], body: &Body, out: &mut String) {
    for (name, value) in headers {
        let _ = writeln!(out, "{INDENT}{name}: {}", one_line(value));
    }
    let shown = body.shown();
    if shown.trim().is_empty() {
        return;
    }
    out.push('\n');
    for line in pretty(&shown) {
        let _ = writeln!(out, "{INDENT}{line}");
    }
    if body.cut {
        let _ = writeln!(out, "{INDENT}… {} bytes in all", body.bytes);
    }
}

/// The RPC, and what matters of it.
fn essentials(message: Option<&str>, body: &Body) -> String {
    let Some(name) = message else {
        return match body.bytes {
            0 => "empty".to_owned(),
            bytes => format!("no message, {bytes} bytes"),
        };
    };
    let parsed = Message::parse(body.shown().as_bytes());
    let what = match parsed.map(|message| message.body) {
        Ok(cwmp::Body::Request(request)) => of_request(&request),
        Ok(cwmp::Body::Response(response)) => of_response(&response),
        Ok(cwmp::Body::Fault(fault)) => {
            let known = cwmp::rpc::fault::name(fault.code).unwrap_or_default();
            format!("{} {known} {:?}", fault.code, fault.text)
        }
        Err(error) => format!("cannot be read: {error}"),
    };
    let what: String = what.chars().take(ESSENTIAL_CHARS_MAX).collect();
    one_line(format!("{name}  {what}").trim_end())
}

fn of_request(request: &Request) -> String {
    let some = |names: &[String]| match names {
        [one] => one.clone(),
        names => format!("{} names: {}", names.len(), names.join(" ")),
    };
    match request {
        Request::Inform(inform) => {
            let events: Vec<&str> = inform.events.iter().map(|e| e.code.as_str()).collect();
            let (events, count) = (events.join(", "), inform.parameters.len());
            match inform.retry_count {
                0 => format!("{events}; {count} parameters"),
                retries => format!("{events}; {count} parameters; retry {retries}"),
            }
        }
        Request::GetParameterValues(names) | Request::GetParameterAttributes(names) => some(names),
        Request::SetParameterValues(set) => {
            let values: Vec<String> = set
                .parameters
                .iter()
                .map(|parameter| format!("{} = {}", parameter.path, parameter.value))
                .collect();
            match values.as_slice() {
                [one] => one.clone(),
                values => format!("{} values: {}", values.len(), values.join(", ")),
            }
        }
        Request::GetParameterNames(names) => {
            let level = if names.next_level { " (one level)" } else { "" };
            format!("{:?}{level}", names.path)
        }
        Request::AddObject(object) => object.object_name.clone(),
        Request::DeleteObject(object) => object.object_name.clone(),
        Request::Download(transfer) => format!("{:?} {}", transfer.file_type, transfer.url),
        Request::Upload(transfer) => format!("{:?} {}", transfer.file_type, transfer.url),
        Request::TransferComplete(done) => match done.fault.code {
            0 => format!("{} done", done.command_key),
            code => format!("{} failed: {code} {:?}", done.command_key, done.fault.text),
        },
        Request::Reboot(key) => key.clone(),
        _ => String::new(),
    }
}

fn of_response(response: &Response) -> String {
    match response {
        Response::GetParameterValues(values) => match values.as_slice() {
            [one] => format!("{} = {}", one.path, one.value),
            values => format!("{} values", values.len()),
        },
        Response::GetParameterNames(names) => format!("{} names", names.len()),
        Response::GetParameterAttributes(attributes) => format!("{} attributes", attributes.len()),
        Response::GetRpcMethods(methods) => methods.join(" "),
        Response::SetParameterValues(applied) | Response::DeleteObject(applied) => {
            format!("{applied:?}")
        }
        Response::AddObject(instance, applied) => format!("instance {instance}, {applied:?}"),
        Response::Download(started) | Response::Upload(started) => format!("{:?}", started.applied),
        _ => String::new(),
    }
}

/// What devices and plugins say must neither look like lines of ours nor control a terminal.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    push(&mut line, text);
    line
}

/// Microseconds as `1.234`.
fn seconds(microseconds: u64) -> String {
    let milliseconds = microseconds.saturating_add(500) / 1_000;
    format!("{}.{:03}", milliseconds / 1_000, milliseconds % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::SessionId;
    use expect_test::expect;

    #[test]
    fn a_conversation() {
        let headers = vec![("content-type".to_owned(), "text/xml".to_owned())];
        let body = |text: &str| Body {
            text: text.to_owned(),
            bytes: text.len(),
            ..Body::default()
        };
        let fault = "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body><e:Fault><detail><Fault><FaultCode>9005</FaultCode><FaultString>no\nsuch</FaultString></Fault></detail></e:Fault></e:Body></e:Envelope>";
        let session = Session {
            head: Head {
                id: SessionId(0x1f),
                instance: "default".into(),
                device: "00AABB-Box-1".into(),
                started: 1_767_225_600_123,
                duration: 41_600,
                peer: "192.0.2.7".into(),
                events: vec!["1 BOOT".into(), "4 VALUE CHANGE".into()],
                rpcs: 1,
                faults: 1,
                ended: Some("done".into()),
                left_out: 0,
            },
            entries: vec![
                Entry {
                    at: 0,
                    what: Told::Request {
                        method: "POST".into(),
                        target: "/acs".into(),
                        version: "HTTP/1.1".into(),
                        headers: headers.clone(),
                        message: Some("Fault".into()),
                        body: body(fault),
                    },
                },
                Entry {
                    at: 1_000,
                    what: Told::Plugin {
                        hook: "on-inform".into(),
                        plugin: "zte 1.0".into(),
                        changes: vec!["- Device.A = x".into(), "+ Device.A = y".into()],
                        failure: Some("unreachable".into()),
                        took: 130,
                    },
                },
                Entry {
                    at: 1_400,
                    what: Told::Note {
                        text: "task t-1 Failed".into(),
                    },
                },
                Entry {
                    at: 41_600,
                    what: Told::Answer {
                        status: 204,
                        headers,
                        message: None,
                        body: body(""),
                    },
                },
            ],
        };
        expect![[r#"
            session   s-1f
            device    00AABB-Box-1 (instance default)
            started   2026-01-01T00:00:00.123Z, from 192.0.2.7
            events    1 BOOT, 4 VALUE CHANGE
            ended     done, 1 RPC, 1 fault, 0.042 s

                0.000  device → ACS  Fault  9005 Invalid parameter name "no\nsuch"
                        POST /acs HTTP/1.1
                        content-type: text/xml

                        <e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/">
                          <e:Body>
                            <e:Fault>
                              <detail>
                                <Fault>
                                  <FaultCode>9005</FaultCode>
                                  <FaultString>no⏎such</FaultString>
                                </Fault>
                              </detail>
                            </e:Fault>
                          </e:Body>
                        </e:Envelope>

                0.001  plugin zte 1.0, on-inform, 130 µs
                        - Device.A = x
                        + Device.A = y
                        failed: unreachable

                0.001  • task t-1 Failed

                0.042  device ← ACS  empty
                        204
                        content-type: text/xml

                0.042  ── done, 1 RPC, 1 fault, 0.042 s
        "#]]
        .assert_eq(&text(&session));
    }
}
