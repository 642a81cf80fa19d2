//! The file store and its API: files come in by streaming, whole or not at all.

use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Answer, Host, Setup, TOKEN, http};

/// Larger than what is read, written or sent at once.
const LARGE: usize = 3_000_000;

fn large() -> Vec<u8> {
    (0..LARGE).map(|at| (at * 7 % 251) as u8).collect()
}

/// A request of the API with bytes.
pub(crate) async fn request(
    host: &Host,
    method: &str,
    path: &str,
    headers: &str,
    body: &[u8],
) -> Answer {
    let headers = format!("Authorization: Bearer {TOKEN}\r\n{headers}");
    http(host.api, method, path, &headers, body).await
}

/// Brings a file; what the API shows of it.
pub(crate) async fn bring(host: &Host, query: &str, body: &[u8]) -> Value {
    let answer = request(host, "POST", &format!("/v1/files?{query}"), "", body).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

fn directory(host: &Host) -> PathBuf {
    host.acs.config.data_directory.join("files")
}

/// Contents on disk, unfinished ones too.
fn contents(host: &Host) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(directory(host)).unwrap() {
        let path = entry.unwrap().path();
        count += match path.is_dir() {
            true => std::fs::read_dir(path).unwrap().count(),
            false => 1,
        };
    }
    count
}

#[tokio::test]
async fn a_file_comes_in_is_changed_and_goes() {
    let host = Setup::new().start().await;
    let query = "name=nl%203.5.bin&type=firmware&version=3.5.0&product_class=NL-*&note=for%20all";
    let file = bring(&host, query, &large()).await;
    assert_eq!(
        (
            &file["name"],
            &file["type"],
            &file["version"],
            &file["size_bytes"],
            &file["devices"]
        ),
        (
            &json!("nl 3.5.bin"),
            &json!("1 Firmware Upgrade Image"),
            &json!("3.5.0"),
            &json!(LARGE),
            &json!({ "product_class": "NL-*" })
        ),
        "{file}"
    );
    let at = format!("/v1/files/{}", file["id"].as_str().unwrap());
    assert_eq!(host.get(&at).await, file);

    // The same bytes under another name, with the checksum that is known.
    let sha256 = file["sha256"].as_str().unwrap();
    let query = format!("name=b&type=X%20012345%20Theme&sha256={sha256}");
    let answer = request(&host, "PUT", &format!("/v1/files?{query}"), "", &large()).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(contents(&host), 1);
    let listed = host.get("/v1/files?limit=1").await;
    let first = listed["items"][0].clone();
    let next = listed["next"].as_str().unwrap();
    let rest = host.get(&format!("/v1/files?after={next}")).await;
    assert_eq!(rest["items"].as_array().unwrap().len(), 1, "{rest}");
    // Two of the same second stand in any order.
    let mut names = [&first["name"], &rest["items"][0]["name"]].map(|name| name.as_str().unwrap());
    names.sort_unstable();
    assert_eq!(names, ["b", file["name"].as_str().unwrap()]);

    let change = json!({ "note": "old", "product_class": "", "oui": "02A1B2", "version": "3.5.1" });
    let (status, changed) = host.api("PATCH", &at, Some(change)).await;
    assert_eq!(status, 200, "{changed}");
    assert_eq!(changed["devices"], json!({ "oui": "02A1B2" }));
    assert_eq!(
        (&changed["version"], &changed["note"]),
        (&json!("3.5.1"), &json!("old"))
    );
    let (status, error) = host
        .api("PATCH", &at, Some(json!({ "sha256": sha256 })))
        .await;
    assert_eq!(status, 400, "{error}");

    assert_eq!(host.api("DELETE", &at, None).await.0, 204);
    assert_eq!(host.api("GET", &at, None).await.0, 404);
    assert_eq!(host.api("DELETE", &at, None).await.0, 404);
    assert_eq!(contents(&host), 1, "the other has the same bytes");
    host.stop().await;
}

