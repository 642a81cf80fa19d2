//! Answers to the RPCs of the ACS, found by searching and glued together.

use memchr::memmem;

/// What the methods are told by, and what stands in their response.
const SIMPLE: [(&str, &str); 11] = [
    ("SetParameterValues", "<Status>0</Status>"),
    (
        "AddObject",
        "<InstanceNumber>2</InstanceNumber><Status>0</Status>",
    ),
    ("DeleteObject", "<Status>0</Status>"),
    ("SetParameterAttributes", ""),
    ("ScheduleInform", ""),
    ("Reboot", ""),
    ("FactoryReset", ""),
    (
        "GetRPCMethods",
        "<MethodList soap-enc:arrayType=\"xsd:string[3]\"><string>GetRPCMethods</string>\
         <string>GetParameterValues</string><string>SetParameterValues</string></MethodList>",
    ),
    (
        "GetParameterNames",
        "<ParameterList soap-enc:arrayType=\"cwmp:ParameterInfoStruct[0]\"></ParameterList>",
    ),
    (
        "GetParameterAttributes",
        "<ParameterList soap-enc:arrayType=\"cwmp:ParameterAttributeStruct[0]\"></ParameterList>",
    ),
    (
        "Download",
        "<Status>1</Status><StartTime>0001-01-01T00:00:00Z</StartTime>\
         <CompleteTime>0001-01-01T00:00:00Z</CompleteTime>",
    ),
];

/// Makes answers; remembers the names of the last GetParameterValues, because the next one is
/// most likely the same.
#[derive(Debug, Default)]
pub(super) struct Answers {
    last_asked: Vec<u8>,
    names: Vec<String>,
}

impl Answers {
    /// Puts the answer to the envelope `asked` into `out`, and tells the method; `None`: there
    /// is no request in it that can be answered. What the session's `inform` told is told again:
    /// a device whose values changed with every message would be another load.
    pub(super) fn answer(
        &mut self,
        asked: &[u8],
        inform: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<&'static str> {
        let body = asked.get(memmem::find(asked, b"Body>")?..)?;
        let id = between(asked, b"ID", b"<").unwrap_or_default();
        out.clear();
        out.extend_from_slice(
            b"<?xml version=\"1.0\" encoding=\"UTF-8\"?><soap-env:Envelope \
              xmlns:soap-env=\"http://schemas.xmlsoap.org/soap/envelope/\" \
              xmlns:soap-enc=\"http://schemas.xmlsoap.org/soap/encoding/\" \
              xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" \
              xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
              xmlns:cwmp=\"urn:dslforum-org:cwmp-1-2\"><soap-env:Header>\
              <cwmp:ID soap-env:mustUnderstand=\"1\">",
        );
        out.extend_from_slice(id);
        out.extend_from_slice(b"</cwmp:ID></soap-env:Header><soap-env:Body>");
        let method = if memmem::find(body, b":GetParameterValues").is_some() {
            self.values(body, inform, out);
            "GetParameterValues"
        } else {
            simple(body, out)?
        };
        out.extend_from_slice(b"</soap-env:Body></soap-env:Envelope>");
        Some(method)
    }

    fn values(&mut self, body: &[u8], inform: &[u8], out: &mut Vec<u8>) {
        if body != self.last_asked {
            self.last_asked = body.to_vec();
            self.names = names(body);
        }
        let head = format!(
            "<cwmp:GetParameterValuesResponse>\
             <ParameterList soap-enc:arrayType=\"cwmp:ParameterValueStruct[{}]\">",
            self.names.len()
        );
        out.extend_from_slice(head.as_bytes());
        for name in &self.names {
            let start = format!("<ParameterValueStruct><Name>{name}</Name>");
            out.extend_from_slice(start.as_bytes());
            if let Some(value) = told(inform, name) {
                out.extend_from_slice(value);
            } else {
                let (xsd_type, value) = value_of(name);
                let value = format!("<Value xsi:type=\"xsd:{xsd_type}\">{value}</Value>");
                out.extend_from_slice(value.as_bytes());
            }
            out.extend_from_slice(b"</ParameterValueStruct>");
        }
        out.extend_from_slice(b"</ParameterList></cwmp:GetParameterValuesResponse>");
    }
}

/// The names that a GetParameterValues asks for; partial paths are left out.
fn names(body: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = body;
    while let Some((name, after)) = next_string(rest) {
        rest = after;
        let name = String::from_utf8_lossy(name);
        if !name.is_empty() && !name.ends_with('.') {
            names.push(name.into_owned());
        }
    }
    names
}

