//! A small ACS over TCP: the session of `cwmp` behind just enough HTTP.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use cwmp::authentication::{Algorithm, Authorization, DigestChallenge};
use cwmp::{Fault, Inform, Limits, Message, Received, Request, Response, Session};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How the ACS asks for a password.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Auth {
    None,
    Basic,
    Digest,
}

#[derive(Default)]
pub(super) struct State {
    /// What to ask which device in its next session.
    pub(super) queues: HashMap<String, VecDeque<Request>>,
    pub(super) informs: Vec<Inform>,
    pub(super) answers: Vec<Result<Response, Fault>>,
    /// The heads of all requests.
    pub(super) heads: Vec<String>,
    /// Empty POSTs after the end.
    pub(super) over: usize,
    /// Answered to the first request instead.
    pub(super) redirect_once: Option<String>,
    /// What GET finds.
    pub(super) files: HashMap<String, Vec<u8>>,
    pub(super) uploads: Vec<Vec<u8>>,
    sessions: HashMap<u64, (String, Session)>,
    next_session: u64,
}

#[derive(Clone)]
pub(super) struct Acs {
    pub(super) address: SocketAddr,
    pub(super) state: Arc<Mutex<State>>,
    auth: Auth,
}

impl Acs {
    pub(super) async fn start() -> Acs {
        Acs::with(Auth::None).await
    }

    pub(super) async fn with(auth: Auth) -> Acs {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let acs = Acs {
            address: listener.local_addr().unwrap(),
            state: Arc::default(),
            auth,
        };
        let serving = acs.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let acs = serving.clone();
                tokio::spawn(async move { acs.serve(stream).await });
            }
        });
        acs
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/acs", self.address)
    }

    /// Asks this in the next session of the device.
    pub(super) fn ask(&self, serial: &str, request: Request) {
        self.state
            .lock()
            .queues
            .entry(serial.to_owned())
            .or_default()
            .push_back(request);
    }

    async fn serve(&self, mut stream: TcpStream) {
        let mut received = Vec::new();
        // The session of a device without cookies is that of its connection.
        let mut of_connection = None;
        while let Some((head, body)) = read_request(&mut stream, &mut received).await {
            self.state.lock().heads.push(head.clone());
            let (status, headers, body) = self.respond(&head, &body, &mut of_connection);
            let mut out = format!("HTTP/1.1 {status}\r\n{headers}");
            if status != "204 No Content" {
                out.push_str(&format!("Content-Length: {}\r\n", body.len()));
            }
            out.push_str("\r\n");
            stream.write_all(out.as_bytes()).await.unwrap();
            stream.write_all(&body).await.unwrap();
        }
    }

    fn respond(
        &self,
        head: &str,
        body: &[u8],
        of_connection: &mut Option<u64>,
    ) -> (&'static str, String, Vec<u8>) {
        let mut state = self.state.lock();
        if let Some(location) = state.redirect_once.take() {
            return (
                "307 Temporary Redirect",
                format!("Location: {location}\r\n"),
                Vec::new(),
            );
        }
        if !self.lets_in(head) {
            let challenge = match self.auth {
                Auth::Basic => "Basic realm=\"acs\"".to_owned(),
                _ => DigestChallenge::new("acs", "n1", Algorithm::Md5).to_header(),
            };
            return (
                "401 Unauthorized",
                format!("WWW-Authenticate: {challenge}\r\n"),
                Vec::new(),
            );
        }
        let target = head.split(' ').nth(1).unwrap_or_default();
        if head.starts_with("GET ") {
            return match state.files.get(target) {
                Some(file) => ("200 OK", String::new(), file.clone()),
                None => ("404 Not Found", String::new(), Vec::new()),
            };
        }
        if head.starts_with("PUT ") {
            state.uploads.push(body.to_vec());
            return ("201 Created", String::new(), Vec::new());
        }
        let cookie = cookie(head).or(*of_connection);
        let message = (!body.trim_ascii().is_empty()).then(|| Message::parse(body).unwrap());
        let (number, reply) = state.post(cookie, message.as_ref());
        *of_connection = Some(number);
        let set_cookie = format!("Set-Cookie: s={number}; Path=/\r\n");
        match reply {
            Some(message) => ("200 OK", set_cookie, message.to_xml().into_bytes()),
            None => ("204 No Content", set_cookie, Vec::new()),
        }
    }

    fn lets_in(&self, head: &str) -> bool {
        let authorization = header(head, "authorization").map(Authorization::parse);
        match (self.auth, authorization) {
            (Auth::None, _) => true,
            (Auth::Basic, Some(Ok(Authorization::Basic { username, password }))) => {
                (username.as_str(), password.as_str()) == ("u", "p")
            }
            (Auth::Digest, Some(Ok(Authorization::Digest(response)))) => {
                response.username == "u" && response.verify("POST", "p")
            }
            _ => false,
        }
    }
}

impl State {
    fn post(&mut self, cookie: Option<u64>, message: Option<&Message>) -> (u64, Option<Message>) {
        let now = Instant::now();
        let is_inform = message.is_some_and(|message| {
            matches!(&message.body, cwmp::Body::Request(Request::Inform(_)))
        });
        let number = match cookie {
            Some(number) if !is_inform => number,
            _ => {
                self.next_session += 1;
                self.sessions.insert(
                    self.next_session,
                    (String::new(), Session::new(now, Limits::default())),
                );
                self.next_session
            }
        };
        let (serial, session) = self.sessions.get_mut(&number).expect("no such session");
        match session.receive(now, message).unwrap() {
            Received::Inform(inform) => {
                serial.clone_from(&inform.device_id.serial_number);
                self.informs.push(inform.clone());
            }
            Received::Response(_, response) => self.answers.push(Ok(response.clone())),
            Received::Fault(_, fault) => self.answers.push(Err(fault.clone())),
            Received::Over => self.over += 1,
            Received::Request(_)
            | Received::Ready
            | Received::OtherAnswer(..)
            | Received::NoAnswer(_) => {}
        }
        let queue = self.queues.entry(serial.clone()).or_default();
        let next = if session.wants_request() {
            queue.pop_front()
        } else {
            None
        };
        (number, session.reply(next).unwrap())
    }
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    lines
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

fn cookie(head: &str) -> Option<u64> {
    let pairs = header(head, "cookie")?.split(';');
    let value = pairs
        .filter_map(|pair| pair.trim().strip_prefix("s="))
        .next()?;
    value.parse().ok()
}

async fn read_request(stream: &mut TcpStream, received: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    let end = loop {
        if let Some(at) = received.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(received).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(received.drain(..end).collect()).unwrap();
    if header(&head, "expect").is_some() {
        stream
            .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
            .await
            .ok()?;
    }
    if header(&head, "transfer-encoding").is_some() {
        while !received.ends_with(b"0\r\n\r\n") {
            stream.read_buf(received).await.ok()?;
        }
        return Some((head, unchunk(&std::mem::take(received))));
    }
    let length = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
    while received.len() < length {
        stream.read_buf(received).await.ok()?;
    }
    Some((head, received.drain(..length).collect()))
}

fn unchunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(at) = bytes.windows(2).position(|two| two == b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[..at]).unwrap(), 16).unwrap();
        body.extend_from_slice(&bytes[at + 2..at + 2 + length]);
        bytes = &bytes[at + length + 4..];
    }
    body
}
