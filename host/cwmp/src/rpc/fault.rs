//! SOAP faults of CWMP (TR-069 §3.5, fault codes: A.5).

mod codes;

pub use codes::{
    CPE_INTERNAL_ERROR, CPE_INVALID_ARGUMENTS, INTERNAL_ERROR, METHOD_NOT_SUPPORTED,
    REQUEST_DENIED, RESOURCES_EXCEEDED, RETRY_REQUEST, VERSION_INCOMPATIBLE, advice, name,
};

use crate::Error;
use crate::write::Writer;
use crate::xml::Reader;

/// A SOAP fault of CWMP (TR-069 §3.5 and A.5).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fault {
    /// 8000–8899 of the ACS, 9000–9899 of the device.
    pub code: u32,
    /// For people.
    pub text: String,
    /// Which parameters of a SetParameterValues were at fault.
    pub parameters: Vec<ParameterFault>,
}

/// SetParameterValuesFault.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParameterFault {
    /// The full parameter name.
    pub path: String,
    /// 9000–9899.
    pub code: u32,
    /// For people.
    pub text: String,
}

impl Fault {
    /// A fault with the standard's text, of either side: `Fault::new(8000)`.
    pub fn new(code: u32) -> Fault {
        Fault {
            code,
            text: name(code).unwrap_or("CWMP fault").to_owned(),
            parameters: Vec::new(),
        }
    }

    /// The device does not know the method.
    pub fn is_method_not_supported(&self) -> bool {
        matches!(self.code, 8000 | 9000)
    }

    /// Reads any of the forms that devices send: codes at whatever depth, a text behind the
    /// code, no outer code, or a plain SOAP fault without a code.
    pub(crate) fn parse(xml: &mut Reader<'_>) -> Result<Fault, Error> {
        let mut found = Found::default();
        found.read(xml)?;
        let code = match found.code {
            Some(code) => code,
            None if found.parameters.is_empty() => CPE_INTERNAL_ERROR,
            None => CPE_INVALID_ARGUMENTS,
        };
        Ok(Fault {
            code,
            text: found.text.or(found.soap_text).unwrap_or_default(),
            parameters: found.parameters,
        })
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.open("soap-env:Fault");
        let blame = if is_of_client(self.code) {
            "Client"
        } else {
            "Server"
        };
        out.element("faultcode", blame);
        out.element("faultstring", "CWMP fault");
        out.raw("<detail><cwmp:Fault>");
        out.unsigned("FaultCode", self.code);
        out.element("FaultString", &self.text);
        for parameter in &self.parameters {
            out.open("SetParameterValuesFault");
            out.element("ParameterName", &parameter.path);
            out.unsigned("FaultCode", parameter.code);
            out.element("FaultString", &parameter.text);
            out.close("SetParameterValuesFault");
        }
        out.raw("</cwmp:Fault></detail>");
        out.close("soap-env:Fault");
    }
}

/// What SOAP calls the faults that the sender of the request is to blame for.
fn is_of_client(code: u32) -> bool {
    matches!(code, 8003 | 9003 | 9005..=9008)
}

/// What of a fault was found so far.
#[derive(Default)]
struct Found {
    code: Option<u32>,
    text: Option<String>,
    soap_text: Option<String>,
    parameters: Vec<ParameterFault>,
}

impl Found {
    fn read(&mut self, xml: &mut Reader<'_>) -> Result<(), Error> {
        while let Some(child) = xml.child()? {
            match child.name() {
                "FaultCode" => self.code = Some(xml.code()?).filter(|code| *code != 0),
                "FaultString" => self.text = Some(xml.string()?),
                "SetParameterValuesFault" => self.parameters.push(ParameterFault::parse(xml)?),
                "faultstring" => self.soap_text = Some(xml.string()?),
                // `detail`, `cwmp:Fault`, and whatever else is around them.
                _ => self.read(xml)?,
            }
        }
        Ok(())
    }
}

impl ParameterFault {
    fn parse(xml: &mut Reader<'_>) -> Result<ParameterFault, Error> {
        let mut fault = ParameterFault::default();
        while let Some(child) = xml.child()? {
            match child.name() {
                "ParameterName" => fault.path = xml.name()?,
                "FaultCode" => fault.code = xml.code()?,
                "FaultString" => fault.text = xml.string()?,
                _ => xml.skip()?,
            }
        }
        Ok(fault)
    }
}

#[cfg(test)]
mod tests {

    use crate::testing::check;
    use expect_test::expect;

