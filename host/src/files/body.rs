//! A file as the body of an answer: read piece by piece, no faster than the client takes it.

use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use hyper::body::{Frame, SizeHint};
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc};

use super::range::{self, Wanted};
use super::{File, FileId};
use crate::Acs;
use crate::work::task::TaskId;

/// Bytes read at once.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces that wait for the client.
const PIECES_WAITING: usize = 2;

/// Whom a file goes to.
#[derive(Default)]
pub struct To {
    /// The task of a device's download; its progress is noted.
    pub task: Option<TaskId>,
    /// Notified when the client takes nothing for too long: its connection is to be dropped.
    pub too_slow: Option<Arc<Notify>>,
    /// Held as long as the file is on its way.
    pub place: Option<OwnedSemaphorePermit>,
}

/// Answers a GET or HEAD with the file or the part of it that the request wants.
pub async fn answer(
    acs: &Arc<Acs>,
    file: &File,
    method: &Method,
    headers: &HeaderMap,
    to: To,
) -> Response {
    let etag = format!("\"{}\"", file.sha256.get(..32).unwrap_or(&file.sha256));
    let wanted = range::wanted(headers, &etag, file.uploaded, file.size);
    let (status, part) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0..file.size),
        Wanted::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
        Wanted::NotModified => (StatusCode::NOT_MODIFIED, 0..0),
        Wanted::NotThere => (StatusCode::RANGE_NOT_SATISFIABLE, 0..0),
    };
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = status;
    let head = answer.headers_mut();
    let mut set = |name: HeaderName, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            head.insert(name, value);
        }
    };
    set(header::ACCEPT_RANGES, "bytes".into());
    set(header::ETAG, etag);
    set(header::LAST_MODIFIED, range::http_date(file.uploaded));
    match status {
        StatusCode::NOT_MODIFIED => return answer,
        StatusCode::RANGE_NOT_SATISFIABLE => {
            set(header::CONTENT_RANGE, format!("bytes */{}", file.size));
            return answer;
        }
        StatusCode::PARTIAL_CONTENT => {
            let (first, last) = (part.start, part.end.saturating_sub(1));
            let range = format!("bytes {first}-{last}/{}", file.size);
            set(header::CONTENT_RANGE, range);
        }
        _ => {}
    }
    set(header::CONTENT_TYPE, "application/octet-stream".into());
    set(header::CONTENT_LENGTH, (part.end - part.start).to_string());
    if method == Method::HEAD {
        return answer;
    }
    let content = match acs.files.read(file).await {
        Ok(content) => content,
        Err(error) => {
            tracing::error!(file = %file.id, %error, "the content of a file cannot be read");
            let reason = format!("the content of {} cannot be read: {error}\n", file.id);
            return refuse(StatusCode::INTERNAL_SERVER_ERROR, reason);
        }
    };
    let (sender, pieces) = mpsc::channel(PIECES_WAITING);
    *answer.body_mut() = Body::new(FileBody {
        acs: Arc::clone(acs),
        task: to.task,
        size: file.size,
        pieces,
        next: part.start,
        end: part.end,
    });
    let pump = Pump {
        acs: Arc::clone(acs),
        file: file.id,
        to,
        sender,
    };
    tokio::spawn(pump.run(content, part));
    answer
}

/// A refusal in one line of text.
pub fn refuse(status: StatusCode, reason: impl Into<String>) -> Response {
    let mut answer = Response::new(Body::from(reason.into()));
    *answer.status_mut() = status;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, text);
    answer
}

/// Reads the file and hands it on.
struct Pump {
    acs: Arc<Acs>,
    file: FileId,
    to: To,
    sender: mpsc::Sender<std::io::Result<Bytes>>,
}

impl Pump {
    async fn run(self, content: std::fs::File, part: Range<u64>) {
        let patience = Duration::from_secs(self.acs.files.settings().slow_seconds_max);
        let mut content = content;
        let mut at = part.start;
        while at < part.end {
            let read = tokio::task::spawn_blocking(move || piece(content, at, part.end)).await;
            let piece = match read.map_err(std::io::Error::other).and_then(|read| read) {
                Ok((same, piece)) => {
                    content = same;
                    piece
                }
                Err(error) => {
                    tracing::error!(file = %self.file, %error, "a file cannot be read on");
                    let _ = self.sender.send(Err(error)).await;
                    return;
                }
            };
            at += piece.len() as u64;
            match tokio::time::timeout(patience, self.sender.send(Ok(piece))).await {
                Ok(Ok(())) => {}
                // The client hung up.
                Ok(Err(_)) => return,
                Err(_) => return self.too_slow(),
            }
        }
        if tokio::time::timeout(patience, self.sender.closed())
            .await
            .is_err()
        {
            return self.too_slow();
        }
        if let Some(task) = self.to.task
            && self.acs.files.moving.is_whole(task)
        {
            self.acs.transfer_moved(task, None).await;
        }
    }

    fn too_slow(&self) {
        tracing::info!(file = %self.file, "a client took nothing for too long");
        if let Some(too_slow) = &self.to.too_slow {
            too_slow.notify_one();
        }
    }
}

fn piece(mut content: std::fs::File, at: u64, end: u64) -> std::io::Result<(std::fs::File, Bytes)> {
    content.seek(SeekFrom::Start(at))?;
    let length = usize::try_from(end - at).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
    let mut piece = vec![0; length];
    content.read_exact(&mut piece)?;
    Ok((content, piece.into()))
}

/// What the server's connection takes from.
struct FileBody {
    acs: Arc<Acs>,
    task: Option<TaskId>,
    size: u64,
    pieces: mpsc::Receiver<std::io::Result<Bytes>>,
    next: u64,
    end: u64,
}

impl hyper::body::Body for FileBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        let polled = self.pieces.poll_recv(context);
        polled.map(|piece| {
            let piece = match piece? {
                Ok(piece) => piece,
                Err(error) => return Some(Err(error)),
            };
            let length = piece.len() as u64;
            if let Some(task) = self.task {
                let moving = &self.acs.files.moving;
                moving.add(task, self.next, length, self.size);
            }
            self.next += length;
            Some(Ok(Frame::data(piece)))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.next >= self.end
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end.saturating_sub(self.next))
    }
}
