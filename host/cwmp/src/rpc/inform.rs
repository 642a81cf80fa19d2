//! Inform (TR-069 A.3.3.1), which begins each session.

use crate::write::Writer;
use crate::xml::Reader;
use crate::{DateTime, Error, Event, EventKind, ParameterValue};

/// Inform (A.3.3.1).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Inform {
    /// Who speaks.
    pub device_id: DeviceId,
    /// Why; may be empty (some devices send none when they try again).
    pub events: Vec<Event>,
    /// The clock of the device.
    pub current_time: DateTime,
    /// How often this session was tried before.
    pub retry_count: u32,
    /// The parameters that come with each Inform, and the changed ones.
    pub parameters: Vec<ParameterValue>,
    /// Elements this version does not know: their path below Inform (`DeviceId.WanIPAddress`)
    /// and their text, or their inner XML where there are elements in them. Read only.
    pub unknown: Vec<(String, String)>,
}

/// DeviceIdStruct.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct DeviceId {
    /// For people; not part of the identity.
    pub manufacturer: String,
    /// Six hexadecimal digits, as sent.
    pub oui: String,
    /// May be empty.
    pub product_class: String,
    /// Unique within OUI and product class.
    pub serial_number: String,
}

/// How many unknown elements of an Inform are kept.
const UNKNOWN_ELEMENTS_MAX: usize = 64;

impl Inform {
    /// Whether one of the events is of this kind.
    pub fn has_event(&self, kind: EventKind<'_>) -> bool {
        self.events.iter().any(|event| event.kind() == kind)
    }

    /// Whether its events say no more than that the device is there.
    pub fn is_routine(&self) -> bool {
        self.events.iter().all(|event| event.kind().is_routine())
    }

    /// The value of a parameter that came with it.
    pub fn parameter(&self, path: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|parameter| parameter.path == path)
            .map(|parameter| parameter.value.as_str())
    }

    pub(crate) fn parse(xml: &mut Reader<'_>) -> Result<Inform, Error> {
        let mut inform = Inform::default();
        while let Some(child) = xml.child()? {
            match child.name() {
                "DeviceId" => inform.device_id = DeviceId::parse(xml, &mut inform.unknown)?,
                "Event" => inform.parse_events(xml)?,
                // Says nothing: it is always 1, and ignored where it is not.
                "MaxEnvelopes" => xml.skip()?,
                "CurrentTime" => inform.current_time = xml.date_time()?,
                "RetryCount" => inform.retry_count = xml.unsigned()?,
                "ParameterList" => inform.parameters = xml.list(ParameterValue::parse)?,
                other => keep(xml, other.to_owned(), &mut inform.unknown)?,
            }
        }
        Ok(inform)
    }

    fn parse_events(&mut self, xml: &mut Reader<'_>) -> Result<(), Error> {
        while let Some(event) = xml.child()? {
            let path = || format!("Event.{}", event.name());
            let mut code = None;
            let mut command_key = String::new();
            while let Some(child) = xml.child()? {
                match child.name() {
                    "EventCode" => {
                        // Two codes in one struct (an Airvana small cell) are two events.
                        if let Some(code) = code.replace(xml.name()?) {
                            let command_key = String::new();
                            self.events.push(Event { code, command_key });
                        }
                    }
                    "CommandKey" => command_key = xml.string()?,
                    other => keep(xml, format!("{}.{other}", path()), &mut self.unknown)?,
                }
            }
            let code = code.unwrap_or_default();
            self.events.push(Event { code, command_key });
        }
        Ok(())
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        self.device_id.write(out);
        out.list("Event", "cwmp:EventStruct", &self.events, |out, event| {
            out.open("EventStruct");
            out.element("EventCode", &event.code);
            out.element("CommandKey", &event.command_key);
            out.close("EventStruct");
        });
        out.unsigned("MaxEnvelopes", 1);
        out.date_time("CurrentTime", &self.current_time);
        out.unsigned("RetryCount", self.retry_count);
        ParameterValue::write_list(&self.parameters, out);
    }
}

impl DeviceId {
    fn parse(xml: &mut Reader<'_>, unknown: &mut Vec<(String, String)>) -> Result<DeviceId, Error> {
        let mut id = DeviceId::default();
        while let Some(child) = xml.child()? {
            match child.name() {
                "Manufacturer" => id.manufacturer = xml.name()?,
                "OUI" => id.oui = xml.name()?,
                "ProductClass" => id.product_class = xml.name()?,
                "SerialNumber" => id.serial_number = xml.name()?,
                other => keep(xml, format!("DeviceId.{other}"), unknown)?,
            }
        }
        Ok(id)
    }

