//! `/v1/files`.

use std::sync::Arc;

use axum::Json;
use axum::body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::audit::Trail;
use super::error::{ApiError, Body, ErrorBody, Page, Path, Query, Time, limit};
use super::scope::Scope;
use crate::Acs;
use crate::files::{
    File, FileDevices, FileId, FilesError, NAME_CHARS_MAX, NewFile, TEXT_CHARS_MAX, TakeError, To,
    answer, file_type, status, take,
};
use crate::work::task::TaskId;

pub(super) fn routes() -> OpenApiRouter<Arc<Acs>> {
    OpenApiRouter::new()
        .routes(routes!(list, create, put))
        .routes(routes!(one, change, remove))
        .routes(routes!(content))
}

/// Characters of a FileType (TR-069 A.3.2.8).
const FILE_TYPE_CHARS_MAX: usize = 64;

/// What is told of a file in the query of its upload, and what a PATCH may change.
#[derive(Deserialize, Default, ToSchema, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct About {
    /// What people call it; needed for an upload.
    name: Option<String>,
    /// In full, or `firmware`, `configuration`, …; needed for an upload.
    #[serde(rename = "type")]
    file_type: Option<String>,
    /// The SoftwareVersion that a device reports once it runs this firmware.
    version: Option<String>,
    /// For people.
    note: Option<String>,
    /// Only for devices of this manufacturer; `*` and `?` stand for any text and character.
    manufacturer: Option<String>,
    /// Only for devices of this OUI.
    oui: Option<String>,
    /// Only for devices of this product class.
    product_class: Option<String>,
    /// Only for devices of this hardware version.
    hardware_version: Option<String>,
    /// Only for devices that have this version.
    software_version: Option<String>,
    /// Of the content; only with an upload.
    #[schema(pattern = "^[0-9A-Fa-f]{64}$")]
    #[param(pattern = "^[0-9A-Fa-f]{64}$")]
    sha256: Option<String>,
}

impl About {
    fn check(&self) -> Result<(), ApiError> {
        for (name, value, most) in [
            ("name", &self.name, NAME_CHARS_MAX),
            ("type", &self.file_type, FILE_TYPE_CHARS_MAX),
            ("version", &self.version, NAME_CHARS_MAX),
            ("note", &self.note, TEXT_CHARS_MAX),
            ("manufacturer", &self.manufacturer, NAME_CHARS_MAX),
            ("oui", &self.oui, NAME_CHARS_MAX),
            ("product_class", &self.product_class, NAME_CHARS_MAX),
            ("hardware_version", &self.hardware_version, NAME_CHARS_MAX),
            ("software_version", &self.software_version, NAME_CHARS_MAX),
        ] {
            if let Some(value) = value
                && (value.chars().count() > most || value.chars().any(char::is_control))
            {
                return Err(ApiError::bad(format!(
                    "expected a {name} of at most {most} characters on one line, got {value:?}"
                )));
            }
        }
        let named = |text: &Option<String>| text.as_ref().is_none_or(|text| !text.is_empty());
        if !named(&self.name) || !named(&self.file_type) {
            return Err(ApiError::bad(
                "expected a name and a type that are not empty",
            ));
        }
        let digits =
            |text: &String| text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit());
        match &self.sha256 {
            Some(sha256) if !digits(sha256) => Err(ApiError::bad(format!(
                "expected a sha256 of 64 hexadecimal digits, got {sha256:?}"
            ))),
            _ => Ok(()),
        }
    }

    /// Lays what is told over the patterns; an empty one is taken away.
    fn devices(&self, devices: &mut FileDevices) {
        for (to, from) in [
            (&mut devices.manufacturer, &self.manufacturer),
            (&mut devices.oui, &self.oui),
            (&mut devices.product_class, &self.product_class),
            (&mut devices.hardware_version, &self.hardware_version),
            (&mut devices.software_version, &self.software_version),
        ] {
            if let Some(pattern) = from {
                *to = Some(pattern.clone()).filter(|pattern| !pattern.is_empty());
            }
        }
    }
}

