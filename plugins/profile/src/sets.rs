//! SetParameterValues in the order, and in the pieces, that the device takes.

use patchbay_plugin::Parameter;
use patchbay_plugin::device::wildcard;
use patchbay_plugin::profile::Request;
use profile_format::Sets;

pub(crate) fn in_order(sets: &Sets, mut parameters: Vec<Parameter>) -> Vec<Request> {
    // Sorting is stable: what no pattern fits stays as it was asked.
    parameters.sort_by_key(|parameter| rank(sets, &parameter.path));
    if !sets.one_object_each {
        return vec![Request::SetParameterValues(parameters)];
    }
    let mut objects: Vec<Vec<Parameter>> = Vec::new();
    for parameter in parameters {
        let object = object_of(&parameter.path).to_owned();
        let same = objects.iter_mut().find(|one| {
            one.first()
                .is_some_and(|first| object_of(&first.path) == object)
        });
        match same {
            Some(one) => one.push(parameter),
            None => objects.push(vec![parameter]),
        }
    }
    objects
        .into_iter()
        .map(Request::SetParameterValues)
        .collect()
}

/// Negative: before the others; positive: after them.
fn rank(sets: &Sets, path: &str) -> isize {
    let place = |patterns: &[String]| {
        let found = patterns.iter().position(|pattern| wildcard(pattern, path));
        found.and_then(|at| isize::try_from(at).ok())
    };
    let count = isize::try_from(sets.first.len()).unwrap_or(isize::MAX);
    match (place(&sets.first), place(&sets.last)) {
        (Some(at), _) => at - count,
        (None, Some(at)) => at + 1,
        (None, None) => 0,
    }
}

fn object_of(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(object, _)| object)
}

#[cfg(test)]
mod tests {
    use patchbay_plugin::value::string;

    use super::*;
    use crate::tests::written;

    fn order(rules: &str, paths: &[&str]) -> Vec<Vec<String>> {
        let parameters = paths.iter().map(|path| string(*path, "x")).collect();
        let requests = in_order(&written(rules).sets, parameters);
        let paths = |request: Request| match request {
            Request::SetParameterValues(all) => all.into_iter().map(|one| one.path).collect(),
            other => panic!("{other:?}"),
        };
        requests.into_iter().map(paths).collect()
    }

    #[test]
    fn first_and_last() {
        let rules = "[sets]\nfirst = ['*.SSID', '*.BeaconType']\nlast = ['*.Enable']";
        let asked = [
            "W.1.Enable",
            "W.1.Key",
            "W.1.BeaconType",
            "W.1.Channel",
            "W.1.SSID",
        ];
        assert_eq!(
            order(rules, &asked),
            [[
                "W.1.SSID",
                "W.1.BeaconType",
                "W.1.Key",
                "W.1.Channel",
                "W.1.Enable"
            ]]
        );
    }

    #[test]
    fn one_object_each() {
        let rules = "[sets]\none_object_each = true\nlast = ['*.Enable']";
        let asked = ["W.1.Enable", "W.1.SSID", "W.2.SSID", "W.1.Key"];
        assert_eq!(
            order(rules, &asked),
            [vec!["W.1.SSID", "W.1.Key", "W.1.Enable"], vec!["W.2.SSID"]]
        );
    }
}
