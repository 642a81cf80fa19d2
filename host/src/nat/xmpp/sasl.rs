//! The login of a device (RFC 6120 §6), the server's half: PLAIN and SCRAM.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use xmpp::scram::{Challenged, ClientFirst, Hash, ITERATIONS, ScramError, plain};
use xmpp::{Element, ns};

use super::account;
use super::server::Server;
use crate::device::XmppAccount;

/// What is answered to one message of the client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Go on with this.
    Challenge(String),
    /// It is this account; the last word of the server is written.
    Success(String, String),
    /// No, and why: the condition of RFC 6120 §6.5.
    Failure(&'static str),
}

/// The mechanisms to offer, as an element of the stream features. PLAIN tells the password to
/// whoever reads along: only under TLS, unless the operator wants it.
pub(super) fn mechanisms(with_plain: bool) -> String {
    let plain = if with_plain {
        "<mechanism>PLAIN</mechanism>"
    } else {
        ""
    };
    format!(
        "<mechanisms xmlns='{}'><mechanism>SCRAM-SHA-256</mechanism>\
         <mechanism>SCRAM-SHA-1</mechanism>{plain}</mechanisms>",
        ns::SASL
    )
}

/// One login, message by message.
pub(super) struct Exchange<'s> {
    server: &'s Server,
    with_plain: bool,
    stage: Stage,
    /// Who the client last said it is.
    username: String,
}

enum Stage {
    /// Nothing yet, or a failure.
    Start,
    /// A mechanism was named without its first message.
    Named(Option<Hash>),
    Challenged(Box<(Challenged, Hash, Login)>),
}

/// Who wants to log in; without an account the exchange goes on all the same, to its failure.
struct Login {
    username: String,
    account: Option<XmppAccount>,
}

impl<'s> Exchange<'s> {
    pub(super) fn new(server: &'s Server, with_plain: bool) -> Exchange<'s> {
        Exchange {
            server,
            with_plain,
            stage: Stage::Start,
            username: String::new(),
        }
    }

    /// Who the client last said it is; empty: it has not.
    pub(super) fn username(&self) -> &str {
        &self.username
    }

    /// Takes `<auth/>`, `<response/>` or `<abort/>`; `None`: it is none of these.
    pub(super) async fn take(&mut self, element: &Element) -> Option<Answer> {
        let text = element.text();
        let stage = std::mem::replace(&mut self.stage, Stage::Start);
        let answer = match (element.name(), stage) {
            ("auth", _) => {
                let hash = match element.attr("mechanism").unwrap_or_default() {
                    "PLAIN" if self.with_plain => None,
                    "PLAIN" => return Some(Answer::Failure("encryption-required")),
                    name => match Hash::of_mechanism(name) {
                        Some(hash) => Some(hash),
                        None => return Some(Answer::Failure("invalid-mechanism")),
                    },
                };
                if text.trim().is_empty() {
                    self.stage = Stage::Named(hash);
                    return Some(Answer::Challenge(String::new()));
                }
                self.first(hash, &text).await
            }
            ("response", Stage::Named(hash)) => self.first(hash, &text).await,
            ("response", Stage::Challenged(challenged)) => {
                let (challenged, hash, login) = *challenged;
                last(challenged, hash, &login, &text)
            }
            ("response", Stage::Start) => Answer::Failure("malformed-request"),
            ("abort", _) => Answer::Failure("aborted"),
            _ => return None,
        };
        Some(answer)
    }

    /// The first message of the client. No hash: PLAIN.
    async fn first(&mut self, hash: Option<Hash>, text: &str) -> Answer {
        let Some(message) = decoded(text) else {
            return Answer::Failure("incorrect-encoding");
        };
        let Some(hash) = hash else {
            return match plain(&message) {
                Some((username, password)) => self.plain(username, password).await,
                None => Answer::Failure("malformed-request"),
            };
        };
        let first = match ClientFirst::read(hash, &message) {
            Ok(first) => first,
            Err(error) => return Answer::Failure(condition(error)),
        };
        let login = self.login(&first.username);
        let salt = match &login.account {
            Some(account) => account::salt(account),
            None => self.salt_of_nobody(&login.username),
        };
        let nonce = format!("{:032x}", rand::random::<u128>());
        let (challenged, challenge) = first.challenge(&salt, ITERATIONS, &nonce);
        self.stage = Stage::Challenged(Box::new((challenged, hash, login)));
        Answer::Challenge(challenge)
    }

    async fn plain(&mut self, username: &str, password: &str) -> Answer {
        let login = self.login(username);
        let account = login.account.unwrap_or_default();
        let password = password.to_owned();
        let _turn = self.server.password_checks.acquire().await;
        let checked =
            tokio::task::spawn_blocking(move || account::has_password(&account, &password)).await;
        match checked {
            Ok(true) => Answer::Success(login.username, String::new()),
            Ok(false) => Answer::Failure("not-authorized"),
            Err(_) => Answer::Failure("temporary-auth-failure"),
        }
    }

    /// A client may give its whole address for its name.
    fn login(&mut self, name: &str) -> Login {
        let name = match name.split_once('@') {
            Some((node, domain)) if domain.eq_ignore_ascii_case(&self.server.settings.domain) => {
                node
            }
            _ => name,
        };
        name.clone_into(&mut self.username);
        Login {
            username: name.to_owned(),
            account: self.server.accounts.find(name),
        }
    }

    /// The same for each name as long as the server runs: nobody learns by it who has an account.
    fn salt_of_nobody(&self, username: &str) -> Vec<u8> {
        let mut hasher = Sha256::new();
        hasher.update(self.server.secret);
        hasher.update(username.as_bytes());
        hasher.finalize().iter().take(16).copied().collect()
    }
}

/// The client's proof.
fn last(challenged: Challenged, hash: Hash, login: &Login, text: &str) -> Answer {
    let Some(message) = decoded(text) else {
        return Answer::Failure("incorrect-encoding");
    };
    let keys = match &login.account {
        Some(account) => account::keys(account, hash),
        None => Vec::new(),
    };
    match challenged.finish(&message, &keys) {
        Ok((_, proof)) => Answer::Success(login.username.clone(), proof),
        Err(error) => Answer::Failure(condition(error)),
    }
}

/// Base64, with `=` for an empty text.
fn decoded(text: &str) -> Option<String> {
    let text = text.trim();
    if text == "=" {
        return Some(String::new());
    }
    String::from_utf8(STANDARD.decode(text).ok()?).ok()
}

fn condition(error: ScramError) -> &'static str {
    match error {
        ScramError::Malformed(_) | ScramError::ChannelBinding => "malformed-request",
        ScramError::WrongProof => "not-authorized",
    }
}

/// An answer as it is written.
pub(super) fn to_xml(answer: &Answer) -> String {
    let element = |name: &str, text: &str| {
        format!(
            "<{name} xmlns='{}'>{}</{name}>",
            ns::SASL,
            STANDARD.encode(text)
        )
    };
    match answer {
        Answer::Challenge(text) => element("challenge", text),
        Answer::Success(_, text) => element("success", text),
        Answer::Failure(condition) => {
            format!("<failure xmlns='{}'><{condition}/></failure>", ns::SASL)
        }
    }
}
