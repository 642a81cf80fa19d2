//! Long lists on their way out: written where it may take its time, sent as fast as they are
//! read, a few pieces ahead.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

/// Bytes of a piece.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces that are ready before anybody reads them.
const AHEAD: usize = 4;
/// A cell that begins with one of these is a formula to some programs.
pub(crate) const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];
/// Exports at once: each has a thread.
const AT_ONCE_MAX: usize = 64;
/// Of one who asks: whoever reads slowly keeps nobody else from theirs.
const OF_ONE_MAX: usize = 8;
/// A client that takes no piece for so long gets no more.
const PIECE_TIME_MAX: Duration = Duration::from_secs(60);

/// How many are under way, by who asked.
static UNDER_WAY: LazyLock<Mutex<HashMap<Arc<str>, usize>>> = LazyLock::new(Mutex::default);

/// Where an export writes.
pub(crate) struct Sink {
    written: Vec<u8>,
    pieces: mpsc::Sender<io::Result<Bytes>>,
    piece_time_max: Duration,
    runtime: Handle,
}

/// A place among those under way.
struct Place(Arc<str>);

impl Place {
    fn take(who: &str) -> Option<Place> {
        let mut under_way = UNDER_WAY.lock();
        let own = under_way.get(who).copied().unwrap_or_default();
        if own >= OF_ONE_MAX || under_way.values().sum::<usize>() >= AT_ONCE_MAX {
            return None;
        }
        let who: Arc<str> = who.into();
        under_way.insert(Arc::clone(&who), own + 1);
        Some(Place(who))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut under_way = UNDER_WAY.lock();
        match under_way.get_mut(&self.0) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(under_way.remove(&self.0)),
        }
    }
}

/// A body that `write` writes for `who` on a thread of its own; `None`: too many are under way. An
/// error breaks the answer off, so that nobody takes it for whole.
pub(crate) fn stream(
    who: &str,
    write: impl FnOnce(&mut Sink) -> io::Result<()> + Send + 'static,
) -> Option<Body> {
    stream_within(PIECE_TIME_MAX, who, write)
}

fn stream_within(
    piece_time_max: Duration,
    who: &str,
    write: impl FnOnce(&mut Sink) -> io::Result<()> + Send + 'static,
) -> Option<Body> {
    let place = Place::take(who)?;
    let (pieces, ready) = mpsc::channel(AHEAD);
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let _place = place;
        let mut sink = Sink {
            written: Vec::with_capacity(PIECE_BYTES),
            pieces,
            piece_time_max,
            runtime,
        };
        let written = write(&mut sink).and_then(|()| sink.send());
        if let Err(error) = written {
            let _ = sink.give(Err(error));
        }
    });
    Some(Body::from_stream(ReceiverStream::new(ready).fuse()))
}

impl Sink {
    /// A line of JSON.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.written, value)?;
        self.written.push(b'\n');
        self.flush()
    }

    /// A line of values with commas between (RFC 4180). What a spreadsheet would take for a formula gets
    /// an apostrophe before it.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub(crate) fn csv(&mut self, values: &[impl AsRef<str>]) -> io::Result<()> {
        let mut line = csv::WriterBuilder::new()
            .terminator(csv::Terminator::CRLF)
            .from_writer(&mut self.written);
        for value in values {
            let value = value.as_ref();
            if value.starts_with(FORMULA) {
                line.write_field(format!("'{value}"))?;
            } else {
                line.write_field(value)?;
            }
        }
        line.write_record(None::<&[u8]>)?;
        line.flush()?;
        drop(line);
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.written.len() < PIECE_BYTES {
            return Ok(());
        }
        self.send()
    }

    fn send(&mut self) -> io::Result<()> {
        let piece = Bytes::from(std::mem::take(&mut self.written));
        self.give(Ok(piece))
    }

    fn give(&self, piece: io::Result<Bytes>) -> io::Result<()> {
        let given = self
            .runtime
            .block_on(timeout(self.piece_time_max, self.pieces.send(piece)));
        match given {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_all_places() {
        let mine: Vec<Option<Place>> = (0..=OF_ONE_MAX).map(|_| Place::take("one")).collect();
        assert_eq!(mine.iter().flatten().count(), OF_ONE_MAX);
        assert!(Place::take("another").is_some());
        drop(mine);
        assert!(Place::take("one").is_some());
    }

    #[tokio::test]
    async fn who_takes_nothing_gets_no_more() {
        let (told, ended) = tokio::sync::oneshot::channel();
        let body = stream_within(Duration::from_millis(20), "slow", move |sink| {
            let endless = (0..).try_for_each(|number: u64| sink.json(&number));
            let _ = told.send(endless.map_err(|error| error.kind()));
            Ok(())
        });
        assert_eq!(ended.await, Ok(Err(io::ErrorKind::TimedOut)));
        drop(body);
    }
}
