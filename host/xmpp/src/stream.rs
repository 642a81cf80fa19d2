//! One XML stream over one connection: a header, then stanzas, each read whole.
//!
//! It holds no buffer while nothing comes: a server has thousands of streams that are silent.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;

use minidom::Element;
use rxml::error::EndOrError;
use rxml::{Event, Parse, Parser};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

/// Bytes read at once.
const CHUNK_BYTES: usize = 4096;
/// Bytes of the name of a namespace. Each element keeps its own copy of it.
const NAMESPACE_BYTES_MAX: usize = 256;

/// What one stanza may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a stanza, and of a header.
    pub stanza_bytes_max: usize,
    /// Elements within elements.
    pub depth_levels_max: usize,
    /// Elements in all: four bytes that were sent become hundreds in memory.
    pub elements_max: usize,
}

impl Limits {
    /// Before a peer has said who it is.
    pub const STRANGER: Limits = Limits {
        stanza_bytes_max: 8 << 10,
        depth_levels_max: 8,
        elements_max: 32,
    };
    /// After that.
    pub const KNOWN: Limits = Limits {
        stanza_bytes_max: 64 << 10,
        depth_levels_max: 32,
        elements_max: 512,
    };
}

/// An XML stream. Reading may be given up at any await and taken up again.
#[derive(Debug)]
pub struct Stream<S> {
    io: S,
    parser: Box<Parser>,
    limits: Limits,
    /// What has come and is not parsed.
    unread: Vec<u8>,
    /// Up to where.
    parsed: usize,
    /// Elements whose end has not come.
    open: Vec<Element>,
    /// Elements of this stanza.
    elements: usize,
    /// Nothing of the next stanza has come: white space means nothing here.
    between: bool,
    /// Bytes that this stanza may still have.
    left: usize,
}

/// The attributes of a stream's header that matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// The domain that is wanted, or the client's own name.
    pub to: Option<String>,
    /// The server's name.
    pub from: Option<String>,
    /// The server's name for the stream.
    pub id: Option<String>,
    /// None: before RFC 3920, or a component.
    pub version: Option<String>,
}

/// Why a stream is over.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The connection broke.
    #[error("the connection broke")]
    Io(#[from] io::Error),
    /// What came is no XML, or none that a stream may have (no DTD, entities, comments).
    #[error("not well-formed: {0}")]
    Xml(String),
    /// A stanza is over a limit.
    #[error("a stanza of more than {max} {unit}")]
    TooLarge {
        /// `bytes`, `levels`, `elements` or `bytes in the name of a namespace`.
        unit: &'static str,
        /// The limit.
        max: usize,
    },
    /// The first element is another one.
    #[error("expected a stream header, got <{0}>")]
    NoHeader(String),
    /// Bytes in clear behind the request for TLS: somebody in between put them there.
    #[error("expected TLS, got more in clear")]
    ClearBeforeTls,
}

