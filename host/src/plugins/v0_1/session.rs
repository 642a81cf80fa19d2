//! `session`: what a flow asks of the device. Each question leaves through the flow's slot and
//! sleeps there until the device's next POST brings the answer.

use std::sync::Arc;

use cwmp::{ParameterValue, Request, Response};

use super::super::flow::{AskError, DeviceRecord};
use super::super::guest::Guest;
use super::super::sendable;
use super::super::wanted::Wanted;
use super::types::{Applied, Parameter, ParameterAttributes, ParameterInfo, Transfer};
use super::wit_session::{Error, Host, Reading};
use super::{convert, convert_request, convert_response, types};

/// The result of an import: the outer error ends the guest, the inner one is for it to see.
type Asked<T> = wasmtime::Result<Result<T, Error>>;

const TAG_BYTES_MAX: usize = 64;

/// The guest's error ends the import with it.
macro_rules! ask {
    ($asked:expr) => {
        match $asked {
            Ok(response) => response,
            Err(error) => return Ok(Err(error)),
        }
    };
}

impl Guest {
    /// Sends one request to the device and sleeps until its answer is there.
    async fn ask(&mut self, request: Request) -> Result<Response, Error> {
        let Some(flow) = &self.call.flow else {
            return Err(Error::Refused("only a flow can ask the device".to_owned()));
        };
        sendable::check(&request).map_err(Error::Refused)?;
        let Some(left) = self.call.rpcs_left.checked_sub(1) else {
            let most = self.identity.limits.rpcs_max;
            return Err(Error::Refused(format!(
                "its budget of {most} RPCs in a session is used up"
            )));
        };
        self.call.rpcs_left = left;
        self.call.slept = true;
        match flow.slot.ask(request).await {
            Ok(response) => Ok(response),
            Err(AskError::Fault(fault)) => Err(Error::Fault(convert::fault_to_wit(fault))),
            Err(AskError::Ended) => Err(Error::Ended),
            Err(AskError::Refused(text)) => Err(Error::Refused(text)),
        }
    }

    async fn values(&mut self, names: Vec<String>) -> Result<Vec<ParameterValue>, Error> {
        match self.ask(Request::GetParameterValues(names)).await? {
            Response::GetParameterValues(values) => Ok(values),
            other => Err(unfit("GetParameterValues", &other)),
        }
    }

    async fn write(&mut self, parameters: Vec<ParameterValue>) -> Result<Applied, Error> {
        let request = Request::SetParameterValues(cwmp::SetParameterValues {
            parameters,
            parameter_key: String::new(),
        });
        match self.ask(request).await? {
            Response::SetParameterValues(applied) => Ok(convert::applied_to_wit(applied)),
            other => Err(unfit("SetParameterValues", &other)),
        }
    }

    /// The values that the record holds and `ensure` may rely on.
    async fn trusted(&mut self, wanted: &[ParameterValue]) -> Vec<Option<ParameterValue>> {
        let Some(flow) = &self.call.flow else {
            return vec![None; wanted.len()];
        };
        let (record, since) = (Arc::clone(&flow.record), flow.trusted_since);
        let mut trusted = Vec::with_capacity(wanted.len());
        for value in wanted {
            let known = record.known(&value.path).await.into_iter();
            let mut fresh = known.filter(|(_, read_at)| *read_at >= since);
            let found = fresh.find(|(known, _)| known.path == value.path);
            trusted.push(found.map(|(known, _)| known));
        }
        trusted
    }
}

impl Guest {
    /// The record, if it is a flow that asks, and not the hundredth time.
    fn may_tag(&mut self, name: &str) -> Option<&dyn DeviceRecord> {
        let flow = self.call.flow.as_mut()?;
        let good = !name.trim().is_empty()
            && name.len() <= TAG_BYTES_MAX
            && !name.chars().any(char::is_control);
        let left = flow.tags_left.checked_sub(1);
        if let (true, Some(left)) = (good, left) {
            flow.tags_left = left;
            return Some(&*flow.record);
        }
        if good && !std::mem::replace(&mut flow.tags_refused, true) {
            tracing::warn!(target: "patchbay::plugin", plugin = &*self.identity.name, "too many tags in one session; the rest is ignored");
        } else if !good {
            tracing::debug!(target: "patchbay::plugin", plugin = &*self.identity.name, "a tag is 1 to {TAG_BYTES_MAX} bytes of text; one is ignored");
        }
        None
    }
}

