//! A pretended host and device, so that a plugin's code runs under plain `cargo test`. Not part of components.
//!
//! ```ignore
//! testing::settings(r#"{"interval": 300}"#);
//! testing::device([string("Device.DeviceInfo.UpTime", "17")]);
//! MyFlow::run(&Occasion::default())?;
//! assert_eq!(testing::value("Device.X"), Some("1".into()));
//! assert_eq!(testing::tags(), ["done"]);
//! ```
//!
//! Each test (thread) has its own. The pretended device holds parameters and takes every value written to it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::bindings::session::Error;
use crate::bindings::types::{Fault, Parameter, Request};

#[derive(Default)]
struct World {
    settings: String,
    parameters: BTreeMap<String, Parameter>,
    written: Vec<Vec<Parameter>>,
    asked: Vec<Request>,
    faults: Vec<Error>,
    tags: BTreeSet<String>,
    memory: BTreeMap<String, Vec<u8>>,
    logged: Vec<String>,
    random: u8,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
}

fn world<T>(with: impl FnOnce(&mut World) -> T) -> T {
    WORLD.with(|world| with(&mut world.borrow_mut()))
}

/// What the operator has set, as JSON.
pub fn settings(json: &str) {
    world(|world| world.settings = json.into());
}

/// What the device holds: added to what it holds already.
pub fn device(parameters: impl IntoIterator<Item = Parameter>) {
    world(|world| {
        world
            .parameters
            .extend(parameters.into_iter().map(|p| (p.path.clone(), p)))
    });
}

/// The next question is answered with this.
pub fn fail_next(error: Error) {
    world(|world| world.faults.push(error));
}

/// What the device holds now.
pub fn value(path: &str) -> Option<String> {
    world(|world| {
        world
            .parameters
            .get(path)
            .map(|parameter| parameter.value.clone())
    })
}

/// What was written, one list for each SetParameterValues.
pub fn written() -> Vec<Vec<Parameter>> {
    world(|world| world.written.clone())
}

/// What else the device was asked, in order.
pub fn asked() -> Vec<Request> {
    world(|world| world.asked.clone())
}

/// The device's tags, sorted.
pub fn tags() -> Vec<String> {
    world(|world| world.tags.iter().cloned().collect())
}

/// What the plugin logged.
pub fn logged() -> Vec<String> {
    world(|world| world.logged.clone())
}

fn fits(pattern: &str, path: &str) -> bool {
    pattern.is_empty()
        || path == pattern
        || pattern.ends_with('.') && path.starts_with(pattern)
        || pattern.contains('*') && {
            let (mut wanted, mut found) = (pattern.split('.'), path.split('.'));
            loop {
                match (wanted.next(), found.next()) {
                    (None, None) => break true,
                    (Some(""), Some(_)) => break true,
                    (Some(a), Some(b)) if a == "*" || a == b => {}
                    _ => break false,
                }
            }
        }
}

impl World {
    fn failing(&mut self) -> Result<(), Error> {
        if self.faults.is_empty() {
            Ok(())
        } else {
            Err(self.faults.remove(0))
        }
    }

    fn write(&mut self, parameters: &[Parameter]) {
        self.written.push(parameters.to_vec());
        self.parameters
            .extend(parameters.iter().map(|p| (p.path.clone(), p.clone())));
    }
}

pub(crate) mod host {
    use super::world;
    use crate::bindings::host::Level;

    pub(crate) fn log(level: Level, text: &str) {
        world(|world| world.logged.push(format!("{level:?} {text}")));
    }

    pub(crate) fn now() -> i64 {
        1_785_542_400
    }

    pub(crate) fn random(count: u32) -> Vec<u8> {
        world(|world| {
            std::iter::repeat_with(|| {
                world.random = world.random.wrapping_mul(141).wrapping_add(3);
                world.random
            })
            .take(count.min(1024) as usize)
            .collect()
        })
    }

    pub(crate) fn settings() -> String {
        world(|world| world.settings.clone())
    }
}

pub(crate) mod memory {
    use super::world;

    pub(crate) fn get(key: &str) -> Option<Vec<u8>> {
        world(|world| world.memory.get(key).cloned())
    }

    pub(crate) fn set(key: &str, value: &[u8]) -> Result<(), String> {
        world(|world| world.memory.insert(key.into(), value.into()));
        Ok(())
    }

    pub(crate) fn remove(key: &str) {
        world(|world| world.memory.remove(key));
    }
}

pub(crate) mod lookup {
    use crate::bindings::lookup::{Answer, Error, Query};

    pub(crate) fn send(_: &Query) -> Result<Answer, Error> {
        Err(Error::NotAllowed)
    }
}

