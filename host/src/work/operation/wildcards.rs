//! Operations on paths with `*` for any instance, for devices that do not know it themselves.

use cwmp::path::{Path, Wanted};

use crate::work::task::{Operation, SetParameter};

/// Why an operation cannot be asked for as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamesUnknown {
    /// The path of which no parameter is known.
    pub pattern: String,
    /// The partial path whose names may tell.
    pub below: String,
}

/// The operation with full names in place of `*` where it sets; `names` are the known ones that
/// match a pattern. What is read is asked for by partial paths, and picked from the answer.
pub fn expanded(
    operation: &Operation,
    names: impl Fn(Path<'_>) -> Vec<String>,
) -> Result<Operation, NamesUnknown> {
    let Operation::Set { parameters } = operation else {
        return Ok(operation.clone());
    };
    let mut full = Vec::with_capacity(parameters.len());
    for parameter in parameters {
        match Path::parse(&parameter.path) {
            Ok(pattern) if pattern.has_wildcard() => {
                let found = names(pattern);
                if found.is_empty() {
                    return Err(NamesUnknown {
                        pattern: parameter.path.clone(),
                        below: pattern.before_wildcard().to_owned(),
                    });
                }
                full.extend(found.into_iter().map(|path| SetParameter {
                    path,
                    ..parameter.clone()
                }));
            }
            _ => full.push(parameter.clone()),
        }
    }
    Ok(Operation::Set { parameters: full })
}

/// What a device is asked for that does not know `*`.
pub(super) fn to_read(paths: Vec<String>) -> Vec<String> {
    match Wanted::parse(paths.iter().map(String::as_str)) {
        Ok(wanted) if wanted.has_wildcards() => wanted.names(),
        _ => paths,
    }
}

/// Whether a parameter of the answer was meant by the operation.
pub(super) fn meant(operation: &Operation) -> impl Fn(&str) -> bool + '_ {
    let wanted = match operation {
        Operation::Get { paths } | Operation::Attributes { paths } => {
            Wanted::parse(paths.iter().map(String::as_str)).ok()
        }
        _ => None,
    };
    move |path| wanted.as_ref().is_none_or(|wanted| wanted.includes(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_any_instance_is_one_of_each() {
        let known = ["Device.A.1.B", "Device.A.2.B", "Device.A.2.C"];
        let names = |pattern: Path<'_>| -> Vec<String> {
            let known = known.iter().filter(|path| pattern.matches(path));
            known.map(|path| (*path).to_owned()).collect()
        };
        let set = |path: &str| Operation::Set {
            parameters: vec![SetParameter {
                path: path.to_owned(),
                value: "1".to_owned(),
                xsd_type: None,
            }],
        };
        let paths = |operation: Operation| match operation {
            Operation::Set { parameters } => parameters.into_iter().map(|p| p.path).collect(),
            _ => Vec::new(),
        };
        let found = expanded(&set("Device.A.*.B"), names).map(paths);
        assert_eq!(
            found,
            Ok(vec!["Device.A.1.B".into(), "Device.A.2.B".into()])
        );
        let plain = expanded(&set("Device.X.[a].B"), names).map(paths);
        assert_eq!(plain, Ok(vec!["Device.X.[a].B".into()]));
        let unknown = NamesUnknown {
            pattern: "Device.X.*.B".into(),
            below: "Device.X.".into(),
        };
        assert_eq!(expanded(&set("Device.X.*.B"), names), Err(unknown));
    }
}
