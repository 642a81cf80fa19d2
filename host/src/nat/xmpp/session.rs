//! A device that is online: its stanzas, and ours for it.

use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep_until, timeout};
use xmpp::{Io, Limits, Stream, StreamError, stanza};

use super::login::LoggedIn;
use super::online::Outgoing;
use super::routing::{Parties, Routed, route};
use super::server::Server;

/// How long a device may take to take what is written to it.
const WRITE_TIME_MAX: Duration = Duration::from_secs(30);

/// Serves a device from its login to the end of its stream.
pub(super) async fn serve(server: &Server, login: LoggedIn) {
    let LoggedIn {
        mut stream,
        username,
        resource,
        bound,
    } = login;
    stream.set_limits(Limits::KNOWN);
    let now = server.accounts.now();
    let (number, inbox) = server.online.insert(&username, &resource, now);
    server.counters.logins.add(1);
    server.accounts.went_online(&username, &resource);
    tracing::debug!(username, resource, "a device is online over XMPP");
    let ended = talk(server, &mut stream, inbox, &username, &bound).await;
    match &ended {
        Ok(()) => tracing::debug!(username, resource, "a device has ended its XMPP stream"),
        Err(error) => {
            if let Some(condition) = error.condition() {
                server.counters.streams_refused.add(1);
                tracing::info!(username, %error, "an XMPP stream was refused");
                let _ = write(&mut stream, &stanza::stream_error(condition)).await;
            }
        }
    }
    if server.online.remove(&username, number) {
        server.accounts.went_offline(&username);
    }
    let _ = timeout(WRITE_TIME_MAX, stream.close()).await;
}

async fn talk(
    server: &Server,
    stream: &mut Stream<Io>,
    mut inbox: Receiver<Outgoing>,
    username: &str,
    bound: &str,
) -> Result<(), StreamError> {
    write(stream, bound).await?;
    let device = format!("{username}@{}", server.settings.domain);
    let mut quiet_until = Instant::now() + server.settings.keep_alive;
    loop {
        tokio::select! {
            element = stream.read() => {
                let Some(element) = element? else {
                    return write(stream, "</stream:stream>").await;
                };
                let parties = Parties {
                    domain: &server.settings.domain,
                    acs: &server.settings.acs,
                    device: &device,
                };
                let reply = match route(&element, parties) {
                    Routed::Reply(reply) => reply,
                    Routed::Refused(reply) => {
                        server.counters.stanzas_refused.add(1);
                        reply
                    }
                    Routed::Answer(answer) => {
                        if !server.requests.answered(username, answer) {
                            tracing::debug!(username, "an answer to no connection request");
                        }
                        continue;
                    }
                    Routed::Nothing => continue,
                };
                write(stream, &reply).await?;
            }
            outgoing = inbox.recv() => match outgoing {
                Some(Outgoing::Stanza(stanza)) => write(stream, &stanza).await?,
                Some(Outgoing::Replaced) => {
                    return write(stream, &stanza::stream_error("conflict")).await;
                }
                // The server stops.
                None => return write(stream, &stanza::stream_error("system-shutdown")).await,
            },
            // White space keeps NAT bindings alive and shows a dead connection. Pings would
            // not do: there are devices that are well and answer none.
            () = sleep_until(quiet_until) => {
                write(stream, " ").await?;
                quiet_until = Instant::now() + server.settings.keep_alive;
            }
        }
    }
}

async fn write(stream: &mut Stream<Io>, text: &str) -> Result<(), StreamError> {
    match timeout(WRITE_TIME_MAX, stream.write(text)).await {
        Ok(written) => written,
        Err(_) => Err(StreamError::Io(std::io::ErrorKind::TimedOut.into())),
    }
}