impl StreamError {
    /// The condition of RFC 6120 §4.9.3 to tell the peer; `None`: it is not there any more.
    pub fn condition(&self) -> Option<&'static str> {
        match self {
            StreamError::Io(_) => None,
            StreamError::Xml(_) => Some("not-well-formed"),
            StreamError::TooLarge { .. } | StreamError::ClearBeforeTls => Some("policy-violation"),
            StreamError::NoHeader(_) => Some("invalid-namespace"),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream<S> {
    /// A stream of which nothing was read or written.
    pub fn new(io: S, limits: Limits) -> Stream<S> {
        Stream {
            io,
            parser: Box::default(),
            limits,
            unread: Vec::new(),
            parsed: 0,
            open: Vec::new(),
            elements: 0,
            between: true,
            left: limits.stanza_bytes_max,
        }
    }

    /// The connection.
    pub fn io(&self) -> &S {
        &self.io
    }

    /// Other limits, from the next stanza on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        self.left = limits.stanza_bytes_max;
    }

    /// A new stream begins on the same connection, in both directions.
    pub fn restart(&mut self) {
        *self.parser = Parser::default();
        self.open.clear();
        self.stanza_ended();
    }

    /// The connection, for TLS.
    ///
    /// # Errors
    ///
    /// If more than white space was read already: it came in clear.
    pub fn into_io(self) -> Result<S, StreamError> {
        let rest = self.unread.get(self.parsed..).unwrap_or_default();
        if rest.iter().all(u8::is_ascii_whitespace) {
            Ok(self.io)
        } else {
            Err(StreamError::ClearBeforeTls)
        }
    }

    /// The header of a stream; `None`: the peer closed. White space before it, and a prefix
    /// other than `stream`, are taken.
    pub async fn read_header(&mut self) -> Result<Option<Header>, StreamError> {
        loop {
            match self.event().await? {
                None => return Ok(None),
                Some(Event::StartElement(_, (_, name), attributes)) if name == *"stream" => {
                    let get = |name: &str| attributes.get(&rxml::Namespace::NONE, name).cloned();
                    let header = Header {
                        to: get("to"),
                        from: get("from"),
                        id: get("id"),
                        version: get("version"),
                    };
                    self.stanza_ended();
                    return Ok(Some(header));
                }
                Some(Event::StartElement(_, (_, name), _)) => {
                    return Err(StreamError::NoHeader(name.to_string()));
                }
                Some(_) => {}
            }
        }
    }

    /// The next stanza; `None`: the peer ended the stream, or closed.
    pub async fn read(&mut self) -> Result<Option<Element>, StreamError> {
        loop {
            match self.event().await? {
                None => return Ok(None),
                Some(Event::XmlDeclaration(..)) => {}
                Some(Event::StartElement(_, (namespace, name), attributes)) => {
                    self.elements += 1;
                    let Limits {
                        depth_levels_max,
                        elements_max,
                        ..
                    } = self.limits;
                    for (got, max, unit) in [
                        (self.open.len() + 1, depth_levels_max, "levels"),
                        (self.elements, elements_max, "elements"),
                        (
                            namespace.len(),
                            NAMESPACE_BYTES_MAX,
                            "bytes in the name of a namespace",
                        ),
                    ] {
                        if got > max {
                            return Err(StreamError::TooLarge { unit, max });
                        }
                    }
                    let mut element = Element::bare(name.to_string(), namespace.to_string());
                    *element.attrs_mut() = attributes;
                    self.open.push(element);
                }
                Some(Event::Text(_, text)) => {
                    // Between stanzas there should be none; it is nobody's.
                    if let Some(element) = self.open.last_mut() {
                        element.append_text(text);
                    }
                }
                Some(Event::EndElement(_)) => {
                    let Some(element) = self.open.pop() else {
                        return Ok(None);
                    };
                    match self.open.last_mut() {
                        Some(parent) => {
                            parent.append_child(element);
                        }
                        None => {
                            self.stanza_ended();
                            return Ok(Some(element));
                        }
                    }
                }
            }
        }
    }

    /// Writes text as it is.
    pub async fn write(&mut self, text: &str) -> Result<(), StreamError> {
        self.io.write_all(text.as_bytes()).await?;
        self.io.flush().await?;
        Ok(())
    }

    /// Closes our direction of the connection.
    pub async fn close(&mut self) -> Result<(), StreamError> {
        Ok(self.io.shutdown().await?)
    }

    fn stanza_ended(&mut self) {
        self.between = true;
        self.elements = 0;
        self.left = self.limits.stanza_bytes_max;
    }

    /// The next event, or `None` at the end of the connection.
    async fn event(&mut self) -> Result<Option<Event>, StreamError> {
        loop {
            if self.between {
                self.skip_space();
            }
            let unread = self.unread.get(self.parsed..).unwrap_or_default();
            // In the middle of a stanza the parser may have more to tell of what it was given.
            if !unread.is_empty() || !self.between {
                self.between = false;
                let mut rest = unread.get(..self.left).unwrap_or(unread);
                let before = rest.len();
                let parsed = self.parser.parse(&mut rest, false);
                let used = before - rest.len();
                self.parsed += used;
                self.left -= used;
                match parsed {
                    Ok(event) => return Ok(event),
                    Err(EndOrError::Error(error)) => {
                        return Err(StreamError::Xml(error.to_string()));
                    }
                    Err(EndOrError::NeedMoreData) if self.left == 0 => {
                        return Err(StreamError::TooLarge {
                            unit: "bytes",
                            max: self.limits.stanza_bytes_max,
                        });
                    }
                    Err(EndOrError::NeedMoreData) => {}
                }
            }
            if self.fill().await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Passes over white space before a stanza: it keeps connections alive, and some clients
    /// send a line end after all they send.
    fn skip_space(&mut self) {
        let unread = self.unread.get(self.parsed..).unwrap_or_default();
        let spaces = unread.iter().take_while(|b| b.is_ascii_whitespace());
        self.parsed += spaces.count();
        if self.parsed >= self.unread.len() {
            // The stream may be silent for hours: it keeps no memory for that.
            self.unread = Vec::new();
            self.parsed = 0;
            self.parser.release_temporaries();
        }
    }

    /// Reads what is there, once there is something. 0 = the connection ended.
    async fn fill(&mut self) -> Result<usize, StreamError> {
        self.unread.drain(..self.parsed);
        self.parsed = 0;
        let (io, unread) = (&mut self.io, &mut self.unread);
        let read = poll_fn(|cx| {
            let mut chunk = [0; CHUNK_BYTES];
            let mut buffer = ReadBuf::new(&mut chunk);
            match Pin::new(&mut *io).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) => {
                    unread.extend_from_slice(buffer.filled());
                    Poll::Ready(Ok(buffer.filled().len()))
                }
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => Poll::Pending,
            }
        });
        Ok(read.await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::io::{DuplexStream, duplex};

    const HEADER: &str = "<?xml version='1.0'?><stream:stream to='a.example' version='1.0' \
        xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

    /// A stream whose peer has sent this and closed.
    async fn sent(text: &str) -> Stream<DuplexStream> {
        let (mut peer, io) = duplex(1 << 20);
        peer.write_all(text.as_bytes()).await.unwrap();
        Stream::new(io, Limits::STRANGER)
    }

    #[tokio::test]
    async fn stanzas_come_one_by_one() {
        let text = format!(
            " \r\n{HEADER}\n<iq id='1'><a xmlns='n'>x&amp;<b/>y</a></iq> <c:presence xmlns:c='other'/>junk<q/></stream:stream>"
        );
        let mut stream = sent(&text).await;
        let header = stream.read_header().await.unwrap().unwrap();
        assert_eq!(header.to.as_deref(), Some("a.example"));
        assert_eq!(header.version.as_deref(), Some("1.0"));
        let iq = stream.read().await.unwrap().unwrap();
        assert!(iq.is("iq", "jabber:client"));
        assert_eq!(iq.attr("id"), Some("1"));
        assert_eq!(iq.get_child("a", "n").unwrap().text(), "x&y");
        assert!(
            stream
                .read()
                .await
                .unwrap()
                .unwrap()
                .is("presence", "other")
        );
        assert!(
            stream
                .read()
                .await
                .unwrap()
                .unwrap()
                .is("q", "jabber:client")
        );
        assert!(stream.read().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_read_that_was_given_up_goes_on() {
        let (mut peer, io) = duplex(1 << 10);
        let mut stream = Stream::new(io, Limits::STRANGER);
        let text = format!("{HEADER}<iq id='1'><a>text</a></iq>");
        let mut header = None;
        let mut iq = None;
        for byte in text.bytes() {
            peer.write_all(&[byte]).await.unwrap();
            // Polled once, dropped.
            tokio::select! {
                biased;
                read = async {
                    match header {
                        None => header = stream.read_header().await.unwrap(),
                        Some(_) => iq = stream.read().await.unwrap(),
                    }
                } => read,
                () = std::future::ready(()) => {}
            }
        }
        assert_eq!(iq.unwrap().children().next().unwrap().text(), "text");
    }

    #[tokio::test]
    async fn each_stanza_has_its_limits() {
        let limits = Limits::STRANGER;
        let long = "x".repeat(limits.stanza_bytes_max);
        let deep = "<a>".repeat(limits.depth_levels_max + 1);
        let attributes: String = (0..2000).map(|n| format!(" a{n}='1'")).collect();
        for bomb in [
            format!("<a>{long}"),
            format!("<a b='{long}"),
            format!("<{long}"),
            deep,
            format!("<a{attributes}/>"),
            format!("<a>{}", "<b/>".repeat(limits.elements_max)),
            format!("<a xmlns='{}'/>", "x".repeat(NAMESPACE_BYTES_MAX + 1)),
            "<a/>".repeat(3000).replacen("<a/>", "<b>", 1),
        ] {
            let mut stream = sent(&format!("{HEADER}{bomb}")).await;
            stream.read_header().await.unwrap().unwrap();
            let error = loop {
                match stream.read().await {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("no error for {:?}…", &bomb[..20]),
                    Err(error) => break error,
                }
            };
            assert!(error.condition().is_some(), "{error}");
        }
        // White space is none, and many small stanzas are no large one.
        let many = format!(
            "{HEADER}{}{}</stream:stream>",
            " ".repeat(20_000),
            "<a/>".repeat(5000)
        );
        let mut stream = sent(&many).await;
        stream.read_header().await.unwrap().unwrap();
        let mut stanzas = 0;
        while stream.read().await.unwrap().is_some() {
            stanzas += 1;
        }
        assert_eq!(stanzas, 5000);
    }

    #[tokio::test]
    async fn what_streams_may_not_have() {
        for (text, condition) in [
            ("<!DOCTYPE a [<!ENTITY b 'bb'>]><a/>", "not-well-formed"),
            ("GET / HTTP/1.1\r\n\r\n<", "not-well-formed"),
            ("<html xmlns='x'/>", "invalid-namespace"),
            ("\u{16}\u{3}\u{1}\u{2}\u{0}", "not-well-formed"),
        ] {
            let error = sent(text).await.read_header().await.unwrap_err();
            assert_eq!(error.condition(), Some(condition), "{error}");
        }
        let mut stream = sent(&format!("{HEADER}<a>&b;</a>")).await;
        stream.read_header().await.unwrap();
        assert!(stream.read().await.is_err());
    }

    #[tokio::test]
    async fn a_restart_keeps_what_has_come_and_tls_does_not() {
        let mut stream = sent(&format!("{HEADER}<auth/>\n{HEADER}<iq/>")).await;
        stream.read_header().await.unwrap().unwrap();
        stream.read().await.unwrap().unwrap();
        stream.restart();
        stream.read_header().await.unwrap().unwrap();
        assert_eq!(stream.read().await.unwrap().unwrap().name(), "iq");

        let mut stream = sent(&format!("{HEADER}<starttls/>\n<iq/>")).await;
        stream.read_header().await.unwrap().unwrap();
        stream.read().await.unwrap().unwrap();
        assert!(matches!(stream.into_io(), Err(StreamError::ClearBeforeTls)));
    }

    proptest! {
        #[test]
        fn never_panics_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let (mut peer, io) = duplex(1 << 12);
                peer.write_all(&bytes).await.unwrap();
                drop(peer);
                let mut stream = Stream::new(io, Limits::STRANGER);
                if let Ok(Some(_)) = stream.read_header().await {
                    while let Ok(Some(_)) = stream.read().await {}
                }
            });
        }
    }
}
