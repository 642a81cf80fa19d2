//! DUStateChangeComplete (TR-069 A.4.2.3): what a ChangeDUState has come to.

use crate::write::Writer;
use crate::xml::Reader;
use crate::{DateTime, Error, TransferFault};

/// DUStateChangeComplete (A.4.2.3).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DuStateChangeComplete {
    /// One for each operation, or more: one may concern several deployment units.
    pub results: Vec<DuResult>,
    /// That of the ChangeDUState; some devices leave it empty.
    pub command_key: String,
}

/// What has become of a deployment unit (OpResultStruct).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DuResult {
    /// Which one.
    pub uuid: String,
    /// Its path in `SoftwareModules.DeploymentUnit.`
    pub deployment_unit: String,
    /// Its version.
    pub version: String,
    /// `Installed`, `Uninstalled` or `Failed`, as sent.
    pub state: String,
    /// Whether all that it needs is there.
    pub resolved: bool,
    /// The paths of its execution units, with commas between them.
    pub execution_units: String,
    /// When it began.
    pub start_time: DateTime,
    /// When it was done.
    pub complete_time: DateTime,
    /// Code 0 = success.
    pub fault: TransferFault,
}

impl DuStateChangeComplete {
    pub(crate) fn parse(xml: &mut Reader<'_>) -> Result<DuStateChangeComplete, Error> {
        let mut rpc = DuStateChangeComplete::default();
        while let Some(child) = xml.child()? {
            match child.name() {
                "Results" => DuResult::parse_all(xml, &mut |result, _| rpc.results.push(result))?,
                "CommandKey" => rpc.command_key = xml.string()?,
                _ => xml.skip()?,
            }
        }
        Ok(rpc)
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        for result in &self.results {
            out.open("Results");
            result.write(out);
            out.close("Results");
        }
        out.element("CommandKey", &self.command_key);
    }
}

