//! Keys of records: one byte for the kind, the instance, what is told apart in it.
//!
//! | kind | key after the kind | value |
//! |---|---|---|
//! | `v` | | the format's number, as text |
//! | `n` | | the next task number that no batch has reserved, `u64` |
//! | `i` | instance, device id | the device's number, `u64` |
//! | `s` | instance, device number | its summary, JSON |
//! | `t` | instance, device number, part `u16`, chunk `u16` | a part of its tree, see `parts.rs` |
//! | `c` | instance, device number / 256 | the contacts of 256 devices, see `contacts.rs` |
//! | `f` | instance, device id, chunk | its last faults, JSON |
//! | `m` | instance, device id, plugin, name | what a plugin remembers, bytes |
//! | `p` | instance, task number | an unfinished task without operation, JSON |
//! | `e` | instance, task number | an ended task without operation and result, JSON |
//! | `o` | instance, task number, chunk | its operation, JSON |
//! | `r` | instance, task number, chunk | its result, JSON |
//! | `d` | instance, device id, task number | nothing: the tasks of a device |
//! | `k` | instance, device id, idempotency key | the task's number `u64`, SHA-256 of what was asked |
//! | `x` | name, chunk | a setting, JSON |
//! | `l` | instance, file number | a file without its bytes, JSON |
//! | `u` | instance, device id, file number | nothing: the files that a device has sent |
//! | `y` | instance, model id | what was learned of a model, JSON |
//! | `g` | instance, campaign number, chunk | what a campaign is to do, JSON |
//! | `h` | instance, campaign number | how far it is, JSON |
//! | `w` | instance, campaign number, device id | how far a device of it is, JSON |
//! | `j` | instance, campaign number, line number `u64` | a line of its log, JSON |
//! | `q` | instance, webhook, event number | an event that waits for a webhook, packed |
//! | `z` | instance, webhook, event number | one that was given up, JSON, packed |
//!
//! Texts are preceded by their length in one byte, so no key of one instance (or device, or
//! plugin) is a prefix of another's; numbers are big-endian, so keys sort as numbers do.
//! Chunks: `chunks.rs`.

use crate::device::DeviceKey;
use crate::work::campaign::CampaignId;
use crate::work::task::TaskId;

use super::StoreError;

/// Bytes of an instance's name, a device's id, a plugin's name, a setting's name.
pub(super) const NAME_BYTES_MAX: usize = 255;

/// The kind of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Version = b'v',
    NextTask = b'n',
    Index = b'i',
    Summary = b's',
    Tree = b't',
    Contacts = b'c',
    Faults = b'f',
    Memory = b'm',
    Pending = b'p',
    Ended = b'e',
    Operation = b'o',
    TaskResult = b'r',
    DeviceTasks = b'd',
    TaskKey = b'k',
    Setting = b'x',
    File = b'l',
    DeviceFiles = b'u',
    Lesson = b'y',
    Campaign = b'g',
    CampaignHead = b'h',
    CampaignDevice = b'w',
    CampaignLog = b'j',
    Outbox = b'q',
    DeadLetter = b'z',
}

/// A key in the making.
#[derive(Debug, Clone)]
pub(super) struct Key(Vec<u8>);

impl Key {
    pub(super) fn new(kind: Kind) -> Key {
        let mut bytes = Vec::with_capacity(64);
        bytes.push(kind as u8);
        Key(bytes)
    }

    /// A text of at most [`NAME_BYTES_MAX`] bytes; names are checked where they come in.
    pub(super) fn text(mut self, text: &str) -> Key {
        let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
        self.0.push(length);
        self.0.extend(text.bytes().take(NAME_BYTES_MAX));
        self
    }

    pub(super) fn u64(mut self, number: u64) -> Key {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub(super) fn u16(mut self, number: u16) -> Key {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        self.0
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// The device's id below a kind.
pub(super) fn of_device(kind: Kind, device: &DeviceKey) -> Key {
    Key::new(kind).text(&device.instance).text(&device.id)
}

/// A task's number below a kind.
pub(super) fn of_task(kind: Kind, instance: &str, task: TaskId) -> Key {
    Key::new(kind).text(instance).u64(task.0)
}

/// A campaign's number below a kind.
pub(super) fn of_campaign(kind: Kind, instance: &str, campaign: CampaignId) -> Key {
    Key::new(kind).text(instance).u64(campaign.0)
}

/// What stands in a key, read front to back.
#[derive(Debug)]
pub(super) struct KeyReader<'a>(&'a [u8]);

impl<'a> KeyReader<'a> {
    /// Of a key whose kind is known.
    pub(super) fn new(key: &'a [u8]) -> KeyReader<'a> {
        KeyReader(key.get(1..).unwrap_or_default())
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        let (length, rest) = self.0.split_first()?;
        let (text, rest) = rest.split_at_checked(usize::from(*length))?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*bytes))
    }
}

/// Refuses names that a key cannot hold.
pub(super) fn check_name(what: &'static str, name: &str) -> Result<(), StoreError> {
    match name.len() {
        1..=NAME_BYTES_MAX => Ok(()),
        found => Err(StoreError::Name { what, found }),
    }
}

/// Refuses device keys that a key cannot hold.
pub(super) fn check_device(device: &DeviceKey) -> Result<(), StoreError> {
    check_name("an instance's name", &device.instance)?;
    check_name("a device's id", &device.id)
}

/// The error for a key or value that is not what this version writes.
pub(super) fn unreadable(what: &'static str, cause: impl std::fmt::Display) -> StoreError {
    StoreError::Unreadable {
        what,
        cause: cause.to_string(),
    }
}

/// A number stored as a value.
pub(super) fn number_value(what: &'static str, value: &[u8]) -> Result<u64, StoreError> {
    let bytes = <[u8; 8]>::try_from(value)
        .map_err(|_| unreadable(what, format_args!("8 bytes expected, {} came", value.len())))?;
    Ok(u64::from_be_bytes(bytes))
}
