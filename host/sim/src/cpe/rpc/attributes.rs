//! SetParameterAttributes (A.3.2.4) and GetParameterAttributes (A.3.2.5).

use cwmp::{Fault, ParameterAttributes, Response, SetParameterAttributes, Version};

use super::fault;
use crate::cpe::Cpe;
use crate::model::{Attributes, Node};

impl Cpe {
    pub(super) fn set_parameter_attributes(
        &mut self,
        asked: &[SetParameterAttributes],
    ) -> Result<Response, Fault> {
        let highest = if self.identity.vendor.cwmp_version >= Version::V1_4 {
            6
        } else {
            2
        };
        let mut accepted: Vec<(String, Attributes)> = Vec::new();
        for one in asked {
            if one
                .notification
                .is_some_and(|notification| notification > highest)
            {
                return Err(fault(9003));
            }
            for (path, mut attributes) in self.attributes_below(&one.path)? {
                attributes.notification = one.notification.unwrap_or(attributes.notification);
                if let Some(list) = &one.access_list {
                    attributes.subscriber = !list.is_empty();
                }
                accepted.push((path, attributes));
            }
        }
        for (path, attributes) in accepted {
            self.tree.set_attributes(&path, attributes);
        }
        Ok(Response::SetParameterAttributes)
    }

    pub(super) fn get_parameter_attributes(&self, names: &[String]) -> Result<Response, Fault> {
        let mut list = Vec::with_capacity(names.len());
        for name in names {
            for (path, attributes) in self.attributes_below(name)? {
                let access_list = if attributes.subscriber {
                    vec!["Subscriber".to_owned()]
                } else {
                    Vec::new()
                };
                list.push(ParameterAttributes {
                    path,
                    notification: attributes.notification,
                    access_list,
                });
            }
        }
        Ok(Response::GetParameterAttributes(list))
    }

    /// Those of one parameter, or of all below a partial path.
    fn attributes_below(&self, name: &str) -> Result<Vec<(String, Attributes)>, Fault> {
        let mut list = Vec::new();
        let found = if name.is_empty() || name.ends_with('.') {
            self.tree.walk(name, &mut |path, node| {
                if let Node::Parameter(parameter) = node {
                    list.push((path.to_owned(), self.tree.attributes(path, parameter.leaf)));
                }
            })
        } else {
            let parameter = self.tree.parameter(name);
            list.extend(
                parameter
                    .map(|parameter| (name.to_owned(), self.tree.attributes(name, parameter.leaf))),
            );
            parameter.is_some()
        };
        if found { Ok(list) } else { Err(fault(9005)) }
    }
}