#[tokio::test]
async fn any_part_of_a_content() {
    let host = Setup::new().start().await;
    let bytes = large();
    let file = bring(&host, "name=a&type=firmware", &bytes).await;
    let path = format!("/v1/files/{}/content", file["id"].as_str().unwrap());
    let get = async |headers: &str| request(&host, "GET", &path, headers, b"").await;
    let whole = get("").await;
    assert_eq!((whole.status, whole.body.len()), (200, LARGE));
    assert!(whole.body == bytes);
    let header = |name: &str| {
        let mut lines = whole.head.lines();
        let line = lines.find(|line| line.to_lowercase().starts_with(name));
        let line = line.unwrap_or_else(|| panic!("no {name} in {}", whole.head));
        line[name.len()..].trim().to_owned()
    };
    assert_eq!(header("accept-ranges:"), "bytes");
    assert_eq!(header("content-length:"), LARGE.to_string());
    let (etag, modified) = (header("etag:"), header("last-modified:"));

    let part = get("Range: bytes=1000000-1999999\r\n").await;
    assert_eq!(part.status, 206);
    assert!(
        part.head
            .to_lowercase()
            .contains("content-range: bytes 1000000-1999999/3000000")
    );
    assert!(part.body == bytes[1_000_000..2_000_000]);
    let end = get("Range: bytes=-1\r\n").await;
    assert_eq!(end.body, bytes[LARGE - 1..]);
    let beyond = get("Range: bytes=3000000-\r\n").await;
    assert_eq!(beyond.status, 416);
    assert!(
        beyond
            .head
            .to_lowercase()
            .contains("content-range: bytes */3000000")
    );
    for condition in [
        format!("If-None-Match: {etag}\r\n"),
        format!("If-Modified-Since: {modified}\r\n"),
    ] {
        let answer = get(&condition).await;
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{condition}");
    }
    let changed = get("Range: bytes=0-1\r\nIf-Range: \"other\"\r\n").await;
    assert_eq!((changed.status, changed.body.len()), (200, LARGE));
    let head = request(&host, "HEAD", &path, "", b"").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert!(head.head.to_lowercase().contains("content-length: 3000000"));
    host.stop().await;
}

#[tokio::test]
async fn what_is_refused_leaves_nothing() {
    let host = Setup::new()
        .config(|config| config.files.file_bytes_max = 1_000_000)
        .start()
        .await;
    let zeros = "0".repeat(64);
    for (query, body, status, expected) in [
        ("type=firmware", &b"x"[..], 400, "expected a name"),
        ("name=a", b"x", 400, "expected a type"),
        ("name=a&type=firmware&colour=red", b"x", 400, "colour"),
        (
            "name=a&type=firmware&sha256=12",
            b"x",
            400,
            "64 hexadecimal digits",
        ),
        (
            &format!("name=a&type=firmware&sha256={zeros}"),
            b"x",
            422,
            "got 2d711642",
        ),
        ("name=a%0Ab&type=firmware", b"x", 400, "on one line"),
        (
            "name=a&type=firmware",
            &large(),
            413,
            "at most 1000000 bytes",
        ),
    ] {
        let answer = request(&host, "POST", &format!("/v1/files?{query}"), "", body).await;
        assert_eq!(answer.status, status, "{query}: {}", answer.text());
        assert!(
            answer.text().contains(expected),
            "{query}: {}",
            answer.text()
        );
    }

    // A sender that hangs up half-way.
    let mut stream = TcpStream::connect(host.api).await.unwrap();
    let head = format!(
        "POST /v1/files?name=a&type=firmware HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Length: 900000\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&large()[..500_000]).await.unwrap();
    while contents(&host) == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    drop(stream);
    let patience = tokio::time::Instant::now() + crate::harness::PATIENCE;
    while contents(&host) != 0 {
        assert!(tokio::time::Instant::now() < patience, "half a file stays");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(host.get("/v1/files").await["items"], json!([]));
    host.stop().await;
}

#[tokio::test]
async fn a_file_that_a_task_needs_stays() {
    let host = Setup::new().start().await;
    let sim = crate::tasks::of(&host, cpe_sim::Vendor::tr181()).await;
    let file = bring(&host, "name=a&type=firmware", b"x").await;
    let id = file["id"].as_str().unwrap();
    let task = crate::tasks::queue(&host, &sim, json!({ "op": "download", "file": id })).await;
    let (status, error) = host.api("DELETE", &format!("/v1/files/{id}"), None).await;
    assert_eq!(status, 409, "{error}");
    assert!(
        error
            .to_string()
            .contains(&format!("in use by task {task}")),
        "{error}"
    );
    host.post(&format!("/v1/tasks/{task}/cancel"), Value::Null)
        .await;
    assert_eq!(
        host.api("DELETE", &format!("/v1/files/{id}"), None).await.0,
        204
    );
    host.stop().await;
}
