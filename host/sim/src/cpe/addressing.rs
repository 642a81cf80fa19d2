//! Instances by their Alias (TR-069 §3.6.1) and by `*`, in devices that claim them:
//! AliasBasedAddressing and InstanceWildcardsSupported.

use std::borrow::Cow;

use cwmp::Path;
use cwmp::path::Segment;

use super::Cpe;
use crate::UnixTime;
use crate::model::Node;

impl Cpe {
    /// The path with numbers in place of aliases, or the fault code.
    pub(super) fn resolve<'p>(&self, path: &'p str, now: UnixTime) -> Result<Cow<'p, str>, u32> {
        if !path.contains('[') {
            return Ok(Cow::Borrowed(path));
        }
        let parsed = Path::parse(path).map_err(|_| 9005_u32)?;
        if self.of_management_server("AliasBasedAddressing", now) != "1" {
            return Err(9005);
        }
        let mut resolved = String::with_capacity(path.len());
        for (text, segment) in path.split('.').zip(parsed.segments()) {
            match segment {
                Segment::Alias(alias) => {
                    let instance = self.instance_of(&resolved, alias, now);
                    resolved.push_str(&instance.ok_or(9005_u32)?);
                }
                _ => resolved.push_str(text),
            }
            resolved.push('.');
        }
        if !parsed.is_partial() {
            resolved.pop();
        }
        Ok(Cow::Owned(resolved))
    }

    /// The number of the row with this Alias; `table` ends in a dot.
    fn instance_of(&self, table: &str, alias: &str, now: UnixTime) -> Option<String> {
        let mut rows = Vec::new();
        self.tree.walk(table, &mut |path, node| {
            let row = path
                .strip_prefix(table)
                .and_then(|row| row.strip_suffix('.'));
            if let (Node::Object { .. }, Some(row)) = (node, row)
                && !row.is_empty()
                && !row.contains('.')
            {
                rows.push(row.to_owned());
            }
        });
        let named = |row: &String| {
            let is = self.get(&format!("{table}{row}.Alias"), now);
            is.as_deref() == Some(alias)
        };
        rows.into_iter().find(named)
    }

    /// The parameters that a path with `*` stands for; `None`: it has none, or they are not
    /// known here.
    pub(super) fn any_instance(&self, path: &str, now: UnixTime) -> Option<Vec<String>> {
        let pattern = Path::parse(path).ok().filter(|path| path.has_wildcard())?;
        if self.of_management_server("InstanceWildcardsSupported", now) != "1" {
            return None;
        }
        let mut found = Vec::new();
        self.tree
            .walk(pattern.before_wildcard(), &mut |path, node| {
                if matches!(node, Node::Parameter(_)) && pattern.matches(path) {
                    found.push(path.to_owned());
                }
            });
        Some(found)
    }

    /// The table and the new Alias of an `AddObject` of `Table.[alias].`
    pub(super) fn split_new_alias(path: &str) -> Option<(&str, &str)> {
        let parsed = Path::parse(path).ok()?;
        let Some(Segment::Alias(alias)) = parsed.segments().last() else {
            return None;
        };
        Some((parsed.parent()?.as_str(), alias))
    }
}
