//! GetParameterNames (A.3.2.3).

use cwmp::{Fault, GetParameterNames, ParameterInfo, Response};

use super::fault;
use crate::Oddity;
use crate::cpe::Cpe;
use crate::model::Node;

impl Cpe {
    pub(super) fn get_parameter_names(&self, asked: &GetParameterNames) -> Result<Response, Fault> {
        let path = asked.path.as_str();
        let whole_tree = self.is_whole_tree(path);
        let next_level = asked.next_level && !self.oddities.has(Oddity::NextLevelIgnored);
        let without_dots = self.oddities.has(Oddity::ObjectsWithoutDots);
        if path.is_empty() && self.oddities.has(Oddity::RootNamesRefused) {
            return Err(fault(9005));
        }
        if whole_tree && !asked.next_level && self.oddities.has(Oddity::FullNamesExhaust) {
            return Err(fault(9004));
        }
        if !path.is_empty() && !path.ends_with('.') {
            return self.one_name(asked);
        }
        let mut names = Vec::new();
        let found = self.tree.walk(path, &mut |below, node| {
            if next_level && !is_child(path, below) {
                return;
            }
            let writable = match node {
                Node::Object { writable } => writable,
                Node::Parameter(parameter) => parameter.leaf.writable,
            };
            names.push(ParameterInfo {
                path: if without_dots {
                    below.trim_end_matches('.').to_owned()
                } else {
                    below.to_owned()
                },
                writable,
            });
        });
        if found {
            Ok(Response::GetParameterNames(names))
        } else {
            Err(fault(9005))
        }
    }

    pub(super) fn is_whole_tree(&self, path: &str) -> bool {
        path.is_empty() || path == self.data_model().root()
    }

    fn one_name(&self, asked: &GetParameterNames) -> Result<Response, Fault> {
        // NextLevel of a parameter is fault 9003.
        if asked.next_level {
            return Err(fault(9003));
        }
        let parameter = self
            .tree
            .parameter(&asked.path)
            .ok_or_else(|| fault(9005))?;
        Ok(Response::GetParameterNames(vec![ParameterInfo {
            path: asked.path.clone(),
            writable: parameter.leaf.writable,
        }]))
    }
}

/// One level below `path`, neither deeper nor `path` itself.
fn is_child(path: &str, below: &str) -> bool {
    let rest = below.strip_prefix(path).unwrap_or_default();
    !rest.is_empty() && !rest.trim_end_matches('.').contains('.')
}
