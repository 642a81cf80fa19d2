//! What a device has to be told so that it keeps a stream to the XMPP server, or no longer
//! does. Pure: readings and answers in, requests out.
//!
//! A device that has no row in `XMPP.Connection.` is asked to add one, and one in its table of
//! servers; then one SetParameterValues tells what differs from what is known. Nothing differs:
//! nothing is sent.

use std::hash::{DefaultHasher, Hash, Hasher};

use cwmp::{
    AddObject, Fault, GetParameterNames, ParameterValue, Request, Response, SetParameterValues,
    XsdType,
};

/// What the connection is to be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// The account.
    pub username: String,
    /// The domain of the server.
    pub domain: String,
    /// The bare JID of the ACS: nobody else may ask for sessions.
    pub acs: String,
    /// Host and port to connect to; `None`: the device looks for the domain in the DNS.
    pub server: Option<(String, u16)>,
    /// The device has to use TLS.
    pub tls: bool,
    /// Seconds between two signs of life of the device.
    pub keep_alive_seconds: u32,
}

/// What is known of the device.
pub struct Known<'k> {
    /// The last value of a parameter.
    pub value: &'k dyn Fn(&str) -> Option<String>,
    /// The numbers of the rows of a table (`…Server.`), as far as anything in them is known.
    pub rows: &'k dyn Fn(&str) -> Vec<u32>,
}

/// What comes next.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// This is to be asked; its answer goes into the next step.
    Ask(Request),
    /// The device has it all.
    Done,
    /// The device does not take it: why.
    Failed(String),
}

/// The way to a connection, or away from one.
#[derive(Debug)]
pub struct Plan {
    root: &'static str,
    wanted: Option<Wanted>,
    /// Told with the rest; the device forgets it only with everything else.
    password: Option<String>,
    /// The row, with its dot; empty before it is known.
    connection: String,
    /// The row in its table of servers.
    server: Option<u32>,
    stage: Stage,
    /// Left out: this device does not have them.
    missing: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Start,
    FindsConnection,
    AddsConnection,
    FindsServer,
    AddsServer,
    Sets,
}

/// Of these a device may have none.
const OPTIONAL: [&str; 4] = [
    "Resource",
    "ServerConnectAlgorithm",
    "KeepAliveInterval",
    "UseTLS",
];
/// CWMP's "invalid parameter name".
const INVALID_NAME: u32 = 9005;
/// The resource of a device's JID.
pub(super) const RESOURCE: &str = "cwmp";

impl Wanted {
    /// Another one: the device has to be told again.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

impl Plan {
    /// Towards a connection. `connection`: the row that the device was told of before, or
    /// empty; `password`: a new one.
    pub fn connect(
        root: &'static str,
        wanted: Wanted,
        password: Option<String>,
        connection: &str,
    ) -> Plan {
        Plan {
            root,
            wanted: Some(wanted),
            password,
            connection: connection.to_owned(),
            server: None,
            stage: Stage::Start,
            missing: Vec::new(),
        }
    }

    /// Away from it: the row stays, switched off.
    pub fn disconnect(root: &'static str, connection: &str) -> Plan {
        Plan {
            root,
            wanted: None,
            password: None,
            connection: connection.to_owned(),
            server: None,
            stage: Stage::Start,
            missing: Vec::new(),
        }
    }

    /// What is wanted; `None`: nothing any more.
    pub fn wanted(&self) -> Option<&Wanted> {
        self.wanted.as_ref()
    }

    /// The row, with its dot, once it is known.
    pub fn connection(&self) -> &str {
        &self.connection
    }

    /// The new password, if the step that is under way tells it.
    pub fn telling(&self) -> Option<&str> {
        match self.stage {
            Stage::Sets => self.password.as_deref(),
            _ => None,
        }
    }

    /// The next step, after the answer to the last.
    pub fn next(&mut self, answer: Option<Result<&Response, &Fault>>, known: &Known<'_>) -> Step {
        match (self.stage, answer) {
            (Stage::Start, _) => {}
            (Stage::FindsConnection, Some(Ok(Response::GetParameterNames(names)))) => {
                let table = self.table();
                let rows = names.iter().filter_map(|name| row_of(&name.path, &table));
                if let Some(row) = rows.min() {
                    self.connection = format!("{table}{row}.");
                }
                if self.connection.is_empty() {
                    return self.ask(Stage::AddsConnection, add(table));
                }
            }
            // Some have no word for an empty table.
            (Stage::FindsConnection, _) => {
                let table = self.table();
                return self.ask(Stage::AddsConnection, add(table));
            }
            (Stage::AddsConnection, Some(Ok(Response::AddObject(row, _)))) => {
                self.connection = format!("{}{row}.", self.table());
            }
            (Stage::AddsConnection, Some(Err(fault))) => {
                return Step::Failed(format!(
                    "no row can be added to {}: {} {}",
                    self.table(),
                    fault.code,
                    fault.text
                ));
            }
            (Stage::FindsServer, Some(Ok(Response::GetParameterNames(names)))) => {
                let table = self.servers();
                let rows = names.iter().filter_map(|name| row_of(&name.path, &table));
                self.server = rows.min();
                if self.server.is_none() {
                    return self.ask(Stage::AddsServer, add(table));
                }
                return self.set(known);
            }
            (Stage::FindsServer, _) => {
                let table = self.servers();
                return self.ask(Stage::AddsServer, add(table));
            }
            (Stage::AddsServer, answer) => {
                // Without a table of servers the device has to find the domain in the DNS.
                if let Some(Ok(Response::AddObject(row, _))) = answer {
                    self.server = Some(*row);
                }
                return self.set(known);
            }
            (Stage::Sets, Some(Err(fault))) => return self.refused(fault, known),
            (Stage::Sets, Some(Ok(_))) => return Step::Done,
            (stage, _) => return Step::Failed(format!("an unexpected answer ({stage:?})")),
        }
        self.go_on(known)
    }

