//! `/v1/backups`: all records of the store in one file, while the host runs. The audit log and
//! the traces are files already.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::{ApiError, Time, time};
use crate::Acs;

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new().routes(routes!(create))
}

/// A backup of the store.
#[derive(Serialize, ToSchema)]
pub(super) struct BackupView {
    /// Where it is, on the host.
    file: String,
    /// Records in it.
    records: u64,
    made: Time,
}

/// Makes a backup.
///
/// Writes a backup below the data directory. It is what `patchbay restore` takes; copy it to
/// another machine.
#[utoipa::path(
    post, path = "/backups", operation_id = "create_backup", tag = "Host",
    responses((status = 201, description = "The backup", body = BackupView)),
    security(("token" = ["backups:write"]))
)]
pub(super) async fn create(
    State(acs): State<Arc<Acs>>,
) -> Result<(StatusCode, Json<BackupView>), ApiError> {
    let failed = |error: std::io::Error| {
        tracing::error!(%error, "cannot write a backup");
        ApiError::internal(format!("cannot write the backup: {error}"))
    };
    let directory = acs.config.data_directory.join("backups");
    // Credentials of devices are in it: it is nobody else's to read.
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&directory)
        .map_err(failed)?;
    let at = acs.clock.unix();
    let name = time(at).replace(':', "");
    let unfinished = directory.join(format!(".{name}-{:08x}", rand::random::<u32>()));
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)
        .map_err(failed)?;
    let mut written = file.try_clone().map_err(failed)?;
    let records = match acs.store.export(file).await {
        Ok(records) => records,
        Err(error) => {
            let _ = std::fs::remove_file(&unfinished);
            return Err(error.into());
        }
    };
    let finished = directory.join(format!("{name}.backup"));
    let synced = tokio::task::spawn_blocking({
        let finished = finished.clone();
        move || {
            written.flush()?;
            written.sync_all()?;
            std::fs::rename(&unfinished, &finished)
        }
    });
    synced
        .await
        .map_err(std::io::Error::other)
        .and_then(|done| done)
        .map_err(failed)?;
    let view = BackupView {
        file: finished.display().to_string(),
        records,
        made: Time(at),
    };
    Ok((StatusCode::CREATED, Json(view)))
}
