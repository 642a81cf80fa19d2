//! When devices were last heard: readings that change in every session, so they are kept in
//! blocks of 256 devices (one record each), and set without a lock.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use crate::device::{Contacts, UnixTime};

use super::StoreError;
use super::keys::unreadable;

/// Devices of a block.
pub(super) const BLOCK_DEVICES: u64 = 256;
const WHAT: &str = "block of contacts";
const RECORD_BYTES: usize = 8 + BLOCK_DEVICES as usize * 8;

/// The contacts of the devices with the numbers `256 n …= 256 n + 255`.
#[derive(Debug)]
pub(super) struct ContactBlock {
    slots: Box<[Slot]>,
    dirty: AtomicBool,
}

/// 0 = never.
#[derive(Debug, Default)]
struct Slot {
    last_contact: AtomicI64,
    last_full: AtomicI64,
}

impl Default for ContactBlock {
    fn default() -> Self {
        let slots = (0..BLOCK_DEVICES).map(|_| Slot::default()).collect();
        ContactBlock {
            slots,
            dirty: AtomicBool::new(false),
        }
    }
}

impl ContactBlock {
    pub(super) fn get(&self, number: u64) -> Contacts {
        self.slot(number)
            .map_or_else(Contacts::default, |slot| Contacts {
                last_contact: slot.last_contact.load(Ordering::Relaxed),
                last_full: slot.last_full.load(Ordering::Relaxed),
            })
    }

    pub(super) fn contacted(&self, number: u64, now: UnixTime) {
        self.change(self.slot(number).map(|slot| &slot.last_contact), now);
    }

    pub(super) fn contacted_fully(&self, number: u64, now: UnixTime) {
        self.change(self.slot(number).map(|slot| &slot.last_full), now);
    }

    pub(super) fn clear(&self, number: u64) {
        self.contacted(number, 0);
        self.contacted_fully(number, 0);
    }

    /// The record if anything changed since the last call.
    pub(super) fn take_changed(&self) -> Option<Vec<u8>> {
        self.dirty
            .swap(false, Ordering::AcqRel)
            .then(|| self.encode())
    }

    fn slot(&self, number: u64) -> Option<&Slot> {
        self.slots
            .get(usize::try_from(number % BLOCK_DEVICES).ok()?)
    }

    fn change(&self, time: Option<&AtomicI64>, now: UnixTime) {
        if time.is_some_and(|time| time.swap(now, Ordering::Relaxed) != now) {
            self.dirty.store(true, Ordering::Release);
        }
    }

    /// The earliest time (8 bytes), then for each device two times of 4 bytes as seconds after
    /// that plus 1; 0 = never. Too far apart to fit (136 years): never.
    fn encode(&self) -> Vec<u8> {
        let times = || {
            self.slots.iter().flat_map(|slot| {
                [
                    slot.last_contact.load(Ordering::Relaxed),
                    slot.last_full.load(Ordering::Relaxed),
                ]
            })
        };
        let base = times().filter(|time| *time != 0).min().unwrap_or(0);
        let mut out = Vec::with_capacity(RECORD_BYTES);
        out.extend(base.to_le_bytes());
        for time in times() {
            let after = time
                .checked_sub(base)
                .and_then(|after| after.checked_add(1));
            let after = after
                .filter(|_| time != 0)
                .and_then(|after| u32::try_from(after).ok());
            out.extend(after.unwrap_or(0).to_le_bytes());
        }
        out
    }

    pub(super) fn decode(record: &[u8]) -> Result<ContactBlock, StoreError> {
        let block = ContactBlock::default();
        let (base, times) = match record.split_first_chunk() {
            Some((base, times)) if record.len() == RECORD_BYTES => {
                (i64::from_le_bytes(*base), times)
            }
            _ => {
                return Err(unreadable(
                    WHAT,
                    format_args!("{RECORD_BYTES} bytes expected, {} came", record.len()),
                ));
            }
        };
        let mut times = times.chunks_exact(4).map(|bytes| {
            let after = <[u8; 4]>::try_from(bytes).map_or(0, u32::from_le_bytes);
            if after == 0 {
                0
            } else {
                base.saturating_add(i64::from(after) - 1)
            }
        });
        for slot in &block.slots {
            slot.last_contact
                .store(times.next().unwrap_or(0), Ordering::Relaxed);
            slot.last_full
                .store(times.next().unwrap_or(0), Ordering::Relaxed);
        }
        Ok(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_survives_its_record() {
        let block = ContactBlock::default();
        assert_eq!(block.take_changed(), None);
        block.contacted(3, 1_700_000_300);
        block.contacted_fully(3, 1_700_000_000);
        block.contacted(512 + 255, 1_700_000_999);
        block.contacted(512 + 255, 1_700_000_999);
        let record = block.take_changed().unwrap();
        assert_eq!(block.take_changed(), None);
        let read = ContactBlock::decode(&record).unwrap();
        let expected = Contacts {
            last_contact: 1_700_000_300,
            last_full: 1_700_000_000,
        };
        assert_eq!(read.get(256 + 3), expected);
        assert_eq!(
            read.get(255),
            Contacts {
                last_contact: 1_700_000_999,
                last_full: 0
            }
        );
        assert_eq!(read.get(4), Contacts::default());
        assert!(ContactBlock::decode(&record[1..]).is_err());
    }
}
