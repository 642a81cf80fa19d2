//! What can go wrong in the store.

use std::path::PathBuf;

use crate::device::DeviceKey;
use crate::work::task::{TaskId, TaskState};

/// Why the store could not do what was asked.
///
/// Cloned to every waiter of a commit that failed, so causes are kept as text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another process has the directory.
    #[error(
        "another patchbay has the store directory {directory} open: stop it, or give this one a directory of its own"
    )]
    InUse {
        /// The store's directory.
        directory: PathBuf,
    },
    /// The directory or a file in it cannot be used: permissions, a missing mount, a full disk.
    #[error("cannot {action} {path}: {cause}")]
    Io {
        /// What was tried: `create`, `open`, `sync`, ….
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the operating system said.
        cause: String,
    },
    /// The records of the directory cannot be read.
    #[error(
        "the store in {directory} is damaged: {cause}. To restore: stop patchbay, move {directory} \
         aside (keep it for analysis), run `patchbay restore` with the newest backup into a new, \
         empty {directory}, and start again. Devices report their readings again by themselves; \
         tasks made after that backup have to be asked for again"
    )]
    Damaged {
        /// The store's directory.
        directory: PathBuf,
        /// What the storage engine said; it panics rather than to return an error.
        cause: String,
    },
    /// The directory was written by another version.
    #[error(
        "the store in {directory} has format {found}, this patchbay reads {expected}: use the version that wrote it, or restore a backup"
    )]
    Format {
        /// The store's directory.
        directory: PathBuf,
        /// What this version reads.
        expected: u32,
        /// What stands there.
        found: String,
    },
    /// The idempotency key stands for something else that was asked of the device.
    #[error("the idempotency key {key:?} stands for task {task}, which asked for something else")]
    KeyTaken {
        /// The key.
        key: String,
        /// What it stands for.
        task: TaskId,
    },
    /// A task with this idempotency key is being made at this moment.
    #[error("a task with the idempotency key {0:?} is being made at this moment")]
    KeyBusy(String),
    /// A write could not be made durable, so nothing is taken any more: what was acknowledged
    /// before is durable, nothing after is. Only a restart (after the cause is repaired) helps.
    #[error("the store takes no writes since one failed: {cause}")]
    Failed {
        /// The first failure.
        cause: String,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// One record does not have the shape that this version writes.
    #[error("a stored {what} cannot be read: {cause}")]
    Unreadable {
        /// Which kind of record.
        what: &'static str,
        /// What was expected and what came.
        cause: String,
    },
    /// What was to be imported is not a whole export.
    #[error("this is no whole export of a store: {cause}")]
    NoExport {
        /// What was expected and what came.
        cause: String,
    },
    /// Imports need a directory without records.
    #[error("the store in {directory} has records: import into a new directory")]
    NotEmpty {
        /// The store's directory.
        directory: PathBuf,
    },
    /// More than the named limit.
    #[error("{what}: {found} is over the limit of {max}")]
    TooMuch {
        /// What is limited, with its unit.
        what: &'static str,
        /// What came.
        found: u64,
        /// The limit.
        max: u64,
    },
    /// Not a name the store can keep: empty, or over 255 bytes.
    #[error("{what} must be 1 to 255 bytes, not {found}")]
    Name {
        /// Which name.
        what: &'static str,
        /// Bytes that came.
        found: usize,
    },
    /// What a page is to begin after is not what a page gave.
    #[error("{0}")]
    Cursor(String),
    /// Who waited for it is gone.
    #[error("the search was cancelled")]
    Cancelled,
    /// The device is not known.
    #[error("there is no device {0}")]
    NoSuchDevice(DeviceKey),
    /// There is no such task, or it has ended.
    #[error("there is no unfinished task {0}")]
    NoSuchTask(TaskId),
    /// The task is not in a state that allows this.
    #[error("task {task} is {found:?}, expected {expected:?}")]
    TaskState {
        /// Which task.
        task: TaskId,
        /// What the step starts from.
        expected: TaskState,
        /// Where it stands.
        found: TaskState,
    },
}

impl StoreError {
    /// Whether the caller asked for something that cannot be (not the store's fault).
    pub fn is_callers(&self) -> bool {
        matches!(
            self,
            StoreError::TooMuch { .. }
                | StoreError::Name { .. }
                | StoreError::Cursor(_)
                | StoreError::NoSuchDevice(_)
                | StoreError::NoSuchTask(_)
                | StoreError::TaskState { .. }
                | StoreError::KeyTaken { .. }
                | StoreError::KeyBusy(_)
        )
    }

    pub(crate) fn io(action: &'static str, path: &std::path::Path, cause: &std::io::Error) -> Self {
        StoreError::Io {
            action,
            path: path.to_owned(),
            cause: cause.to_string(),
        }
    }
}
