//! Questions of a flow to the operator's other systems, over the addresses that the operator
//! allowed in `<plugin>.toml`. Plain HTTP/1.1, one connection a question, no redirects.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::rt::TokioIo;

/// An allowed address: `http://host:port/path`. A question must have the same host and port and
/// a path that continues this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Allowed {
    host: String,
    port: u16,
    path: String,
}

impl std::fmt::Display for Allowed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "http://{}:{}{}", self.host, self.port, self.path)
    }
}

/// A question.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) method: String,
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// An answer, of any status.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LookupError {
    NotAllowed,
    Timeout,
    Failed(String),
}

/// Set by the host alone.
const OWN_HEADERS: [&str; 7] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
    "te",
    "trailer",
];
const QUESTION_HEADERS_MAX: usize = 64;

impl Allowed {
    /// An error says what was expected.
    pub(super) fn parse(text: &str) -> Result<Allowed, String> {
        if text.starts_with("https://") {
            return Err(format!(
                "https:// is not supported (in {text:?}): put a local proxy that speaks TLS before it and allow http:// to that"
            ));
        }
        let target = Target::parse(text)
            .map_err(|error| format!("{error}; expected http://host[:port]/path"))?;
        Ok(Allowed {
            host: target.host,
            port: target.port,
            path: target.path,
        })
    }

    fn allows(&self, target: &Target) -> bool {
        self.host == target.host
            && self.port == target.port
            && target
                .path
                .strip_prefix(self.path.as_str())
                .is_some_and(|rest| {
                    rest.is_empty() || self.path.ends_with('/') || rest.starts_with('/')
                })
    }
}

struct Target {
    host: String,
    port: u16,
    path: String,
    path_and_query: String,
}

impl Target {
    fn parse(text: &str) -> Result<Target, String> {
        let uri: Uri = text
            .parse()
            .map_err(|error| format!("{text:?} is not a URL ({error})"))?;
        if uri.scheme_str() != Some("http") {
            return Err(format!("{text:?} does not begin with http://"));
        }
        let authority = uri
            .authority()
            .ok_or_else(|| format!("{text:?} has no host"))?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(format!("{text:?} must hold a host and no user"));
        }
        let path = uri.path();
        // Whatever a server may read as "one level up" would lead out of the allowed path.
        let decoded = path
            .to_ascii_lowercase()
            .replace("%2e", ".")
            .replace("%2f", "/")
            .replace("%5c", "\\");
        if decoded
            .split(['/', '\\'])
            .any(|segment| segment == ".." || segment == ".")
        {
            return Err(format!("{text:?} has `.` or `..` in its path"));
        }
        Ok(Target {
            host: authority.host().to_ascii_lowercase(),
            port: authority.port_u16().unwrap_or(80),
            path: path.to_owned(),
            path_and_query: uri
                .path_and_query()
                .map_or("/", |both| both.as_str())
                .to_owned(),
        })
    }
}

/// Asks, if it is allowed.
pub(super) async fn send(
    allowed: &[Allowed],
    question: Question,
    timeout: Duration,
    answer_bytes_max: usize,
) -> Result<Answer, LookupError> {
    let target = Target::parse(&question.url).map_err(|error| {
        if allowed.is_empty() {
            LookupError::NotAllowed
        } else {
            LookupError::Failed(error)
        }
    })?;
    if !allowed.iter().any(|one| one.allows(&target)) {
        return Err(LookupError::NotAllowed);
    }
    let request = request(&target, question)?;
    match tokio::time::timeout(timeout, exchange(&target, request, answer_bytes_max)).await {
        Ok(answer) => answer,
        Err(_) => Err(LookupError::Timeout),
    }
}

fn request(target: &Target, question: Question) -> Result<http::Request<Full<Bytes>>, LookupError> {
    let failed = |what: String| LookupError::Failed(what);
    let method = match question.method.as_str() {
        "" => Method::GET,
        text => Method::from_bytes(text.as_bytes())
            .map_err(|_| failed(format!("{text:?} is not a method")))?,
    };
    if method == Method::CONNECT || method == Method::TRACE {
        return Err(failed(format!("{method} is not for plugins")));
    }
    if question.headers.len() > QUESTION_HEADERS_MAX {
        return Err(failed(format!("more than {QUESTION_HEADERS_MAX} headers")));
    }
    let mut request = http::Request::new(Full::new(Bytes::from(question.body)));
    *request.method_mut() = method;
    *request.uri_mut() = target
        .path_and_query
        .parse()
        .map_err(|error| failed(format!("{error}")))?;
    let host = if target.port == 80 {
        target.host.clone()
    } else {
        format!("{}:{}", target.host, target.port)
    };
    request.headers_mut().insert(
        http::header::HOST,
        HeaderValue::from_str(&host).map_err(|error| failed(format!("{error}")))?,
    );
    for (name, value) in question.headers {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| failed(format!("{name:?} is not a header's name")))?;
        if OWN_HEADERS.contains(&name.as_str()) {
            return Err(failed(format!("the header {name} is set by the host")));
        }
        let value = HeaderValue::from_str(&value)
            .map_err(|_| failed(format!("the value of the header {name} is not valid")))?;
        request.headers_mut().append(name, value);
    }
    Ok(request)
}

