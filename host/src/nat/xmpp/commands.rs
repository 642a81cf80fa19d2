//! Device accounts on an XMPP server of somebody else, by its commands for administrators
//! (XEP-0133 over XEP-0050): Prosody has them in `admin_adhoc`, ejabberd in `mod_configure`.

use xmpp::Element;

const COMMANDS: &str = "http://jabber.org/protocol/commands";
const ADMIN: &str = "http://jabber.org/protocol/admin";
const DATA: &str = "jabber:x:data";

/// A command that makes or changes an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    AddUser,
    ChangePassword,
}

impl Command {
    fn node(self) -> &'static str {
        match self {
            Command::AddUser => "http://jabber.org/protocol/admin#add-user",
            Command::ChangePassword => "http://jabber.org/protocol/admin#change-user-password",
        }
    }

    /// Begins it.
    pub(super) fn execute(self) -> Element {
        command(self.node(), "execute", "", "")
    }

    /// Fills its form.
    pub(super) fn complete(self, session: &str, jid: &str, password: &str) -> Element {
        let mut fields = vec![("accountjid", jid), ("password", password)];
        if self == Command::AddUser {
            fields.push(("password-verify", password));
        }
        let mut form = field("FORM_TYPE", ADMIN, " type='hidden'");
        for (name, value) in fields {
            form += &field(name, value, "");
        }
        let form = format!("<x xmlns='{DATA}' type='submit'>{form}</x>");
        command(self.node(), "complete", session, &form)
    }
}

/// The session that a command was begun in.
pub(super) fn session(answer: &Element) -> Option<&str> {
    answer
        .attr("sessionid")
        .filter(|_| answer.attr("status") != Some("completed"))
}

/// How a command ended: `Err` with the server's words.
pub(super) fn outcome(answer: Option<&Element>) -> Result<(), String> {
    let Some(answer) = answer else {
        return Ok(());
    };
    let note = answer
        .children()
        .find(|child| child.is("note", COMMANDS))
        .filter(|note| note.attr("type") == Some("error"));
    match note {
        Some(note) => Err(note.text()),
        None if answer.attr("status") == Some("completed") => Ok(()),
        None => Err("the command did not come to its end".to_owned()),
    }
}

fn field(name: &str, value: &str, attributes: &str) -> String {
    let value = xmpp::stanza::escaped(value);
    format!("<field var='{name}'{attributes}><value>{value}</value></field>")
}

fn command(node: &str, action: &str, session: &str, form: &str) -> Element {
    let session = match session {
        "" => String::new(),
        session => format!(" sessionid='{}'", xmpp::stanza::escaped(session)),
    };
    let xml = format!(
        "<command xmlns='{COMMANDS}' node='{node}' action='{action}'{session}>{form}</command>"
    );
    // Our own text, escaped: it is XML.
    xml.parse()
        .unwrap_or_else(|_| Element::bare("command", COMMANDS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_and_their_outcome() {
        let form = Command::AddUser.complete("s<1>", "a@b", "p&w");
        assert_eq!(form.attr("sessionid"), Some("s<1>"));
        let fields: Vec<_> = form
            .get_child("x", DATA)
            .unwrap()
            .children()
            .map(|field| {
                (
                    field.attr("var").unwrap(),
                    field.children().next().unwrap().text(),
                )
            })
            .collect();
        assert_eq!(
            fields,
            [
                ("FORM_TYPE", ADMIN.to_owned()),
                ("accountjid", "a@b".into()),
                ("password", "p&w".into()),
                ("password-verify", "p&w".into())
            ]
        );
        assert_eq!(
            Command::ChangePassword.execute().attr("action"),
            Some("execute")
        );
        let answer = |text: &str| -> Element {
            format!("<command xmlns='{COMMANDS}' {text}</command>")
                .parse()
                .unwrap()
        };
        assert_eq!(
            session(&answer("status='executing' sessionid='1'>")),
            Some("1")
        );
        assert_eq!(session(&answer("status='completed' sessionid='1'>")), None);
        assert_eq!(outcome(Some(&answer("status='completed'>"))), Ok(()));
        let error = answer("status='completed'><note type='error'>exists</note>");
        assert_eq!(outcome(Some(&error)), Err("exists".into()));
        assert!(outcome(Some(&answer("status='executing'>"))).is_err());
    }
}