impl DuResult {
    /// Reads one result, or several that are members of an array, as some devices write them.
    /// The second is an OperationPerformed.
    pub(crate) fn parse_all(
        xml: &mut Reader<'_>,
        each: &mut dyn FnMut(DuResult, String),
    ) -> Result<(), Error> {
        let mut result = DuResult::default();
        let mut operation = String::new();
        let mut is_array = false;
        while let Some(child) = xml.child()? {
            match child.name() {
                "UUID" => result.uuid = xml.name()?,
                "DeploymentUnitRef" => result.deployment_unit = xml.name()?,
                "Version" => result.version = xml.string()?,
                "CurrentState" => result.state = xml.name()?,
                "Resolved" => result.resolved = xml.boolean()?,
                "ExecutionUnitRefList" => result.execution_units = xml.name()?,
                "StartTime" => result.start_time = xml.date_time()?,
                "CompleteTime" => result.complete_time = xml.date_time()?,
                "Fault" => result.fault = TransferFault::parse(xml)?,
                "OperationPerformed" => operation = xml.name()?,
                member if member.ends_with("OpResultStruct") => {
                    is_array = true;
                    DuResult::parse_all(xml, each)?;
                }
                _ => xml.skip()?,
            }
        }
        if !is_array {
            each(result, operation);
        }
        Ok(())
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.element("UUID", &self.uuid);
        out.element("DeploymentUnitRef", &self.deployment_unit);
        out.element("Version", &self.version);
        out.element("CurrentState", &self.state);
        out.boolean("Resolved", self.resolved);
        out.element("ExecutionUnitRefList", &self.execution_units);
        out.date_time("StartTime", &self.start_time);
        out.date_time("CompleteTime", &self.complete_time);
        self.fault.write("Fault", out);
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::check;
    use expect_test::expect;

    #[test]
    fn request() {
        check(
            "<cwmp:DUStateChangeComplete><Results><UUID>00000000-0000-5000-8000-000000000001</UUID>\
             <DeploymentUnitRef>Device.SoftwareModules.DeploymentUnit.1.</DeploymentUnitRef>\
             <Version>1.0</Version><CurrentState>Failed</CurrentState><Resolved>0</Resolved>\
             <ExecutionUnitRefList/><StartTime>2024-03-01T10:00:00Z</StartTime>\
             <CompleteTime>2024-03-01T10:00:05Z</CompleteTime><Fault><FaultCode>9026</FaultCode>\
             <FaultString>there already</FaultString></Fault></Results>\
             <CommandKey>t-1</CommandKey></cwmp:DUStateChangeComplete>",
            expect![[r#"
                Request(
                    DuStateChangeComplete(
                        DuStateChangeComplete {
                            results: [
                                DuResult {
                                    uuid: "00000000-0000-5000-8000-000000000001",
                                    deployment_unit: "Device.SoftwareModules.DeploymentUnit.1.",
                                    version: "1.0",
                                    state: "Failed",
                                    resolved: false,
                                    execution_units: "",
                                    start_time: DateTime(
                                        "2024-03-01T10:00:00Z",
                                    ),
                                    complete_time: DateTime(
                                        "2024-03-01T10:00:05Z",
                                    ),
                                    fault: TransferFault {
                                        code: 9026,
                                        text: "there already",
                                    },
                                },
                            ],
                            command_key: "t-1",
                        },
                    ),
                )
                <cwmp:DUStateChangeComplete>
                <Results>
                <UUID>00000000-0000-5000-8000-000000000001</UUID>
                <DeploymentUnitRef>Device.SoftwareModules.DeploymentUnit.1.</DeploymentUnitRef>
                <Version>1.0</Version>
                <CurrentState>Failed</CurrentState>
                <Resolved>0</Resolved>
                <ExecutionUnitRefList></ExecutionUnitRefList>
                <StartTime>2024-03-01T10:00:00Z</StartTime>
                <CompleteTime>2024-03-01T10:00:05Z</CompleteTime>
                <Fault>
                <FaultCode>9026</FaultCode>
                <FaultString>there already</FaultString>
                </Fault>
                </Results>
                <CommandKey>t-1</CommandKey>
                </cwmp:DUStateChangeComplete>
            "#]],
        );
    }

    #[test]
    fn results_as_an_array() {
        check(
            "<cwmp:DUStateChangeComplete><CommandKey>t-1</CommandKey>\
             <Results soap-enc:arrayType='cwmp:OpResultStruct[2]'><OpResultStruct><UUID>a</UUID>\
             <Fault><FaultStruct><FaultCode>9001</FaultCode></FaultStruct></Fault></OpResultStruct>\
             <OpResultStruct><UUID>b</UUID></OpResultStruct></Results></cwmp:DUStateChangeComplete>",
            expect![[r#"
                Request(
                    DuStateChangeComplete(
                        DuStateChangeComplete {
                            results: [
                                DuResult {
                                    uuid: "a",
                                    deployment_unit: "",
                                    version: "",
                                    state: "",
                                    resolved: false,
                                    execution_units: "",
                                    start_time: DateTime(
                                        "",
                                    ),
                                    complete_time: DateTime(
                                        "",
                                    ),
                                    fault: TransferFault {
                                        code: 9001,
                                        text: "",
                                    },
                                },
                                DuResult {
                                    uuid: "b",
                                    deployment_unit: "",
                                    version: "",
                                    state: "",
                                    resolved: false,
                                    execution_units: "",
                                    start_time: DateTime(
                                        "",
                                    ),
                                    complete_time: DateTime(
                                        "",
                                    ),
                                    fault: TransferFault {
                                        code: 0,
                                        text: "",
                                    },
                                },
                            ],
                            command_key: "t-1",
                        },
                    ),
                )
                <cwmp:DUStateChangeComplete>
                <Results>
                <UUID>a</UUID>
                <DeploymentUnitRef></DeploymentUnitRef>
                <Version></Version>
                <CurrentState></CurrentState>
                <Resolved>0</Resolved>
                <ExecutionUnitRefList></ExecutionUnitRefList>
                <StartTime>0001-01-01T00:00:00Z</StartTime>
                <CompleteTime>0001-01-01T00:00:00Z</CompleteTime>
                <Fault>
                <FaultCode>9001</FaultCode>
                <FaultString></FaultString>
                </Fault>
                </Results>
                <Results>
                <UUID>b</UUID>
                <DeploymentUnitRef></DeploymentUnitRef>
                <Version></Version>
                <CurrentState></CurrentState>
                <Resolved>0</Resolved>
                <ExecutionUnitRefList></ExecutionUnitRefList>
                <StartTime>0001-01-01T00:00:00Z</StartTime>
                <CompleteTime>0001-01-01T00:00:00Z</CompleteTime>
                <Fault>
                <FaultCode>0</FaultCode>
                <FaultString></FaultString>
                </Fault>
                </Results>
                <CommandKey>t-1</CommandKey>
                </cwmp:DUStateChangeComplete>
            "#]],
        );
    }

    #[test]
    fn response() {
        check(
            "<cwmp:DUStateChangeCompleteResponse/>",
            expect![[r#"
            Response(
                DuStateChangeComplete,
            )
            <cwmp:DUStateChangeCompleteResponse></cwmp:DUStateChangeCompleteResponse>
        "#]],
        );
    }
}
