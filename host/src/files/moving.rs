//! Transfers on the wire at this moment: how many bytes of each have moved. Kept in memory;
//! what must outlive a restart (begun, moved) is noted in the task.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::work::task::TaskId;

/// The transfers under way.
#[derive(Debug, Default)]
pub struct Moving {
    tasks: Mutex<HashMap<TaskId, Bytes>>,
}

/// How far a transfer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bytes {
    /// From the beginning of the file, without a gap. A device that goes on where it was
    /// interrupted adds to it; one that fetches the end first is whole only after it all.
    moved: u64,
    size: u64,
}

impl Moving {
    /// A piece of the file has moved.
    pub fn add(&self, task: TaskId, offset: u64, length: u64, size: u64) {
        let mut tasks = self.tasks.lock();
        let bytes = tasks.entry(task).or_insert(Bytes { moved: 0, size });
        if offset <= bytes.moved {
            bytes.moved = bytes.moved.max(offset.saturating_add(length));
        }
    }

    /// How many bytes have moved.
    pub fn bytes(&self, task: TaskId) -> Option<u64> {
        self.tasks.lock().get(&task).map(|bytes| bytes.moved)
    }

    /// Whether all have.
    pub fn is_whole(&self, task: TaskId) -> bool {
        let tasks = self.tasks.lock();
        tasks
            .get(&task)
            .is_some_and(|bytes| bytes.moved >= bytes.size)
    }

    /// The task has ended.
    pub fn forget(&self, task: TaskId) {
        self.tasks.lock().remove(&task);
    }

    /// Forgets those whose task is not wanted any more.
    pub fn retain(&self, wanted: impl Fn(TaskId) -> bool) {
        self.tasks.lock().retain(|task, _| wanted(*task));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_that_goes_on_after_a_break() {
        let (moving, task) = (Moving::default(), TaskId(1));
        assert_eq!(moving.bytes(task), None);
        moving.add(task, 0, 60, 100);
        moving.add(task, 80, 20, 100);
        assert_eq!(moving.bytes(task), Some(60));
        assert!(!moving.is_whole(task));
        moving.add(task, 50, 50, 100);
        assert!(moving.is_whole(task));
        moving.forget(task);
        assert!(!moving.is_whole(task));
    }
}