fn unfit(method: &str, response: &Response) -> Error {
    Error::Refused(format!("{method} was answered by {}", response.method()))
}

impl Host for Guest {
    async fn known(&mut self, path: String) -> wasmtime::Result<Vec<Reading>> {
        self.count()?;
        let Some(flow) = &self.call.flow else {
            return Ok(Vec::new());
        };
        let record = Arc::clone(&flow.record);
        let Ok(wanted) = Wanted::parse(std::slice::from_ref(&path)) else {
            return Ok(Vec::new());
        };
        let now = self.call.now;
        let mut readings = Vec::new();
        for name in wanted.names() {
            readings.extend(record.known(name).await);
        }
        Ok(readings
            .into_iter()
            .filter(|(value, _)| wanted.includes(&value.path))
            .map(|(value, read_at)| Reading {
                parameter: convert::parameter_to_wit(value),
                age: u32::try_from(now.saturating_sub(read_at).max(0)).unwrap_or(u32::MAX),
            })
            .collect())
    }

    async fn get(&mut self, paths: Vec<String>) -> Asked<Vec<Parameter>> {
        self.count()?;
        if paths.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        let wanted = match Wanted::parse(&paths) {
            Ok(wanted) => wanted,
            Err(error) => return Ok(Err(Error::Refused(error))),
        };
        let names = if wanted.has_wildcards() {
            wanted.names().to_vec()
        } else {
            paths
        };
        let values = ask!(self.values(names).await);
        Ok(Ok(values
            .into_iter()
            .filter(|value| !wanted.has_wildcards() || wanted.includes(&value.path))
            .map(convert::parameter_to_wit)
            .collect()))
    }

    async fn set(&mut self, parameters: Vec<Parameter>) -> Asked<Applied> {
        self.count()?;
        if parameters.is_empty() {
            return Ok(Ok(Applied::Now));
        }
        let parameters = parameters.into_iter().map(convert::parameter).collect();
        Ok(self.write(parameters).await)
    }

    async fn ensure(&mut self, parameters: Vec<Parameter>) -> Asked<Vec<Parameter>> {
        self.count()?;
        let wanted: Vec<ParameterValue> = parameters.into_iter().map(convert::parameter).collect();
        let mut present = self.trusted(&wanted).await;
        let unknown: Vec<String> = std::iter::zip(&wanted, &present)
            .filter(|(_, present)| present.is_none())
            .map(|(value, _)| value.path.clone())
            .collect();
        if !unknown.is_empty() {
            for read in ask!(self.values(unknown).await) {
                for (value, present) in std::iter::zip(&wanted, &mut present) {
                    if value.path == read.path {
                        *present = Some(read.clone());
                    }
                }
            }
        }
        let differing: Vec<ParameterValue> = std::iter::zip(wanted, present)
            .filter(|(value, present)| {
                present
                    .as_ref()
                    .is_none_or(|present| !same_value(value, present))
            })
            .map(|(value, _)| value)
            .collect();
        if !differing.is_empty() {
            ask!(self.write(differing.clone()).await);
        }
        Ok(Ok(differing
            .into_iter()
            .map(convert::parameter_to_wit)
            .collect()))
    }

    async fn names(&mut self, path: String, next_level: bool) -> Asked<Vec<ParameterInfo>> {
        self.count()?;
        let request = Request::GetParameterNames(cwmp::GetParameterNames { path, next_level });
        Ok(match ask!(self.ask(request).await) {
            Response::GetParameterNames(names) => {
                Ok(names.into_iter().map(convert::info_to_wit).collect())
            }
            other => Err(unfit("GetParameterNames", &other)),
        })
    }

    async fn add_object(&mut self, path: String) -> Asked<u32> {
        self.count()?;
        let request = Request::AddObject(cwmp::AddObject {
            object_name: path,
            parameter_key: String::new(),
        });
        Ok(match ask!(self.ask(request).await) {
            Response::AddObject(number, _) => Ok(number),
            other => Err(unfit("AddObject", &other)),
        })
    }

    async fn delete_object(&mut self, path: String) -> Asked<Applied> {
        self.count()?;
        let request = Request::DeleteObject(cwmp::DeleteObject {
            object_name: path,
            parameter_key: String::new(),
        });
        Ok(match ask!(self.ask(request).await) {
            Response::DeleteObject(applied) => Ok(convert::applied_to_wit(applied)),
            other => Err(unfit("DeleteObject", &other)),
        })
    }

