//! Long lists on their way out: written where it may take its time, sent as fast as they are
//! read, a few pieces ahead.

use std::io;
use std::sync::LazyLock;

use axum::body::Body;
use bytes::Bytes;
use serde::Serialize;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

/// Bytes of a piece.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces that are ready before anybody reads them.
const AHEAD: usize = 4;
/// Exports at once: each has a thread.
const AT_ONCE_MAX: usize = 8;

static ROOM: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(AT_ONCE_MAX));

/// Where an export writes.
pub(crate) struct Sink {
    written: Vec<u8>,
    pieces: mpsc::Sender<io::Result<Bytes>>,
}

/// A body that `write` writes on a thread of its own; `None`: too many are under way. An error
/// breaks the answer off, so that nobody takes it for whole.
pub(crate) fn stream(
    write: impl FnOnce(&mut Sink) -> io::Result<()> + Send + 'static,
) -> Option<Body> {
    let permit = ROOM.try_acquire().ok()?;
    let (pieces, ready) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let mut sink = Sink {
            written: Vec::with_capacity(PIECE_BYTES),
            pieces,
        };
        let written = write(&mut sink).and_then(|()| sink.send());
        if let Err(error) = written {
            let _ = sink.pieces.blocking_send(Err(error));
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

    /// A line of values with commas between. What a spreadsheet would take for a formula gets
    /// an apostrophe before it.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub(crate) fn csv(&mut self, values: &[impl AsRef<str>]) -> io::Result<()> {
        let mut line = csv::Writer::from_writer(&mut self.written);
        for value in values {
            let value = value.as_ref();
            if value.starts_with(['=', '+', '-', '@', '\t', '\r']) {
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
        self.pieces
            .blocking_send(Ok(piece))
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}
