//! An XMPP server of somebody else: what the ACS asks of it, as a component or as a client.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cwmp::connection_request::{XmppRequest, XmppVerdict};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_xmpp::jid::Jid;
use xmpp::{Element, ns};

use super::commands::{self, Command};
use super::iqs::{Iq, IqAnswer};
use super::link::Link;
use super::requests::{RequestError, of_verdict};
use super::{account, client, component};
use crate::clock::Clock;
use crate::config;
use crate::device::Credentials;

/// Requests that wait to be written.
const OUTBOX_MAX: usize = 256;
/// For one step of a command.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(5);
/// Characters of a password that the operator is told.
const PASSWORD_CHARS: usize = 24;

/// The server, seen from here.
pub(super) struct External {
    link: Arc<Link>,
    outbox: mpsc::Sender<Iq>,
    role: Role,
    domain: String,
    secret: String,
    accounts: config::XmppAccounts,
    waiting: Mutex<Option<mpsc::Receiver<Iq>>>,
}

enum Role {
    Component(component::Settings),
    Client(Box<client::Settings>),
}

impl External {
    /// From settings that were checked.
    pub(super) fn new(settings: &config::Xmpp, clock: Clock) -> anyhow::Result<External> {
        let secret = settings.secret.clone().unwrap_or_default();
        let role = match settings.mode {
            config::XmppMode::Client => {
                let tls = settings.ca.as_deref().map(client::trusting).transpose()?;
                Role::Client(Box::new(client::Settings {
                    server: settings.server.clone(),
                    jid: Jid::new(&settings.jid)?,
                    password: secret.clone(),
                    tls,
                }))
            }
            _ => Role::Component(component::Settings {
                server: settings.server.clone(),
                domain: settings.jid.clone(),
                secret: secret.clone(),
            }),
        };
        let (outbox, waiting) = mpsc::channel(OUTBOX_MAX);
        Ok(External {
            link: Arc::new(Link::new(clock)),
            outbox,
            role,
            domain: settings.domain.clone(),
            secret,
            accounts: settings.accounts,
            waiting: Mutex::new(Some(waiting)),
        })
    }

    /// Keeps the link until `shutdown`.
    pub(super) fn run(&self, tasks: &mut JoinSet<()>, shutdown: &watch::Receiver<bool>) {
        let Some(outbox) = self.waiting.lock().take() else {
            return;
        };
        let (link, shutdown) = (Arc::clone(&self.link), shutdown.clone());
        match &self.role {
            Role::Component(settings) => {
                tasks.spawn(component::run(settings.clone(), link, outbox, shutdown));
            }
            Role::Client(settings) => {
                tasks.spawn(client::run((**settings).clone(), link, outbox, shutdown));
            }
        }
    }

    /// Asks a device for a session, at its full JID.
    pub(super) async fn connection_request(
        &self,
        to: &str,
        credentials: &Credentials,
        wait: Duration,
    ) -> Result<(), RequestError> {
        let request = XmppRequest {
            id: String::new(),
            from: String::new(),
            to: String::new(),
            username: credentials.username.clone(),
            password: credentials.password.clone(),
        };
        let stanza = request
            .to_xml()
            .replacen("<iq", &format!("<iq xmlns='{}'", ns::CLIENT), 1);
        let payload = stanza
            .parse::<Element>()
            .ok()
            .and_then(|mut iq| iq.unshift_child());
        let Some(payload) = payload else {
            return Err(RequestError::Other("it cannot be written".to_owned()));
        };
        match self.ask(to, false, payload, wait).await? {
            IqAnswer::Result(_) => Ok(()),
            IqAnswer::Error(verdict) => of_verdict(verdict),
        }
    }

    async fn ask(
        &self,
        to: &str,
        is_set: bool,
        payload: Element,
        wait: Duration,
    ) -> Result<IqAnswer, RequestError> {
        if let Some(trouble) = self.link.trouble() {
            return Err(RequestError::NoLink(trouble));
        }
        let (answer, answered) = oneshot::channel();
        let iq = Iq {
            to: to.to_owned(),
            is_set,
            payload,
            answer,
        };
        if self.outbox.try_send(iq).is_err() {
            return Err(RequestError::NoLink("it does not keep up".to_owned()));
        }
        match tokio::time::timeout(wait, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(RequestError::NoLink("it broke".to_owned())),
            Err(_) => Err(RequestError::Timeout(wait.as_secs())),
        }
    }

    /// Where a device's account is, and, where the operator makes it, its password.
    pub(super) fn account_of(&self, username: &str) -> (&str, Option<String>) {
        let is_derived = self.accounts == config::XmppAccounts::Operator;
        let password = is_derived.then(|| self.password(username));
        (&self.domain, password)
    }

    /// The password of a device: random, or derived where the operator makes the accounts.
    pub(super) fn password(&self, username: &str) -> String {
        match self.accounts {
            config::XmppAccounts::Commands => account::new_password(),
            config::XmppAccounts::Operator => derived_password(&self.secret, username),
        }
    }

    /// Makes an account, or gives it another password if it is there.
    pub(super) async fn make_account(&self, username: &str, password: &str) -> Result<(), String> {
        if self.accounts == config::XmppAccounts::Operator {
            return Ok(());
        }
        match self.command(Command::AddUser, username, password).await {
            Ok(()) => Ok(()),
            // It is there already, most likely; if not, this fails too.
            Err(error) => self
                .command(Command::ChangePassword, username, password)
                .await
                .map_err(|second| format!("no account on the XMPP server: {error}; {second}")),
        }
    }

    async fn command(
        &self,
        command: Command,
        username: &str,
        password: &str,
    ) -> Result<(), String> {
        let jid = format!("{username}@{}", self.domain);
        let begun = self.step(command.execute()).await?;
        let session = begun.as_ref().and_then(commands::session);
        let Some(session) = session else {
            return Err("the server began no command".to_owned());
        };
        let done = self.step(command.complete(session, &jid, password)).await?;
        commands::outcome(done.as_ref())
    }

    async fn step(&self, payload: Element) -> Result<Option<Element>, String> {
        let answer = self
            .ask(&self.domain, true, payload, COMMAND_TIME_MAX)
            .await;
        match answer.map_err(|error| error.to_string())? {
            IqAnswer::Result(payload) => Ok(payload),
            IqAnswer::Error(XmppVerdict::Other(condition)) => Err(condition),
            IqAnswer::Error(XmppVerdict::Unavailable) => {
                Err("it has no commands for administrators".to_owned())
            }
            IqAnswer::Error(_) => Err("the ACS is no administrator there".to_owned()),
        }
    }

    /// For the operator.
    pub(super) fn is_up(&self) -> bool {
        self.link.state().up
    }

    pub(super) fn status(&self) -> Value {
        let mode = match &self.role {
            Role::Component(_) => "component",
            Role::Client(_) => "client",
        };
        json!({ "mode": mode, "link": self.link.state() })
    }
}

/// The password of an account that the operator makes: the same each time, and nobody else's.
pub fn derived_password(secret: &str, username: &str) -> String {
    let mut hasher = Sha256::new();
    for part in ["patchbay xmpp account", secret, username] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let mut text = URL_SAFE_NO_PAD.encode(hasher.finalize());
    text.truncate(PASSWORD_CHARS);
    text
}
