//! How many follow over the API at once.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Events;

/// Streams at once.
const STREAMS_MAX: usize = 200;
/// Of them of one principal.
const STREAMS_OF_ONE_MAX: usize = 20;

/// Who follows.
#[derive(Debug, Default)]
pub struct Streams {
    by_principal: Mutex<HashMap<Arc<str>, usize>>,
}

/// A place among them; free again when it is dropped.
#[derive(Debug)]
pub struct Stream {
    events: Arc<Events>,
    principal: Arc<str>,
}

impl Streams {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.by_principal.lock().values().sum()
    }
}

impl Events {
    /// A place for one more; `None`: there are too many.
    pub fn stream(self: &Arc<Self>, principal: &Arc<str>) -> Option<Stream> {
        let mut streams = self.streams.by_principal.lock();
        let all: usize = streams.values().sum();
        let own = streams.entry(Arc::clone(principal)).or_default();
        if all >= STREAMS_MAX || *own >= STREAMS_OF_ONE_MAX {
            return None;
        }
        *own += 1;
        Some(Stream {
            events: Arc::clone(self),
            principal: Arc::clone(principal),
        })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut streams = self.events.streams.by_principal.lock();
        if let Some(own) = streams.get_mut(&self.principal) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                streams.remove(&self.principal);
            }
        }
    }
}
