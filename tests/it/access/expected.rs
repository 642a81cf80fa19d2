//! `tests/fixtures/access.txt`: who may use which operation.

use std::collections::BTreeMap;

/// The built-in roles, as the table names them.
pub const ROLES: [&str; 4] = ["admin", "operator", "support", "read-only"];

/// Who may use an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    Anybody,
    SignedIn,
    /// These roles, and whether a grant in one instance is enough.
    Roles(BTreeMap<String, bool>),
}

/// By `METHOD path`.
pub fn table() -> BTreeMap<String, Who> {
    let text = include_str!("../../fixtures/access.txt");
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let rows = lines.map(|line| {
        let mut words = line.split_whitespace();
        let name = format!("{} {}", words.next().unwrap(), words.next().unwrap());
        let words: Vec<&str> = words.collect();
        let who = match words.as_slice() {
            ["anybody"] => Who::Anybody,
            ["signed-in"] => Who::SignedIn,
            roles => Who::Roles(roles.iter().map(|role| read(line, role)).collect()),
        };
        (name, who)
    });
    let rows: Vec<_> = rows.collect();
    let table: BTreeMap<String, Who> = rows.iter().cloned().collect();
    assert_eq!(table.len(), rows.len(), "an operation has two lines");
    table
}

fn read(line: &str, role: &str) -> (String, bool) {
    let name = role.trim_end_matches('*');
    assert!(ROLES.contains(&name), "{line}: {name:?} is no role");
    (name.to_owned(), !role.ends_with('*'))
}