    #[test]
    fn fault() {
        check(
            "<soap-env:Fault><faultcode>Client</faultcode><faultstring>CWMP fault</faultstring>\
             <detail><cwmp:Fault><FaultCode>9005</FaultCode>\
             <FaultString>Invalid parameter name</FaultString></cwmp:Fault></detail></soap-env:Fault>",
            expect![[r#"
                Fault(
                    Fault {
                        code: 9005,
                        text: "Invalid parameter name",
                        parameters: [],
                    },
                )
                <soap-env:Fault>
                <faultcode>Client</faultcode>
                <faultstring>CWMP fault</faultstring>
                <detail>
                <cwmp:Fault>
                <FaultCode>9005</FaultCode>
                <FaultString>Invalid parameter name</FaultString>
                </cwmp:Fault>
                </detail>
                </soap-env:Fault>
            "#]],
        );
    }

    #[test]
    fn fault_of_several_parameters() {
        check(
            "<soap-env:Fault><faultcode>Client</faultcode><faultstring>CWMP fault</faultstring>\
             <detail><cwmp:Fault><FaultCode>9003</FaultCode><FaultString>Invalid arguments</FaultString>\
             <SetParameterValuesFault><ParameterName>Device.A</ParameterName><FaultCode>9005</FaultCode>\
             <FaultString>no such</FaultString></SetParameterValuesFault>\
             <SetParameterValuesFault><ParameterName>Device.B</ParameterName><FaultCode>9007</FaultCode>\
             </SetParameterValuesFault></cwmp:Fault></detail></soap-env:Fault>",
            expect![[r#"
                Fault(
                    Fault {
                        code: 9003,
                        text: "Invalid arguments",
                        parameters: [
                            ParameterFault {
                                path: "Device.A",
                                code: 9005,
                                text: "no such",
                            },
                            ParameterFault {
                                path: "Device.B",
                                code: 9007,
                                text: "",
                            },
                        ],
                    },
                )
                <soap-env:Fault>
                <faultcode>Client</faultcode>
                <faultstring>CWMP fault</faultstring>
                <detail>
                <cwmp:Fault>
                <FaultCode>9003</FaultCode>
                <FaultString>Invalid arguments</FaultString>
                <SetParameterValuesFault>
                <ParameterName>Device.A</ParameterName>
                <FaultCode>9005</FaultCode>
                <FaultString>no such</FaultString>
                </SetParameterValuesFault>
                <SetParameterValuesFault>
                <ParameterName>Device.B</ParameterName>
                <FaultCode>9007</FaultCode>
                <FaultString></FaultString>
                </SetParameterValuesFault>
                </cwmp:Fault>
                </detail>
                </soap-env:Fault>
            "#]],
        );
    }

    #[test]
    fn codes_with_type_prefix_and_text() {
        check(
            "<soap-env:Fault><faultcode>soap-env:Server</faultcode><faultstring>CWMP FAULT</faultstring>\
             <detail><cwmp:Fault><FaultCode xsi:type='xsd:unsignedInt'> 9000 - Method not supported</FaultCode>\
             <FaultString/></cwmp:Fault></detail></soap-env:Fault>",
            expect![[r#"
                Fault(
                    Fault {
                        code: 9000,
                        text: "",
                        parameters: [],
                    },
                )
                <soap-env:Fault>
                <faultcode>Server</faultcode>
                <faultstring>CWMP fault</faultstring>
                <detail>
                <cwmp:Fault>
                <FaultCode>9000</FaultCode>
                <FaultString></FaultString>
                </cwmp:Fault>
                </detail>
                </soap-env:Fault>
            "#]],
        );
    }

    #[test]
    fn only_inner_codes() {
        check(
            "<soap-env:Fault><detail><cwmp:Fault><SetParameterValuesFault>\
             <ParameterName>Device.Time.LocalTimeZone</ParameterName><FaultCode>9012</FaultCode>\
             </SetParameterValuesFault></cwmp:Fault></detail></soap-env:Fault>",
            expect![[r#"
                Fault(
                    Fault {
                        code: 9003,
                        text: "",
                        parameters: [
                            ParameterFault {
                                path: "Device.Time.LocalTimeZone",
                                code: 9012,
                                text: "",
                            },
                        ],
                    },
                )
                <soap-env:Fault>
                <faultcode>Client</faultcode>
                <faultstring>CWMP fault</faultstring>
                <detail>
                <cwmp:Fault>
                <FaultCode>9003</FaultCode>
                <FaultString></FaultString>
                <SetParameterValuesFault>
                <ParameterName>Device.Time.LocalTimeZone</ParameterName>
                <FaultCode>9012</FaultCode>
                <FaultString></FaultString>
                </SetParameterValuesFault>
                </cwmp:Fault>
                </detail>
                </soap-env:Fault>
            "#]],
        );
    }

    #[test]
    fn a_plain_soap_fault() {
        check(
            "<soap-env:Fault><faultcode>soap-env:Client</faultcode>\
             <faultstring>Method 'x' not implemented</faultstring></soap-env:Fault>",
            expect![[r#"
                Fault(
                    Fault {
                        code: 9002,
                        text: "Method 'x' not implemented",
                        parameters: [],
                    },
                )
                <soap-env:Fault>
                <faultcode>Server</faultcode>
                <faultstring>CWMP fault</faultstring>
                <detail>
                <cwmp:Fault>
                <FaultCode>9002</FaultCode>
                <FaultString>Method 'x' not implemented</FaultString>
                </cwmp:Fault>
                </detail>
                </soap-env:Fault>
            "#]],
        );
    }
}