    fn write(&self, out: &mut Writer) {
        out.open("DeviceId");
        out.element("Manufacturer", &self.manufacturer);
        out.element("OUI", &self.oui);
        out.element("ProductClass", &self.product_class);
        out.element("SerialNumber", &self.serial_number);
        out.close("DeviceId");
    }
}

/// Keeps an element that this version does not know.
fn keep(
    xml: &mut Reader<'_>,
    path: String,
    unknown: &mut Vec<(String, String)>,
) -> Result<(), Error> {
    if unknown.len() >= UNKNOWN_ELEMENTS_MAX {
        return xml.skip();
    }
    let inner = xml.inner()?;
    let text = match quick_xml::escape::unescape(inner) {
        Ok(text) if !inner.contains('<') => text.into_owned(),
        _ => inner.to_owned(),
    };
    unknown.push((path, text));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::check;
    use expect_test::expect;

    #[test]
    fn request() {
        check(
            "<cwmp:Inform><DeviceId><Manufacturer>Example</Manufacturer><OUI>00005E</OUI>\
             <ProductClass>Box</ProductClass><SerialNumber>0001</SerialNumber></DeviceId>\
             <Event soap-enc:arrayType='cwmp:EventStruct[2]'>\
             <EventStruct><EventCode>1 BOOT</EventCode><CommandKey></CommandKey></EventStruct>\
             <EventStruct><EventCode>M Reboot</EventCode><CommandKey>r-1</CommandKey></EventStruct>\
             </Event><MaxEnvelopes>1</MaxEnvelopes><CurrentTime>2024-03-01T10:00:00Z</CurrentTime>\
             <RetryCount>0</RetryCount>\
             <ParameterList soap-enc:arrayType='cwmp:ParameterValueStruct[1]'><ParameterValueStruct>\
             <Name>Device.DeviceInfo.SoftwareVersion</Name><Value xsi:type='xsd:string'>1.0</Value>\
             </ParameterValueStruct></ParameterList></cwmp:Inform>",
            expect![[r#"
                Request(
                    Inform(
                        Inform {
                            device_id: DeviceId {
                                manufacturer: "Example",
                                oui: "00005E",
                                product_class: "Box",
                                serial_number: "0001",
                            },
                            events: [
                                Event {
                                    code: "1 BOOT",
                                    command_key: "",
                                },
                                Event {
                                    code: "M Reboot",
                                    command_key: "r-1",
                                },
                            ],
                            current_time: DateTime(
                                "2024-03-01T10:00:00Z",
                            ),
                            retry_count: 0,
                            parameters: [
                                ParameterValue {
                                    path: "Device.DeviceInfo.SoftwareVersion",
                                    value: "1.0",
                                    xsd_type: XsdType(
                                        "string",
                                    ),
                                },
                            ],
                            unknown: [],
                        },
                    ),
                )
                <cwmp:Inform>
                <DeviceId>
                <Manufacturer>Example</Manufacturer>
                <OUI>00005E</OUI>
                <ProductClass>Box</ProductClass>
                <SerialNumber>0001</SerialNumber>
                </DeviceId>
                <Event soap-enc:arrayType="cwmp:EventStruct[2]">
                <EventStruct>
                <EventCode>1 BOOT</EventCode>
                <CommandKey></CommandKey>
                </EventStruct>
                <EventStruct>
                <EventCode>M Reboot</EventCode>
                <CommandKey>r-1</CommandKey>
                </EventStruct>
                </Event>
                <MaxEnvelopes>1</MaxEnvelopes>
                <CurrentTime>2024-03-01T10:00:00Z</CurrentTime>
                <RetryCount>0</RetryCount>
                <ParameterList soap-enc:arrayType="cwmp:ParameterValueStruct[1]">
                <ParameterValueStruct>
                <Name>Device.DeviceInfo.SoftwareVersion</Name>
                <Value xsi:type="xsd:string">1.0</Value>
                </ParameterValueStruct>
                </ParameterList>
                </cwmp:Inform>
            "#]],
        );
    }

    #[test]
    fn response() {
        check(
            "<cwmp:InformResponse><MaxEnvelopes>1</MaxEnvelopes></cwmp:InformResponse>",
            expect![[r#"
                Response(
                    Inform,
                )
                <cwmp:InformResponse>
                <MaxEnvelopes>1</MaxEnvelopes>
                </cwmp:InformResponse>
            "#]],
        );
    }
}