    /// Once there is nothing to wait for.
    fn go_on(&mut self, known: &Known<'_>) -> Step {
        let Some(wanted) = &self.wanted else {
            return self.set(known);
        };
        let has_server = wanted.server.is_some();
        if self.connection.is_empty() {
            let table = self.table();
            if let Some(row) = (known.rows)(&table).into_iter().min() {
                self.connection = format!("{table}{row}.");
            } else {
                return self.ask(Stage::FindsConnection, names(table));
            }
        }
        if has_server && self.server.is_none() {
            let table = self.servers();
            self.server = (known.rows)(&table).into_iter().min();
            if self.server.is_none() {
                return self.ask(Stage::FindsServer, names(table));
            }
        }
        self.set(known)
    }

    fn set(&mut self, known: &Known<'_>) -> Step {
        let parameters: Vec<ParameterValue> = self
            .parameters()
            .into_iter()
            .filter(|parameter| !self.missing.contains(&parameter.path))
            .filter(|parameter| {
                let known = (known.value)(&parameter.path);
                !known.is_some_and(|known| is_same(&known, &parameter.value))
            })
            .collect();
        if parameters.is_empty() {
            return Step::Done;
        }
        let request = Request::SetParameterValues(SetParameterValues {
            parameters,
            parameter_key: String::new(),
        });
        self.ask(Stage::Sets, request)
    }

    /// What a device does not have is left out, if it can be.
    fn refused(&mut self, fault: &Fault, known: &Known<'_>) -> Step {
        let is_optional = |path: &str| {
            // What is not there needs no undoing.
            if self.wanted.is_none() {
                return fault.parameters.iter().all(|p| p.code == INVALID_NAME);
            }
            let name = path.rsplit('.').next().unwrap_or_default();
            let needed = name == "UseTLS" && self.wanted.as_ref().is_some_and(|w| w.tls);
            path.starts_with(&self.connection) && OPTIONAL.contains(&name) && !needed
        };
        let refused: Vec<String> = fault.parameters.iter().map(|p| p.path.clone()).collect();
        let more = refused.iter().any(|path| !self.missing.contains(path));
        if more && refused.iter().all(|path| is_optional(path)) {
            self.missing.extend(refused);
            return self.set(known);
        }
        let names = refused.join(", ");
        Step::Failed(
            format!("{} {} {names}", fault.code, fault.text)
                .trim()
                .to_owned(),
        )
    }

    fn ask(&mut self, stage: Stage, request: Request) -> Step {
        self.stage = stage;
        Step::Ask(request)
    }

    /// All that the device should have.
    fn parameters(&self) -> Vec<ParameterValue> {
        let connection = &self.connection;
        let server = |name: &str| format!("{}ManagementServer.{name}", self.root);
        let string = |path: String, value: &str| ParameterValue::string(path, value);
        let Some(wanted) = &self.wanted else {
            return vec![
                ParameterValue::boolean(format!("{connection}Enable"), false),
                string(server("ConnReqXMPPConnection"), ""),
                string(server("ConnReqAllowedJabberIDs"), ""),
            ];
        };
        let of = |name: &str| format!("{connection}{name}");
        let mut parameters = vec![
            ParameterValue::boolean(of("Enable"), true),
            string(of("Username"), &wanted.username),
            string(of("Domain"), &wanted.domain),
            string(of("Resource"), RESOURCE),
            ParameterValue::boolean(of("UseTLS"), wanted.tls),
            ParameterValue::new(
                of("KeepAliveInterval"),
                wanted.keep_alive_seconds.to_string(),
                XsdType::INT,
            ),
        ];
        if let Some(password) = &self.password {
            parameters.push(string(of("Password"), password));
        }
        let algorithm = match (&wanted.server, self.server) {
            (None, _) => "DNS-SRV",
            (Some(_), None) => "DNS",
            (Some((host, port)), Some(row)) => {
                let of = |name: &str| format!("{connection}Server.{row}.{name}");
                parameters.extend([
                    ParameterValue::boolean(of("Enable"), true),
                    string(of("ServerAddress"), host),
                    ParameterValue::unsigned_int(of("Port"), (*port).into()),
                ]);
                "ServerTable"
            }
        };
        parameters.push(string(of("ServerConnectAlgorithm"), algorithm));
        let row = connection.strip_suffix('.').unwrap_or(connection);
        parameters.push(string(server("ConnReqXMPPConnection"), row));
        parameters.push(string(server("ConnReqAllowedJabberIDs"), &wanted.acs));
        parameters
    }

    fn table(&self) -> String {
        format!("{}XMPP.Connection.", self.root)
    }

    fn servers(&self) -> String {
        format!("{}Server.", self.connection)
    }
}

fn names(path: String) -> Request {
    Request::GetParameterNames(GetParameterNames {
        path,
        next_level: true,
    })
}

fn add(object_name: String) -> Request {
    Request::AddObject(AddObject {
        object_name,
        parameter_key: String::new(),
    })
}

/// The number of the row that a name lies in.
fn row_of(path: &str, table: &str) -> Option<u32> {
    let (row, _) = path.strip_prefix(table)?.split_once('.')?;
    row.parse().ok()
}

/// Booleans have four ways to be written.
fn is_same(known: &str, wanted: &str) -> bool {
    known == wanted
        || matches!(
            (cwmp::value::boolean(known), cwmp::value::boolean(wanted)),
            (Some(known), Some(wanted)) if known == wanted
        )
}

#[cfg(test)]
mod tests;
