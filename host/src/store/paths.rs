//! Parameter paths, each kept once in the process: devices of a model share all of theirs.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::sync::{Arc, LazyLock};

use hashbrown::DefaultHashBuilder;
use parking_lot::Mutex;

const SHARDS: usize = 16;
/// A shard is not searched for paths that nobody uses before it has this many.
const SWEEP_FROM_PATHS: usize = 4096;

/// Hashes paths; seeded per process, so that no device can choose collisions.
pub(super) static HASHER: LazyLock<DefaultHashBuilder> = LazyLock::new(DefaultHashBuilder::default);

static SHARED: LazyLock<[Mutex<Shard>; SHARDS]> = LazyLock::new(Default::default);

#[derive(Default)]
struct Shard {
    paths: HashSet<Arc<str>, DefaultHashBuilder>,
    sweep_at: usize,
}

/// The one copy of this path.
pub(super) fn shared(path: &str) -> Arc<str> {
    let number = usize::try_from(HASHER.hash_one(path) >> 48).unwrap_or(0) % SHARDS;
    let Some(shard) = SHARED.get(number) else {
        return Arc::from(path);
    };
    let mut shard = shard.lock();
    if let Some(known) = shard.paths.get(path) {
        return Arc::clone(known);
    }
    if shard.paths.len() >= shard.sweep_at.max(SWEEP_FROM_PATHS) {
        shard.paths.retain(|path| Arc::strong_count(path) > 1);
        shard.sweep_at = shard.paths.len() * 2;
    }
    let new: Arc<str> = Arc::from(path);
    shard.paths.insert(Arc::clone(&new));
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_kept_once_and_unused_ones_go() {
        let path = shared("Device.DeviceInfo.SoftwareVersion");
        assert!(Arc::ptr_eq(
            &path,
            &shared("Device.DeviceInfo.SoftwareVersion")
        ));
        for n in 0..SHARDS * SWEEP_FROM_PATHS * 3 {
            shared(&format!("Device.X.{n}"));
        }
        let kept: usize = SHARED.iter().map(|shard| shard.lock().paths.len()).sum();
        assert!(kept <= SHARDS * (SWEEP_FROM_PATHS + 1), "{kept}");
        assert!(Arc::ptr_eq(
            &path,
            &shared("Device.DeviceInfo.SoftwareVersion")
        ));
    }
}