/// A file, without its bytes.
#[derive(Serialize, ToSchema)]
pub(super) struct FileView {
    id: FileId,
    instance: String,
    name: String,
    size_bytes: u64,
    /// Of the bytes.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    sha256: String,
    /// As Download and Upload name it.
    #[serde(rename = "type")]
    file_type: String,
    /// The SoftwareVersion that a device reports once it runs this firmware.
    version: Option<String>,
    /// Which devices it is for.
    devices: FileDevices,
    note: String,
    uploaded: Time,
    /// Who brought it.
    uploaded_by: String,
    /// The device that sent it.
    device: Option<String>,
    /// The task that asked for it.
    task: Option<TaskId>,
}

fn view(file: File) -> FileView {
    FileView {
        id: file.id,
        instance: file.instance,
        name: file.name,
        size_bytes: file.size,
        sha256: file.sha256,
        file_type: file.file_type,
        version: Some(file.version).filter(|version| !version.is_empty()),
        devices: file.devices,
        note: file.note,
        uploaded: Time(file.uploaded),
        uploaded_by: file.uploaded_by,
        task: file.from.as_ref().map(|from| from.task),
        device: file.from.map(|from| from.device),
    }
}

/// Takes the body as a file.
///
/// `curl --upload-file x.bin '…/v1/files?type=firmware'` and
/// `curl --data-binary @x.bin '…'`.
#[utoipa::path(
    post, path = "/files", operation_id = "upload_file",
    params(About),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The bytes of the file"),
    responses(
        (status = 201, description = "The file", body = FileView),
        (status = 408, description = "The bytes came too slowly", body = ErrorBody),
        (status = 507, description = "The disk is full", body = ErrorBody),
    ), tag = "Files",
    security(("token" = ["files:write"]))
)]
pub(super) async fn create(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    trail: Trail,
    Query(about): Query<About>,
    request: Request,
) -> Result<Response, ApiError> {
    about.check()?;
    let Some(name) = about.name.clone() else {
        return Err(ApiError::bad(
            "expected a name: /v1/files?name=x.bin&type=firmware",
        ));
    };
    let Some(kind) = &about.file_type else {
        return Err(ApiError::bad(
            "expected a type: firmware, configuration, or the whole text of a FileType",
        ));
    };
    let mut new = NewFile {
        name,
        file_type: file_type(kind).to_owned(),
        version: about.version.clone().unwrap_or_default(),
        note: about.note.clone().unwrap_or_default(),
        uploaded_by: scope.principal.name.to_string(),
        sha256: about.sha256.clone(),
        ..NewFile::default()
    };
    about.devices(&mut new.devices);
    let most = acs.files.settings().file_bytes_max;
    let written = take(&acs.files, request.into_body(), most, None).await?;
    let kept = acs
        .files
        .keep(&scope.instance.name, written, new, acs.clock.unix());
    let file = kept.await?;
    trail.made(view(file.clone()));
    let location = HeaderValue::from_str(&format!("/v1/files/{}", file.id));
    let mut response = (StatusCode::CREATED, Json(view(file))).into_response();
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Takes the body as a file: what `curl --upload-file` sends.
#[utoipa::path(
    put,
    path = "/files",
    operation_id = "put_file",
    params(About),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The bytes of the file"),
    responses(
        (status = 201, description = "The file", body = FileView),
        (status = 408, description = "The bytes came too slowly", body = ErrorBody),
        (status = 507, description = "The disk is full", body = ErrorBody),
    ),
    tag = "Files",
    security(("token" = ["files:write"]))
)]
pub(super) async fn put(
    acs: State<Arc<Acs>>,
    scope: Scope,
    trail: Trail,
    about: Query<About>,
    request: Request,
) -> Result<Response, ApiError> {
    create(acs, scope, trail, about, request).await
}

/// Which files to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only what this device has sent.
    device: Option<String>,
    /// The `next` of the page before.
    #[param(pattern = "^f-[0-9a-f]{1,16}$")]
    after: Option<String>,
    /// Files of the page; 100 if absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// The files.
