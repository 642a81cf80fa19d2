//! What every plugin may use: the log, the session's time, random bytes, the operator's settings.

use serde::de::DeserializeOwned;

pub use crate::bindings::host::Level;
use crate::error::{Error, Result};

/// Seconds since the epoch. Constant during one session, so that a run can be replayed.
pub fn now() -> i64 {
    import::now()
}

/// Random bytes fit for passwords; at most 1024 at a time.
pub fn random(count: u32) -> Vec<u8> {
    import::random(count)
}

/// A random text of letters and digits without the ones people confuse (`0O1lI`), fit for passwords in any device:
/// about 5.8 bits a character.
pub fn random_text(length: usize) -> String {
    const LETTERS: &[u8] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let bytes = random(128);
        if bytes.is_empty() {
            break;
        }
        // 57 letters: bytes of 228 and more are thrown away, else some letters were likelier.
        let letters = bytes
            .iter()
            .filter(|byte| usize::from(**byte) < LETTERS.len() * 4)
            .filter_map(|byte| LETTERS.get(usize::from(*byte) % LETTERS.len()))
            .map(|letter| char::from(*letter));
        let missing = length - text.len();
        text.extend(letters.take(missing));
    }
    text
}

/// The operator's settings, the table `[settings]` of `<plugin>.toml` beside the component.
/// Without the file they are an empty table: give the fields defaults with `#[serde(default)]`.
pub fn settings<T: DeserializeOwned>() -> Result<T> {
    let json = import::settings();
    let json = match json.trim() {
        "" | "null" => "{}",
        json => json,
    };
    serde_json::from_str(json).map_err(|error| {
        // "at line 1 column 34" is about JSON that the operator never wrote.
        let text = error.to_string();
        let text = text
            .rsplit_once(" at line ")
            .map_or(text.as_str(), |(what, _)| what);
        Error::new(format!("settings: {text}"))
    })
}

/// Writes to the host's log under the plugin's name; the macros [`debug!`](crate::debug), [`info!`](crate::info),
/// [`warn!`](crate::warn) and [`error!`](crate::error) format.
pub fn log(level: Level, text: &str) {
    import::log(level, text);
}

/// Logs for whoever looks for a fault: `debug!("{count} values")`.
#[macro_export]
macro_rules! debug {
    ($($text:tt)*) => { $crate::host::log($crate::host::Level::Debug, &::std::format!($($text)*)) };
}

/// Logs what happened: `info!("new password for {}", device.id)`.
#[macro_export]
macro_rules! info {
    ($($text:tt)*) => { $crate::host::log($crate::host::Level::Info, &::std::format!($($text)*)) };
}

/// Logs what the operator should look at.
#[macro_export]
macro_rules! warn {
    ($($text:tt)*) => { $crate::host::log($crate::host::Level::Warn, &::std::format!($($text)*)) };
}

/// Logs what went wrong.
#[macro_export]
macro_rules! error {
    ($($text:tt)*) => { $crate::host::log($crate::host::Level::Error, &::std::format!($($text)*)) };
}

/// Called on the way into the plugin: a panic's message goes to the log, because this target has no stderr.
#[doc(hidden)]
pub fn enter() {
    #[cfg(target_family = "wasm")]
    {
        static HOOK: std::sync::Once = std::sync::Once::new();
        HOOK.call_once(|| {
            std::panic::set_hook(Box::new(|panic| log(Level::Error, &panic.to_string())));
        });
    }
}

#[cfg(target_family = "wasm")]
use crate::bindings::host as import;
#[cfg(not(target_family = "wasm"))]
use crate::testing::host as import;