async fn exchange(
    target: &Target,
    request: http::Request<Full<Bytes>>,
    answer_bytes_max: usize,
) -> Result<Answer, LookupError> {
    let failed =
        |what: &str, error: &dyn std::fmt::Display| LookupError::Failed(format!("{what}: {error}"));
    let host = target.host.trim_start_matches('[').trim_end_matches(']');
    let stream = tokio::net::TcpStream::connect((host, target.port))
        .await
        .map_err(|error| failed("cannot connect", &error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failed("cannot connect", &error))?;
    // Dropped with this future, and so closed, when the question takes too long.
    let asked = async {
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| failed("no answer", &error))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, answer_bytes_max)
            .collect()
            .await
            .map_err(|error| {
                if error.is::<LengthLimitError>() {
                    LookupError::Failed(format!(
                        "the answer is longer than {answer_bytes_max} bytes"
                    ))
                } else {
                    failed("the answer breaks off", &error)
                }
            })?;
        let headers = head
            .headers
            .iter()
            .map(|(name, value)| {
                (
                    name.as_str().to_owned(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect();
        Ok(Answer {
            status: head.status.as_u16(),
            headers,
            body: body.to_bytes().into(),
        })
    };
    let mut asked = std::pin::pin!(asked);
    tokio::select! {
        biased;
        answer = &mut asked => answer,
        _ = connection => asked.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowed_is_host_port_and_path() {
        let crm = Allowed::parse("http://CRM.example:8080/api").unwrap();
        let root = Allowed::parse("http://10.0.0.5").unwrap();
        let allows = |allowed: &Allowed, url: &str| {
            Target::parse(url).is_ok_and(|target| allowed.allows(&target))
        };
        for (url, yes) in [
            ("http://crm.example:8080/api", true),
            ("http://crm.EXAMPLE:8080/api/v1?q=1", true),
            ("http://crm.example:8080/api?x", true),
            ("http://crm.example:8080/apis", false),
            ("http://crm.example:8080/", false),
            ("http://crm.example/api", false),
            ("http://crm.example:8080@evil.example/api", false),
            ("http://crm.example:8080/api/../admin", false),
            ("http://crm.example:8080/api/%2E%2e/admin", false),
            ("http://crm.example:8080/api/..%2fadmin", false),
            ("https://crm.example:8080/api", false),
            ("/api", false),
            ("nonsense", false),
        ] {
            assert_eq!(allows(&crm, url), yes, "{url}");
        }
        assert!(allows(&root, "http://10.0.0.5/anything"));
        assert!(allows(&root, "http://10.0.0.5:80/anything"));
        assert!(
            Allowed::parse("https://x/")
                .unwrap_err()
                .starts_with("https:// is not supported")
        );
        assert!(
            Allowed::parse("x:1")
                .unwrap_err()
                .contains("expected http://host")
        );
    }

    async fn server(answer: &'static [u8]) -> u16 {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut buffer = [0; 4096];
                let _ = stream.read(&mut buffer).await;
                let _ = stream.write_all(answer).await;
                if answer.is_empty() {
                    tokio::time::sleep(Duration::from_secs(60)).await;
                }
            }
        });
        port
    }

    async fn ask(port: u16, path: &str) -> Result<Answer, LookupError> {
        let allowed = [Allowed::parse(&format!("http://127.0.0.1:{port}/")).unwrap()];
        let question = Question {
            method: "GET".into(),
            url: format!("http://127.0.0.1:{port}{path}"),
            headers: vec![("accept".into(), "application/json".into())],
            body: Vec::new(),
        };
        send(&allowed, question, Duration::from_millis(300), 16).await
    }

    #[tokio::test]
    async fn answers_and_limits() {
        let port =
            server(b"HTTP/1.1 302 Found\r\nlocation: http://other/\r\ncontent-length: 2\r\n\r\nok")
                .await;
        let answer = ask(port, "/x").await.unwrap();
        assert_eq!(
            (answer.status, answer.body.as_slice()),
            (302, b"ok".as_slice())
        );
        assert!(
            answer
                .headers
                .contains(&("location".into(), "http://other/".into()))
        );

        let port =
            server(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\na long answer without a length")
                .await;
        assert_eq!(
            ask(port, "/").await.unwrap_err(),
            LookupError::Failed("the answer is longer than 16 bytes".into())
        );

        let port = server(b"").await;
        assert_eq!(ask(port, "/").await.unwrap_err(), LookupError::Timeout);

        let nobody = Question {
            method: "GET".into(),
            url: "http://127.0.0.1:9/".into(),
            headers: vec![],
            body: vec![],
        };
        let none = send(&[], nobody, Duration::from_secs(1), 16).await;
        assert_eq!(none.unwrap_err(), LookupError::NotAllowed);
    }
}
