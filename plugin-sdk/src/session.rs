//! The device at the other end of the running session. Each call waits for the device's answer.
//!
//! `?` turns an [`Error`] into the flow's error. After [`Error::Ended`] nothing more can be asked: return.

pub use crate::bindings::session::{Error, Reading};
pub use crate::bindings::types::{
    Applied, ParameterAttributes, ParameterInfo, RawRpc, Request, Response, Transfer,
};
use crate::value::Parameter;

/// What the device or the host answered to a question.
pub type Result<T> = std::result::Result<T, Error>;

/// What the host knows already of a path (full, partial or with `*`), and how old it is. Costs nothing.
pub fn known(path: &str) -> Vec<Reading> {
    import::known(path)
}

/// The value of one full path as the host knows it already. Costs nothing.
pub fn known_value(path: &str) -> Option<String> {
    known(path)
        .into_iter()
        .map(|reading| reading.parameter)
        .find(|parameter| parameter.path == path)
        .map(|parameter| parameter.value)
}

/// Reads from the device. Paths are full names, partial paths ending in `.`, or hold `*` for any instance.
/// Ask for all you need at once: the host makes as few RPCs of it as the device allows.
pub fn get<P: Into<String>>(paths: impl IntoIterator<Item = P>) -> Result<Vec<Parameter>> {
    import::get(&paths.into_iter().map(Into::into).collect::<Vec<_>>())
}

/// Reads one value from the device; `None` when its answer does not hold it.
pub fn value(path: &str) -> Result<Option<String>> {
    let values = get([path])?;
    Ok(values
        .into_iter()
        .find(|parameter| parameter.path == path)
        .map(|parameter| parameter.value))
}

/// Writes, whatever stands there: for passwords and all that cannot be read back. One call is one
/// SetParameterValues where the device allows it, so all is set or nothing.
pub fn set(parameters: impl IntoIterator<Item = Parameter>) -> Result<Applied> {
    import::set(&parameters.into_iter().collect::<Vec<_>>())
}

/// Makes it so: reads what is not known, writes only what differs. Returns what was changed.
pub fn ensure(parameters: impl IntoIterator<Item = Parameter>) -> Result<Vec<Parameter>> {
    import::ensure(&parameters.into_iter().collect::<Vec<_>>())
}

/// GetParameterNames.
pub fn names(path: &str, next_level: bool) -> Result<Vec<ParameterInfo>> {
    import::names(path, next_level)
}

/// AddObject; the path ends in a dot. Returns the new instance number.
pub fn add_object(path: &str) -> Result<u32> {
    import::add_object(path)
}

/// DeleteObject; the path ends in the instance number and a dot.
pub fn delete_object(path: &str) -> Result<Applied> {
    import::delete_object(path)
}

/// SetParameterAttributes.
pub fn set_attributes(attributes: impl IntoIterator<Item = ParameterAttributes>) -> Result<()> {
    import::set_attributes(&attributes.into_iter().collect::<Vec<_>>())
}

/// Download: the device fetches a file, a firmware for example.
pub fn download(transfer: &Transfer) -> Result<Applied> {
    import::download(transfer)
}

/// Upload: the device sends a file, its log for example.
pub fn upload(transfer: &Transfer) -> Result<Applied> {
    import::upload(transfer)
}

/// Reboot, at the end of this session.
pub fn reboot() -> Result<()> {
    import::reboot()
}

/// FactoryReset, at the end of this session.
pub fn factory_reset() -> Result<()> {
    import::factory_reset()
}

/// Any RPC.
pub fn call(request: &Request) -> Result<Response> {
    import::call(request)
}

/// Puts a tag on the device.
pub fn tag(name: &str) {
    import::tag(name);
}

/// Takes a tag off the device.
pub fn untag(name: &str) {
    import::untag(name);
}

#[cfg(target_family = "wasm")]
use crate::bindings::session as import;
#[cfg(not(target_family = "wasm"))]
use crate::testing::session as import;
