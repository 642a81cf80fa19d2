//! Takes the body of a request into a file, piece by piece.

use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt;

use super::multipart::Unwrap;
use super::{Files, FilesError, WriteError, Written};

/// Why a body did not become a file. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// The sender hung up in the middle.
    #[error("the file broke off: {0}")]
    BrokeOff(String),
    /// The sender sent nothing for too long.
    #[error("expected the next bytes of the file within {0} s")]
    TooSlow(u64),
    /// It is no multipart/form-data although it says so.
    #[error("{0}")]
    Multipart(String),
    /// It cannot be kept.
    #[error(transparent)]
    Files(#[from] FilesError),
}

/// Reads a body of at most `bytes_max`. `boundary`: it is multipart/form-data, and the file
/// is its first part with a file name.
pub async fn take(
    files: &Files,
    mut body: Body,
    bytes_max: u64,
    boundary: Option<&str>,
) -> Result<Written, TakeError> {
    let seconds = files.settings().slow_seconds_max;
    let mut incoming = files.begin(bytes_max).await?;
    let mut unwrap = boundary.map(Unwrap::new);
    loop {
        let frame = tokio::time::timeout(Duration::from_secs(seconds), body.frame()).await;
        let Some(frame) = frame.map_err(|_| TakeError::TooSlow(seconds))? else {
            break;
        };
        let frame = frame.map_err(|error| TakeError::BrokeOff(error.to_string()))?;
        let Ok(data) = frame.into_data() else {
            continue; // trailers
        };
        let write = match &mut unwrap {
            None => incoming.write(&data).await,
            Some(unwrap) => {
                let inside = unwrap.take(&data).map_err(TakeError::Multipart)?;
                incoming.write(&inside).await
            }
        };
        incoming = write.map_err(keeping)?;
    }
    if let Some(unwrap) = unwrap {
        unwrap.finish().map_err(TakeError::Multipart)?;
    }
    incoming.finish().await.map_err(keeping)
}

fn keeping(error: WriteError) -> TakeError {
    TakeError::Files(error.into())
}
