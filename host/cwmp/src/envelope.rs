//! The SOAP envelope: bytes to [`Message`] and back (TR-069 §3.5).

use crate::charset;
use crate::error::quoted;
use crate::write::{Writer, is_name};
use crate::xml::{MESSAGE_BYTES_MAX, Reader};
use crate::{Body, Error, Header, Message, Version};

/// What a message takes beside its lists.
const USUAL_BYTES: usize = 1024;

impl Message {
    /// Reads a message: any prefix, any order of elements, wrong counts, missing headers.
    ///
    /// # Errors
    ///
    /// If the bytes are no XML, have a DOCTYPE, are no SOAP envelope with something in its
    /// body, or are too large or too deep.
    pub fn parse(bytes: &[u8]) -> Result<Message, Error> {
        Message::parse_with_charset(bytes, None)
    }

    /// [`Message::parse`], with the charset that the Content-Type names. It counts where neither
    /// a byte order mark, nor the bytes themselves, nor the XML declaration tell another.
    ///
    /// # Errors
    ///
    /// As for [`Message::parse`].
    pub fn parse_with_charset(bytes: &[u8], charset: Option<&str>) -> Result<Message, Error> {
        if bytes.len() > MESSAGE_BYTES_MAX {
            return Err(Error::TooLarge {
                unit: "bytes",
                max: MESSAGE_BYTES_MAX,
            });
        }
        let text = charset::decode(bytes, charset);
        let mut xml = Reader::new(&text);
        let namespace = match xml.child()? {
            Some(root) if root.name() == "Envelope" => Version::in_tag(root.tag()),
            root => {
                let got = root.map_or(String::new(), |root| quoted(root.name()));
                return Err(not_cwmp(&xml, "a SOAP Envelope", got));
            }
        };
        let mut header = Header::default();
        let mut body = None;
        while let Some(child) = xml.child()? {
            match child.name() {
                "Header" => header = Header::parse(&mut xml)?,
                "Body" if body.is_none() => {
                    let namespace = Version::in_tag(child.tag()).or(namespace);
                    body = Some(read_body(&mut xml, namespace)?);
                }
                _ => xml.skip()?,
            }
        }
        let Some((body, namespace)) = body else {
            return Err(not_cwmp(&xml, "a SOAP Body", "none".to_owned()));
        };
        Ok(Message {
            version: header.refine(namespace.unwrap_or_default()),
            header,
            body,
        })
    }

    /// Writes a message, in the dialect that all devices take.
    ///
    /// The XML of a [`crate::RawRpc`] goes in as it is: make one with [`crate::RawRpc::checked`].
    pub fn to_xml(&self) -> String {
        let mut out = Writer::with_capacity(USUAL_BYTES + self.body.content_bytes());
        out.raw(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <soap-env:Envelope \
             xmlns:soap-env=\"http://schemas.xmlsoap.org/soap/envelope/\" \
             xmlns:soap-enc=\"http://schemas.xmlsoap.org/soap/encoding/\" \
             xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" \
             xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
             xmlns:cwmp=\"",
        );
        out.raw(self.version.namespace());
        out.raw("\">");
        self.header.write(&mut out);
        out.open("soap-env:Body");
        self.body.write(&mut out);
        out.close("soap-env:Body");
        out.close("soap-env:Envelope");
        out.into_string()
    }
}

/// The first element of the body, and the namespace nearest to it.
fn read_body(
    xml: &mut Reader<'_>,
    namespace: Option<Version>,
) -> Result<(Body, Option<Version>), Error> {
    let Some(method) = xml.child()? else {
        return Err(not_cwmp(xml, "an RPC in the Body", "none".to_owned()));
    };
    let namespace = Version::in_tag(method.tag()).or(namespace);
    // The reader takes any bytes for a name; what is none could not be written again.
    if !is_name(method.name()) {
        return Err(not_cwmp(xml, "an RPC in the Body", quoted(method.name())));
    }
    let body = Body::parse(method.name(), xml)?;
    xml.finish()?;
    Ok((body, namespace))
}

fn not_cwmp(xml: &Reader<'_>, expected: &'static str, got: String) -> Error {
    Error::NotCwmp {
        expected,
        got,
        position: xml.position(),
    }
}

impl Header {
    fn parse(xml: &mut Reader<'_>) -> Result<Header, Error> {
        let mut header = Header::default();
        while let Some(child) = xml.child()? {
            match child.name() {
                "ID" => header.id = Some(xml.string()?),
                "HoldRequests" => header.hold_requests = xml.boolean()?,
                "SessionTimeout" => {
                    header.session_timeout = crate::value::unsigned(&xml.text()?);
                }
                "SupportedCWMPVersions" => header.supported_versions = Some(xml.name()?),
                "UseCWMPVersion" => header.use_version = Some(xml.name()?),
                // NoMoreRequests of the first edition, and what is not CWMP's.
                _ => xml.skip()?,
            }
        }
        Ok(header)
    }

    /// Tells the versions apart that share a namespace.
    fn refine(&self, namespace: Version) -> Version {
        if namespace < Version::V1_2 {
            namespace
        } else if let Some(version) = self.use_version.as_deref().and_then(Version::from_number) {
            version.max(Version::V1_2)
        } else if self.supported_versions.is_some() {
            Version::V1_4
        } else if self.session_timeout.is_some() {
            namespace.max(Version::V1_3)
        } else {
            namespace
        }
    }

    fn write(&self, out: &mut Writer) {
        if *self == Header::default() {
            return;
        }
        out.open("soap-env:Header");
        if let Some(id) = &self.id {
            header_element(out, "ID", "1", id);
        }
        if self.hold_requests {
            header_element(out, "HoldRequests", "1", "1");
        }
        if let Some(seconds) = self.session_timeout {
            header_element(out, "SessionTimeout", "0", &seconds.to_string());
        }
        if let Some(versions) = &self.supported_versions {
            header_element(out, "SupportedCWMPVersions", "0", versions);
        }
        if let Some(version) = &self.use_version {
            header_element(out, "UseCWMPVersion", "1", version);
        }
        out.close("soap-env:Header");
    }
}

fn header_element(out: &mut Writer, name: &str, must_understand: &str, text: &str) {
    out.raw("<cwmp:");
    out.raw(name);
    out.raw(" soap-env:mustUnderstand=\"");
    out.raw(must_understand);
    out.raw("\">");
    out.text(text);
    out.raw("</cwmp:");
    out.raw(name);
    out.raw(">");
}
