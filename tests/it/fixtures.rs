//! Messages as real devices send them: those of the laboratory's collection where it is there,
//! and our own, masked and reduced, one for each oddity.

mod answers;
mod closer;
mod own;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use cwmp::{Body, Message, Request};
use patchbay::device::device_id;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Answer, Host, PATIENCE, Setup, http};

/// Those that no server could take, and why. An entry that is answered after all fails the test.
const CANNOT: [(&str, &str); 1] = [(
    "avm-fritzbox7170-inform-fragment.txt",
    "a web page's text, not what the device sent: no envelope, and end tags like `</ Value=\"Value\">`",
)];

/// What the project's root has beside it on the machines where it is made.
fn collection() -> Option<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures");
    if directory.is_dir() {
        return Some(directory);
    }
    println!("skipped: {} is not there", directory.display());
    None
}

/// All Informs of the collection, by file name.
fn informs(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let bytes = std::fs::read(&path).unwrap();
        if !name.ends_with(".md") && String::from_utf8_lossy(&bytes).contains(":Inform>") {
            found.push((name, bytes));
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn every_inform_of_the_collection_is_answered_or_says_why_not() {
    let Some(directory) = collection() else {
        return;
    };
    let informs = informs(&directory);
    assert!(
        informs.len() >= 28,
        "only {} Informs in {}",
        informs.len(),
        directory.display()
    );
    for setup in [Setup::new(), Setup::shipped()] {
        let host = setup.start().await;
        let mut wrong = Vec::new();
        for (name, bytes) in &informs {
            let reason = CANNOT
                .iter()
                .find(|(file, _)| file == name)
                .map(|(_, reason)| reason);
            match (answered(&host, name, bytes).await, reason) {
                (Ok(()), None) | (Err(_), Some(_)) => {}
                (Ok(()), Some(reason)) => {
                    wrong.push(format!("{name} is answered, though {reason}"))
                }
                (Err(error), None) => wrong.push(format!("{name}: {error}")),
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        host.stop().await;
    }
    for (file, _) in CANNOT {
        assert!(
            informs.iter().any(|(name, _)| name == file),
            "{file} is not in the collection"
        );
    }
}

/// Sends an Inform the way its device did; what it tells has to arrive in the device's record.
async fn answered(host: &Host, name: &str, bytes: &[u8]) -> Result<(), String> {
    let sent = Sent::new(name, bytes);
    let answer = exchange(host.cwmp, &sent.request).await;
    let text = answer.text();
    if answer.status != 200 || !text.contains("InformResponse") {
        return Err(format!("{} {}", answer.status, text.trim_end()));
    }
    let message = Message::parse(&sent.body).map_err(|error| error.to_string())?;
    let Body::Request(Request::Inform(inform)) = &message.body else {
        return Err("is no Inform".into());
    };
    let answer = Message::parse(&answer.body).map_err(|error| error.to_string())?;
    if answer.header.id != message.header.id
        || answer.version.namespace() != message.version.namespace()
    {
        return Err(format!("was answered in other terms: {text}"));
    }
    let device = host
        .get(&format!("/v1/devices/{}", device_id(&inform.device_id)))
        .await;
    let known: BTreeSet<&str> = device["parameters"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let told = names(&String::from_utf8_lossy(&sent.body));
    let lost: Vec<&String> = told
        .iter()
        .filter(|path| !known.contains(path.as_str()))
        .collect();
    if !lost.is_empty() {
        return Err(format!("{lost:?} did not arrive"));
    }
    Ok(())
}

/// All `Name`s, found without a parser of XML.
fn names(xml: &str) -> BTreeSet<String> {
    let after = xml
        .split("<Name")
        .skip(1)
        .filter_map(|rest| rest.split_once('>'));
    let names = after.filter_map(|(_, rest)| rest.split_once("</"));
    names.map(|(name, _)| name.trim().to_owned()).collect()
}

/// A request as bytes, and the envelope in it.
struct Sent {
    request: Vec<u8>,
    body: Vec<u8>,
}

impl Sent {
    fn new(name: &str, bytes: &[u8]) -> Sent {
        if name.contains("chunked") {
            // As it came over the wire.
            let (_, body) = split_head(bytes);
            return Sent {
                request: bytes.to_vec(),
                body: dechunk(&body),
            };
        }
        if name.ends_with(".xml") {
            return Sent::with_head(
                "POST / HTTP/1.1\r\nContent-Type: text/xml\r\n",
                bytes.to_vec(),
            );
        }
        let (head, mut body) = split_head(bytes);
        if name.ends_with(".http") {
            // The dump added a line end to the body; the head says how long it was.
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("Content-Length:"));
            let length: usize = length.expect("a Content-Length").trim().parse().unwrap();
            assert!(
                body.len() - length <= 1,
                "{name}: {length} bytes in the head, {} in the body",
                body.len()
            );
            body.truncate(length);
        } else if name.ends_with(".head.txt") {
            body = closer::close(&String::from_utf8(body).unwrap()).into_bytes();
        }
        let kept: String = head
            .lines()
            .filter(|line| !line.starts_with("Content-Length:") && !line.starts_with("POST "))
            .map(|line| format!("{}\r\n", line.trim_end()))
            .collect();
        Sent::with_head(&format!("POST / HTTP/1.1\r\n{kept}"), body)
    }

    fn with_head(head: &str, body: Vec<u8>) -> Sent {
        let host = if head.contains("Host:") {
            ""
        } else {
            "Host: acs\r\n"
        };
        let mut request =
            format!("{head}{host}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
        request.extend_from_slice(&body);
        Sent { request, body }
    }
}

fn dechunk(mut chunks: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = chunks.windows(2).position(|w| w == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&chunks[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            break;
        }
        body.extend_from_slice(&chunks[end + 2..end + 2 + size]);
        chunks = &chunks[end + 2 + size + 2..];
    }
    body
}

/// Header lines, where there are some before the envelope, and the rest.
fn split_head(bytes: &[u8]) -> (String, Vec<u8>) {
    let none = bytes.first().is_none_or(|first| *first == b'<');
    let end = |mark: &[u8]| {
        bytes
            .windows(mark.len())
            .position(|w| w == mark)
            .map(|at| at + mark.len())
    };
    let at = match none {
        true => 0,
        false => end(b"\r\n\r\n")
            .into_iter()
            .chain(end(b"\n\n"))
            .min()
            .expect("an empty line"),
    };
    (
        String::from_utf8_lossy(&bytes[..at]).trim_end().to_owned(),
        bytes[at..].to_vec(),
    )
}

/// One request as it is, on a connection that may be kept: the answer is read by its length.
async fn exchange(to: SocketAddr, request: &[u8]) -> Answer {
    let work = async {
        let mut stream = TcpStream::connect(to).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("the connection was closed"));
        }
        let head = String::from_utf8(head).unwrap();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse().unwrap())
        });
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body).await.unwrap();
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head,
            body,
        }
    };
    tokio::time::timeout(PATIENCE, work)
        .await
        .expect("no answer")
}