/// The Value element of a parameter in an Inform.
fn told<'i>(inform: &'i [u8], name: &str) -> Option<&'i [u8]> {
    let place = format!("<Name>{name}</Name>");
    let after = inform.get(memmem::find(inform, place.as_bytes())? + place.len()..)?;
    let end = memmem::find(after, b"</Value>")? + b"</Value>".len();
    after.get(..end)
}

/// A value of a type that fits the name, more or less.
fn value_of(name: &str) -> (&'static str, &'static str) {
    let last = name.rsplit('.').next().unwrap_or_default();
    match last {
        "PeriodicInformInterval" | "Channel" | "UpTime" => ("unsignedInt", "3600"),
        _ if last.ends_with("NumberOfEntries") => ("unsignedInt", "1"),
        _ if last.ends_with("Enable") || last.ends_with("Enabled") => ("boolean", "1"),
        _ => ("string", "value"),
    }
}

fn simple(body: &[u8], out: &mut Vec<u8>) -> Option<&'static str> {
    let called = |method: &str| {
        let mut found = memmem::find_iter(body, method);
        found.any(|at| at > 0 && body.get(at - 1) == Some(&b':'))
    };
    let (method, content) = *SIMPLE.iter().find(|(method, _)| called(method))?;
    let response = format!("<cwmp:{method}Response>{content}</cwmp:{method}Response>");
    out.extend_from_slice(response.as_bytes());
    Some(method)
}

/// The text of the first element whose tag contains `tag`, up to `end`.
fn between<'b>(bytes: &'b [u8], tag: &[u8], end: &[u8]) -> Option<&'b [u8]> {
    let from = bytes.get(memmem::find(bytes, tag)?..)?;
    let from = from.get(memchr::memchr(b'>', from)? + 1..)?;
    from.get(..memmem::find(from, end)?)
}

/// The text of the next `<string>`, and what follows it.
fn next_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let from = bytes.get(memmem::find(bytes, b"<string")?..)?;
    let from = from.get(memchr::memchr(b'>', from)? + 1..)?;
    let end = memchr::memchr(b'<', from)?;
    Some((from.get(..end)?, from.get(end..)?))
}

#[cfg(test)]
mod tests {
    use cwmp::{Body, Header, Message, ParameterValue, Request, Response, Version};

    use super::*;

    const INFORM: &[u8] = b"<Name>Device.DeviceInfo.SoftwareVersion</Name><Value xsi:type=\"xsd:string\">3.4.1</Value>";

    fn answered(request: Request) -> (Option<&'static str>, Option<Message>) {
        let message = Message {
            version: Version::V1_2,
            header: Header {
                id: Some("42".to_owned()),
                ..Header::default()
            },
            body: Body::Request(request),
        };
        let mut out = Vec::new();
        let method = Answers::default().answer(message.to_xml().as_bytes(), INFORM, &mut out);
        (method, Message::parse(&out).ok())
    }

    #[test]
    fn get_parameter_values_is_answered_name_by_name() {
        let names = [
            "Device.DeviceInfo.UpTime",
            "Device.WiFi.Radio.1.Enable",
            "Device.DeviceInfo.SoftwareVersion",
        ];
        let asked = Request::GetParameterValues(names.map(str::to_owned).to_vec());
        let (method, told) = answered(asked);
        assert_eq!(method, Some("GetParameterValues"));
        let told = told.unwrap();
        assert_eq!(told.header.id.as_deref(), Some("42"));
        let Body::Response(Response::GetParameterValues(values)) = told.body else {
            panic!("{told:?}");
        };
        assert_eq!(values.len(), 3);
        assert_eq!(values[0].path, names[0]);
        assert_eq!(values[1], ParameterValue::boolean(names[1], true));
        assert_eq!(values[2], ParameterValue::string(names[2], "3.4.1"));
    }

    #[test]
    fn other_methods_are_told_apart() {
        let set = cwmp::SetParameterValues {
            parameters: vec![ParameterValue::string(
                "Device.DeviceInfo.ProvisioningCode",
                "GetParameterValues",
            )],
            parameter_key: "k".to_owned(),
        };
        let (method, told) = answered(Request::SetParameterValues(set));
        assert_eq!(method, Some("SetParameterValues"));
        assert!(matches!(
            told.unwrap().body,
            Body::Response(Response::SetParameterValues(_))
        ));
        let (method, told) = answered(Request::Reboot("k".to_owned()));
        assert_eq!(method, Some("Reboot"));
        assert_eq!(told.unwrap().body, Body::Response(Response::Reboot));
    }
}