pub(crate) mod session {
    use super::{Fault, fits, world};
    use crate::bindings::session::{Error, Reading};
    use crate::bindings::types::{
        Applied, Parameter, ParameterAttributes, ParameterInfo, Request, Response, Transfer,
    };

    pub(crate) fn known(path: &str) -> Vec<Reading> {
        world(|world| {
            let found = world
                .parameters
                .values()
                .filter(|parameter| fits(path, &parameter.path));
            found
                .map(|parameter| Reading {
                    parameter: parameter.clone(),
                    age: 0,
                })
                .collect()
        })
    }

    pub(crate) fn get(paths: &[String]) -> Result<Vec<Parameter>, Error> {
        world(|world| {
            world.failing()?;
            world
                .asked
                .push(Request::GetParameterValues(paths.to_vec()));
            let mut values = Vec::new();
            for path in paths {
                let before = values.len();
                values.extend(
                    world
                        .parameters
                        .values()
                        .filter(|p| fits(path, &p.path))
                        .cloned(),
                );
                if values.len() == before && !path.ends_with('.') && !path.contains('*') {
                    return Err(invalid_name(path));
                }
            }
            Ok(values)
        })
    }

    pub(crate) fn set(parameters: &[Parameter]) -> Result<Applied, Error> {
        world(|world| {
            world.failing()?;
            world.write(parameters);
            Ok(Applied::Now)
        })
    }

    pub(crate) fn ensure(parameters: &[Parameter]) -> Result<Vec<Parameter>, Error> {
        world(|world| {
            world.failing()?;
            let differs = |wanted: &&Parameter| {
                world
                    .parameters
                    .get(&wanted.path)
                    .is_none_or(|held| held.value != wanted.value)
            };
            let changes: Vec<_> = parameters.iter().filter(differs).cloned().collect();
            if !changes.is_empty() {
                world.write(&changes);
            }
            Ok(changes)
        })
    }

    pub(crate) fn names(path: &str, next_level: bool) -> Result<Vec<ParameterInfo>, Error> {
        world(|world| {
            world.failing()?;
            let mut names: Vec<String> = Vec::new();
            for full in world
                .parameters
                .keys()
                .filter(|full| full.starts_with(path))
            {
                let name = match full.get(path.len()..).and_then(|rest| rest.find('.')) {
                    Some(dot) if next_level => full.get(..path.len() + dot + 1).unwrap_or(full),
                    _ => full,
                };
                if names.last().is_none_or(|last| last != name) {
                    names.push(name.into());
                }
            }
            Ok(names
                .into_iter()
                .map(|path| ParameterInfo {
                    path,
                    writable: true,
                })
                .collect())
        })
    }

    pub(crate) fn add_object(path: &str) -> Result<u32, Error> {
        ask(Request::AddObject(path.into()))?;
        let highest = world(|world| {
            let below = world
                .parameters
                .keys()
                .filter_map(|full| full.strip_prefix(path));
            below
                .filter_map(|rest| rest.split('.').next()?.parse::<u32>().ok())
                .max()
        });
        Ok(highest.unwrap_or(0) + 1)
    }

    pub(crate) fn delete_object(path: &str) -> Result<Applied, Error> {
        ask(Request::DeleteObject(path.into()))?;
        world(|world| world.parameters.retain(|full, _| !full.starts_with(path)));
        Ok(Applied::Now)
    }

    pub(crate) fn set_attributes(attributes: &[ParameterAttributes]) -> Result<(), Error> {
        ask(Request::SetParameterAttributes(attributes.to_vec()))
    }

    pub(crate) fn download(transfer: &Transfer) -> Result<Applied, Error> {
        ask(Request::Download(transfer.clone())).map(|()| Applied::Later)
    }

    pub(crate) fn upload(transfer: &Transfer) -> Result<Applied, Error> {
        ask(Request::Upload(transfer.clone())).map(|()| Applied::Later)
    }

    pub(crate) fn reboot() -> Result<(), Error> {
        ask(Request::Reboot(String::new()))
    }

    pub(crate) fn factory_reset() -> Result<(), Error> {
        ask(Request::FactoryReset)
    }

    pub(crate) fn call(request: &Request) -> Result<Response, Error> {
        ask(request.clone()).map(|()| Response::Done)
    }

    pub(crate) fn tag(name: &str) {
        world(|world| world.tags.insert(name.into()));
    }

    pub(crate) fn untag(name: &str) {
        world(|world| world.tags.remove(name));
    }

    fn ask(request: Request) -> Result<(), Error> {
        world(|world| {
            world.failing()?;
            world.asked.push(request);
            Ok(())
        })
    }

    fn invalid_name(path: &str) -> Error {
        Error::Fault(Fault {
            code: 9005,
            text: format!("Invalid parameter name {path}"),
            parameters: Vec::new(),
        })
    }
}