/// One of our own, by its file name.
fn own(name: &str) -> Vec<u8> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name);
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[tokio::test]
async fn whatever_the_headers_of_a_message_say() {
    let host = Setup::new().start().await;
    let body = own("e03-no-header.xml");
    for headers in [
        "",
        "Content-Type: text/xml\r\n",
        "Content-Type: text/html\r\n",
        "Content-Type: application/soap+xml; charset=utf-8; action=\"x\"\r\n",
        "Content-Type: ;;;\r\n",
        "SOAPAction:\r\n",
        "SOAPAction: \"\"\r\n",
        "SOAPAction: urn:nothing\r\n",
        "Authorization: Digest username=\"a b\", realm=, qop=\"auth\r\n",
        "Cookie: $Version=\"0\"; ID=\"a=b\";$Path=/\r\n",
        "Accept-Encoding: gzip\r\nTE: trailers\r\n",
    ] {
        let answer = http(host.cwmp, "POST", "/acs/x?y=z", headers, &body).await;
        assert_eq!(answer.status, 200, "{headers:?}: {answer:?}");
        assert!(answer.text().contains("InformResponse"), "{headers:?}");
    }
    host.stop().await;
}

#[tokio::test]
async fn an_empty_post_may_look_like_this() {
    let host = Setup::new().start().await;
    let inform = own("e01-prefixes.xml");
    for empty in [
        "Content-Length: 0\r\n\r\n",
        "\r\n",
        "Content-Length: 2\r\n\r\n\r\n",
        "SOAPAction: \"\"\r\nContent-Type: text/xml\r\nContent-Length: 0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n1\r\n \r\n0\r\n\r\n",
    ] {
        let answer = http(host.cwmp, "POST", "/", "", &inform).await;
        let cookie = answer
            .head
            .lines()
            .find_map(|line| line.strip_prefix("Set-Cookie: "))
            .unwrap();
        let cookie = cookie.split(';').next().unwrap();
        let head = format!("POST / HTTP/1.1\r\nHost: acs\r\nCookie: {cookie}\r\n{empty}");
        assert_eq!(
            exchange(host.cwmp, head.as_bytes()).await.status,
            204,
            "{empty:?}"
        );
    }
    host.stop().await;
}
