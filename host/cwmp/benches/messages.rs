//! What messages cost: `cargo bench -p cwmp`.
//!
//! The floor of reading is what quick-xml takes to tokenise the same bytes.

#![allow(clippy::unwrap_used, reason = "a benchmark that fails may panic")]

use std::fmt::Write as _;

use cwmp::{Body, Header, Message, ParameterValue, Request, Response, SetParameterValues, Version};
use divan::{Bencher, black_box, counter::BytesCount};
use quick_xml::events::Event;
use quick_xml::{NsReader, Reader};

fn main() {
    divan::main();
}

const ENVELOPE: &str = "<SOAP-ENV:Envelope \
    xmlns:SOAP-ENV=\"http://schemas.xmlsoap.org/soap/envelope/\" \
    xmlns:SOAP-ENC=\"http://schemas.xmlsoap.org/soap/encoding/\" \
    xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" \
    xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
    xmlns:cwmp=\"urn:dslforum-org:cwmp-1-0\">\n\
    <SOAP-ENV:Header><cwmp:ID SOAP-ENV:mustUnderstand=\"1\">1</cwmp:ID></SOAP-ENV:Header>\n\
    <SOAP-ENV:Body>";

fn parameters(out: &mut String, count: usize) {
    let _ = writeln!(
        out,
        "<ParameterList SOAP-ENC:arrayType=\"cwmp:ParameterValueStruct[{count}]\">"
    );
    for i in 0..count {
        let _ = writeln!(
            out,
            "<ParameterValueStruct><Name>InternetGatewayDevice.WANDevice.1.WANConnectionDevice.{i}\
             .Stats</Name><Value xsi:type=\"xsd:string\">value {i} of these</Value>\
             </ParameterValueStruct>"
        );
    }
    out.push_str("</ParameterList>\n");
}

/// An Inform of 32 parameters, about 6 KB.
fn inform() -> String {
    let mut out = format!(
        "{ENVELOPE}<cwmp:Inform>\n<DeviceId>\n<Manufacturer>Example</Manufacturer>\n\
         <OUI>00005E</OUI>\n<ProductClass>Box</ProductClass>\n\
         <SerialNumber>EX0000000001</SerialNumber>\n</DeviceId>\n\
         <Event SOAP-ENC:arrayType=\"cwmp:EventStruct[2]\">\n<EventStruct>\n\
         <EventCode>2 PERIODIC</EventCode>\n<CommandKey></CommandKey>\n</EventStruct>\n\
         <EventStruct>\n<EventCode>4 VALUE CHANGE</EventCode>\n<CommandKey></CommandKey>\n\
         </EventStruct>\n</Event>\n<MaxEnvelopes>1</MaxEnvelopes>\n\
         <CurrentTime>2024-03-01T10:00:00Z</CurrentTime>\n<RetryCount>0</RetryCount>\n"
    );
    parameters(&mut out, 32);
    out.push_str("</cwmp:Inform>\n</SOAP-ENV:Body>\n</SOAP-ENV:Envelope>");
    out
}

fn values_response() -> String {
    let mut out = format!("{ENVELOPE}<cwmp:GetParameterValuesResponse>\n");
    parameters(&mut out, 50);
    out.push_str("</cwmp:GetParameterValuesResponse>\n</SOAP-ENV:Body>\n</SOAP-ENV:Envelope>");
    out
}

#[divan::bench(args = ["inform of 32", "values of 50"])]
fn parse(bencher: Bencher, what: &str) {
    let xml = input(what);
    bencher
        .counter(BytesCount::of_str(&xml))
        .bench(|| Message::parse(black_box(xml.as_bytes())).unwrap());
}

#[divan::bench(args = ["inform of 32", "values of 50"])]
fn floor_ns_reader(bencher: Bencher, what: &str) {
    let xml = input(what);
    bencher.counter(BytesCount::of_str(&xml)).bench(|| {
        let mut reader = NsReader::from_reader(black_box(xml.as_bytes()));
        let mut events = 0;
        while !matches!(reader.read_resolved_event().unwrap(), (_, Event::Eof)) {
            events += 1;
        }
        events
    });
}

#[divan::bench(args = ["inform of 32", "values of 50"])]
fn floor_plain_reader(bencher: Bencher, what: &str) {
    let xml = input(what);
    bencher.counter(BytesCount::of_str(&xml)).bench(|| {
        let mut reader = Reader::from_reader(black_box(xml.as_bytes()));
        let mut events = 0;
        while !matches!(reader.read_event().unwrap(), Event::Eof) {
            events += 1;
        }
        events
    });
}

fn input(what: &str) -> String {
    match what {
        "inform of 32" => inform(),
        _ => values_response(),
    }
}

#[divan::bench(args = ["InformResponse", "GetParameterValues of 10", "SetParameterValues of 10"])]
fn emit(bencher: Bencher, what: &str) {
    let path = |i: usize| format!("Device.WiFi.SSID.{i}.SSID");
    let body = match what {
        "InformResponse" => Body::Response(Response::Inform),
        "GetParameterValues of 10" => {
            Body::Request(Request::GetParameterValues((0..10).map(path).collect()))
        }
        _ => Body::Request(Request::SetParameterValues(SetParameterValues {
            parameters: (0..10)
                .map(|i| ParameterValue::string(path(i), "Tom & Jerry's"))
                .collect(),
            parameter_key: "key".to_owned(),
        })),
    };
    let message = Message {
        version: Version::V1_2,
        header: Header {
            id: Some("42".to_owned()),
            ..Header::default()
        },
        body,
    };
    bencher.bench(|| black_box(&message).to_xml());
}