    async fn set_attributes(&mut self, attributes: Vec<ParameterAttributes>) -> Asked<()> {
        self.count()?;
        if attributes.is_empty() {
            return Ok(Ok(()));
        }
        let attributes = attributes
            .into_iter()
            .map(convert_request::set_attributes)
            .collect();
        Ok(
            match ask!(self.ask(Request::SetParameterAttributes(attributes)).await) {
                Response::SetParameterAttributes => Ok(()),
                other => Err(unfit("SetParameterAttributes", &other)),
            },
        )
    }

    async fn download(&mut self, transfer: Transfer) -> Asked<Applied> {
        self.count()?;
        let request = Request::Download(Box::new(convert_request::download(transfer)));
        Ok(match ask!(self.ask(request).await) {
            Response::Download(started) => Ok(convert::applied_to_wit(started.applied)),
            other => Err(unfit("Download", &other)),
        })
    }

    async fn upload(&mut self, transfer: Transfer) -> Asked<Applied> {
        self.count()?;
        let request = Request::Upload(Box::new(convert_request::upload(transfer)));
        Ok(match ask!(self.ask(request).await) {
            Response::Upload(started) => Ok(convert::applied_to_wit(started.applied)),
            other => Err(unfit("Upload", &other)),
        })
    }

    async fn reboot(&mut self) -> Asked<()> {
        self.count()?;
        Ok(match ask!(self.ask(Request::Reboot(String::new())).await) {
            Response::Reboot => Ok(()),
            other => Err(unfit("Reboot", &other)),
        })
    }

    async fn factory_reset(&mut self) -> Asked<()> {
        self.count()?;
        Ok(match ask!(self.ask(Request::FactoryReset).await) {
            Response::FactoryReset => Ok(()),
            other => Err(unfit("FactoryReset", &other)),
        })
    }

    async fn call(&mut self, request: types::Request) -> Asked<types::Response> {
        self.count()?;
        let request = convert_request::request(request, &convert_request::Rest::None);
        Ok(Ok(convert_response::response_to_wit(ask!(
            self.ask(request).await
        ))
        .0))
    }

    fn tag(&mut self, name: String) -> wasmtime::Result<()> {
        self.count()?;
        if let Some(record) = self.may_tag(&name) {
            record.tag(&name);
        }
        Ok(())
    }

    fn untag(&mut self, name: String) -> wasmtime::Result<()> {
        self.count()?;
        if let Some(record) = self.may_tag(&name) {
            record.untag(&name);
        }
        Ok(())
    }
}

/// Whether the device holds what is wanted: booleans and numbers by what they mean, all else by its text.
fn same_value(wanted: &ParameterValue, present: &ParameterValue) -> bool {
    if wanted.value == present.value {
        return true;
    }
    let is = |names: &[&str]| {
        names.contains(&present.xsd_type.as_str()) || names.contains(&wanted.xsd_type.as_str())
    };
    if is(&["boolean"]) {
        return wanted.as_bool().is_some() && wanted.as_bool() == present.as_bool();
    }
    if is(&["int", "unsignedInt", "long", "unsignedLong"]) {
        return wanted.as_integer().is_some() && wanted.as_integer() == present.as_integer();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use cwmp::XsdType;

    #[test]
    fn values_are_compared_by_what_they_mean() {
        for (kind, wanted, present, same) in [
            ("boolean", "1", "true", true),
            ("boolean", "false", "0", true),
            ("boolean", "1", "0", false),
            ("boolean", "1", "", false),
            ("unsignedInt", "7", "007", true),
            ("int", "-1", "1", false),
            ("int", "x", "y", false),
            ("string", "1", "true", false),
            ("string", "a", "a", true),
            (
                "dateTime",
                "2024-01-01T00:00:00Z",
                "2024-01-01T00:00:00",
                false,
            ),
        ] {
            let value = |text: &str| ParameterValue::new("p", text, XsdType::new(kind));
            assert_eq!(
                same_value(&value(wanted), &value(present)),
                same,
                "{kind} {wanted} {present}"
            );
        }
        // A guest that does not care about types writes strings.
        let wanted = ParameterValue::string("p", "1");
        assert!(same_value(
            &wanted,
            &ParameterValue::new("p", "true", XsdType::BOOLEAN)
        ));
    }
}