#[utoipa::path(
    get, path = "/files", operation_id = "list_files",
    params(ListQuery),
    responses((status = 200, description = "A page of them, the newest first", body = Page<FileView>)), tag = "Files",
    security(("token" = ["files:read"]))
)]
pub(super) async fn list(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<FileView>>, ApiError> {
    let limit = limit(query.limit)?;
    let after = query.after.map(|id| id.parse()).transpose();
    let after = after.map_err(ApiError::bad)?;
    let files = match query.device {
        Some(device) => acs
            .store
            .files_of_device(&scope.key(&acs, &device)?, after, limit)?,
        None => acs.store.files(&scope.instance.name, after, limit)?,
    };
    let next = (files.len() == limit)
        .then(|| files.last().map(|file| file.id.to_string()))
        .flatten();
    let items = files.into_iter().map(view).collect();
    Ok(Json(Page { items, next }))
}

/// What is known of a file.
#[utoipa::path(
    get, path = "/files/{id}", operation_id = "get_file",
    params(("id" = FileId, Path, description = "Of the file")),
    responses((status = 200, description = "What is known of it", body = FileView)), tag = "Files",
    security(("token" = ["files:read"]))
)]
pub(super) async fn one(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
) -> Result<Json<FileView>, ApiError> {
    Ok(Json(view(find(&acs, &scope, &id)?)))
}

/// The bytes of a file.
#[utoipa::path(
    get, path = "/files/{id}/content", operation_id = "download_file",
    params(("id" = FileId, Path, description = "Of the file"), ("range" = Option<String>, Header, description = "Some of the bytes, as HTTP has it")),
    responses(
        (status = 200, description = "The bytes", content_type = "application/octet-stream", body = Vec<u8>),
        (status = 206, description = "Those that were asked for", content_type = "application/octet-stream", body = Vec<u8>),
        (status = 304, description = "The caller has them"),
        (status = 412, description = "It is another file than the caller means"),
        (status = 416, description = "It has no such bytes"),
    ), tag = "Files",
    security(("token" = ["files:content"]))
)]
pub(super) async fn content(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response<body::Body>, ApiError> {
    let file = find(&acs, &scope, &id)?;
    Ok(answer(&acs, &file, &method, &headers, To::default()).await)
}

/// Changes what is said of a file. Its bytes stay as they are.
#[utoipa::path(
    patch, path = "/files/{id}", operation_id = "change_file",
    request_body = About,
    params(("id" = FileId, Path, description = "Of the file")),
    responses((status = 200, description = "As it is from then on", body = FileView)), tag = "Files",
    security(("token" = ["files:write"]))
)]
pub(super) async fn change(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    trail: Trail,
    Body(about): Body<About>,
) -> Result<Json<FileView>, ApiError> {
    about.check()?;
    if about.sha256.is_some() {
        return Err(ApiError::bad("the content of a file cannot be changed"));
    }
    let id = parse(&id)?;
    let mut before = None;
    let change = |file: &mut File| {
        before = Some(view(file.clone()));
        about.devices(&mut file.devices);
        let kind = about.file_type.as_deref().map(file_type);
        for (to, from) in [
            (&mut file.name, about.name.as_deref()),
            (&mut file.file_type, kind),
            (&mut file.version, about.version.as_deref()),
            (&mut file.note, about.note.as_deref()),
        ] {
            if let Some(from) = from {
                from.clone_into(to);
            }
        }
    };
    let file = acs.files.change(&scope.instance.name, id, change).await?;
    let after = view(file);
    trail.between(before, Some(&after));
    Ok(Json(after))
}

/// Deletes a file that no task needs.
#[utoipa::path(
    delete, path = "/files/{id}", operation_id = "delete_file",
    params(("id" = FileId, Path, description = "Of the file")),
    responses((status = 204, description = "Deleted")), tag = "Files",
    security(("token" = ["files:write"]))
)]
pub(super) async fn remove(
    State(acs): State<Arc<Acs>>,
    scope: Scope,
    Path(id): Path<String>,
    trail: Trail,
) -> Result<StatusCode, ApiError> {
    let file = find(&acs, &scope, &id)?;
    acs.files.remove(&scope.instance.name, file.id).await?;
    trail.removed(view(file));
    Ok(StatusCode::NO_CONTENT)
}

fn parse(id: &str) -> Result<FileId, ApiError> {
    id.parse().map_err(ApiError::bad)
}

fn find(acs: &Acs, scope: &Scope, id: &str) -> Result<File, ApiError> {
    Ok(acs.files.get(&scope.instance.name, parse(id)?)?)
}

impl From<FilesError> for ApiError {
    fn from(error: FilesError) -> ApiError {
        TakeError::Files(error).into()
    }
}

impl From<TakeError> for ApiError {
    fn from(error: TakeError) -> ApiError {
        let status = status(&error);
        if status.is_server_error() {
            tracing::error!(%error, "a file could not be kept");
        }
        ApiError::with_status(status, error.to_string())
    }
}
