//! Downloads and uploads over HTTP, as Download and Upload order them.

use std::time::Duration;

use tokio::time::timeout;

use crate::http::{Connection, Framing, HttpError, Login, Url};
use crate::seed::Seed;
use crate::{SessionOptions, TransferJob, TransferResult};

/// Redirects and a 401 on the way to one file.
const ATTEMPTS_MAX: u32 = 6;
const TRANSFER_TIME_MAX: Duration = Duration::from_secs(300);

/// Gets or puts the file. What goes wrong becomes the fault code that TransferComplete tells.
pub async fn run_transfer(job: &TransferJob, options: &SessionOptions) -> TransferResult {
    match timeout(TRANSFER_TIME_MAX, transfer(job, options)).await {
        Ok(Ok(file)) => TransferResult::Done(file),
        Ok(Err((code, text))) => TransferResult::Failed(code, text),
        Err(_) => TransferResult::Failed(9017, "no end within the time allowed".to_owned()),
    }
}

async fn transfer(job: &TransferJob, options: &SessionOptions) -> Result<Vec<u8>, (u32, String)> {
    let mut url = Url::parse(&job.url).ok_or_else(|| (9013, "no http URL".to_owned()))?;
    let random = Seed::new(options.clock.now().subsec_nanos().into());
    let mut login = Login::new(job.username.clone(), job.password.clone(), random);
    let (method, body) = match &job.upload {
        Some(content) => ("PUT", content.as_slice()),
        None => ("GET", [].as_slice()),
    };
    for _ in 0..ATTEMPTS_MAX {
        let authorization = login.header(method, &url.target);
        let headers: Vec<(&str, &str)> = authorization
            .iter()
            .map(|header| ("Authorization", header.as_str()))
            .collect();
        let opening = Connection::open(&url.address, &url.host, options.local_address);
        let opened = timeout(options.connect_timeout, opening).await;
        let opened = opened.map_err(|_| (9015, "the file server does not answer".to_owned()))?;
        let mut connection = opened.map_err(|error| (9015, error.to_string()))?;
        let exchange = connection.request(method, &url.target, &headers, body, Framing::Length);
        let response = exchange.await.map_err(broken)?;
        match response.status {
            200..=299 => {
                return Ok(if job.upload.is_some() {
                    Vec::new()
                } else {
                    response.body
                });
            }
            301 | 302 | 303 | 307 | 308 => {
                let target = response
                    .header("location")
                    .and_then(|location| url.join(location));
                url = target.ok_or_else(|| (9010, "redirected to nowhere".to_owned()))?;
            }
            401 if login.challenged(response.headers_named("www-authenticate")) => {}
            status @ (401 | 403) => {
                return Err((9012, format!("the file server answered {status}")));
            }
            status @ (404 | 410) => {
                return Err((9016, format!("the file server answered {status}")));
            }
            status => {
                let code = if job.upload.is_some() { 9011 } else { 9010 };
                return Err((code, format!("the file server answered {status}")));
            }
        }
    }
    Err((9010, "redirected too often".to_owned()))
}

fn broken(error: HttpError) -> (u32, String) {
    (9017, error.to_string())
}
