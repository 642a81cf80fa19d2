//! `/v1/backups`: all that is remembered in one file, while the host runs.

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use tokio_stream::wrappers::ReceiverStream;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::audit::Trail;
use super::error::{ApiError, Path, Time};
use super::scope::Scope;
use crate::Acs;
use crate::backup;

/// Bytes read at once of one that is taken away.
const PIECE_BYTES: usize = 256 << 10;

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(content))
}

/// A backup below the data directory.
#[derive(Debug, Serialize, ToSchema)]
struct Backup {
    /// Its name.
    #[schema(example = "2026-11-23T010203Z.backup")]
    name: String,
    /// Where it is on the server.
    #[schema(value_type = String)]
    file: PathBuf,
    /// When it was made.
    made: Time,
    /// How large it is.
    bytes: u64,
}

/// A backup that was made.
#[derive(Debug, Serialize, ToSchema)]
struct Made {
    #[serde(flatten)]
    backup: Backup,
    /// Records of the store.
    records: u64,
    /// Contents of files.
    contents: usize,
    /// Files of the audit log.
    audit_files: usize,
    /// Files of the plugins' directory.
    plugin_files: usize,
}

/// The backups that there are.
#[derive(Debug, Serialize, ToSchema)]
struct Backups {
    /// The newest first.
    items: Vec<Backup>,
}

impl From<backup::Backup> for Backup {
    fn from(backup: backup::Backup) -> Backup {
        Backup {
            made: Time(backup.made),
            name: backup.name,
            file: backup.file,
            bytes: backup.bytes,
        }
    }
}

impl From<backup::BackupError> for ApiError {
    fn from(error: backup::BackupError) -> ApiError {
        match error {
            backup::BackupError::Store(error) => error.into(),
            error => ApiError::internal(error.to_string()),
        }
    }
}

/// Lists the backups.
///
/// Those below the data directory, the newest first.
#[utoipa::path(
    get, path = "/backups", operation_id = "list_backups", tag = "Host",
    responses((status = 200, description = "The backups", body = Backups)),
    security(("token" = ["backups:read"]))
)]
async fn list(State(acs): State<Arc<Acs>>, _: Scope) -> Json<Backups> {
    let items = acs.kept_backups().into_iter().map(Backup::from).collect();
    Json(Backups { items })
}

/// Makes a backup.
///
/// It lies below the data directory and has all records, the contents of files, the audit log, the plugins' directory;
/// the oldest goes if there are more than `[backup]` keeps. It is what `patchbay restore` takes; keep it on another
/// machine.
#[utoipa::path(
    post, path = "/backups", operation_id = "create_backup", tag = "Host",
    responses((status = 201, description = "The backup", body = Made)),
    security(("token" = ["backups:write"]))
)]
async fn create(
    State(acs): State<Arc<Acs>>,
    _: Scope,
    trail: Trail,
) -> Result<(StatusCode, Json<Made>), ApiError> {
    // It goes on when the caller hangs up: half of one is of no use.
    let making = tokio::spawn(async move { acs.back_up(acs.clock.unix()).await });
    let made = making
        .await
        .map_err(|error| ApiError::internal(error.to_string()))??;
    let view = Made {
        backup: made.backup.into(),
        records: made.records,
        contents: made.contents,
        audit_files: made.audit_files,
        plugin_files: made.plugin_files,
    };
    trail.made(&view);
    Ok((StatusCode::CREATED, Json(view)))
}

/// Downloads a backup.
#[utoipa::path(
    get, path = "/backups/{name}", operation_id = "download_backup", tag = "Host",
    params(("name" = String, Path, description = "Its name")),
    responses((
        status = 200, description = "The backup", body = Vec<u8>,
        content_type = "application/octet-stream"
    )),
    security(("token" = ["backups:read"]))
)]
async fn content(
    State(acs): State<Arc<Acs>>,
    _: Scope,
    Path(name): Path<String>,
    trail: Trail,
) -> Result<Response, ApiError> {
    // It has all passwords.
    trail.act();
    // Of those that there are: a name is no path.
    let mut backups = acs.kept_backups().into_iter();
    let backup = backups
        .find(|backup| backup.name == name)
        .ok_or_else(|| ApiError::not_found(format!("there is no backup {name:?}")))?;
    let mut file = std::fs::File::open(&backup.file)
        .map_err(|error| ApiError::internal(format!("the backup cannot be read: {error}")))?;
    let (sender, pieces) = tokio::sync::mpsc::channel(2);
    tokio::task::spawn_blocking(move || {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let read = file.read(&mut piece);
            let ends = matches!(read, Ok(0) | Err(_));
            let read =
                read.map(|count| Bytes::copy_from_slice(piece.get(..count).unwrap_or_default()));
            if sender.blocking_send(read).is_err() || ends {
                return;
            }
        }
    });
    let mut answer = Response::new(Body::from_stream(ReceiverStream::new(pieces)));
    let headers = answer.headers_mut();
    let octets = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, octets);
    headers.insert(header::CONTENT_LENGTH, backup.bytes.into());
    Ok(answer)
}
