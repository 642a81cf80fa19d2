//! AutonomousDUStateChangeComplete (TR-069 A.4.2.4): software modules changed without the ACS
//! asking for it.

use crate::write::Writer;
use crate::xml::Reader;
use crate::{DuResult, Error};

/// What has become of a deployment unit, and by what (AutonOpResultStruct).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AutonomousDuResult {
    /// What has become of it.
    pub result: DuResult,
    /// `Install`, `Update`, `Uninstall` or a vendor's, as sent.
    pub operation: String,
}

pub(crate) fn parse(xml: &mut Reader<'_>) -> Result<Vec<AutonomousDuResult>, Error> {
    let mut results = Vec::new();
    while let Some(child) = xml.child()? {
        match child.name() {
            "Results" => DuResult::parse_all(xml, &mut |result, operation| {
                results.push(AutonomousDuResult { result, operation });
            })?,
            _ => xml.skip()?,
        }
    }
    Ok(results)
}

pub(crate) fn write(results: &[AutonomousDuResult], out: &mut Writer) {
    for one in results {
        out.open("Results");
        one.result.write(out);
        out.element("OperationPerformed", &one.operation);
        out.close("Results");
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::check;
    use expect_test::expect;

    #[test]
    fn request() {
        check(
            "<cwmp:AutonomousDUStateChangeComplete><Results>\
             <UUID>00000000-0000-5000-8000-000000000001</UUID>\
             <DeploymentUnitRef>Device.SoftwareModules.DeploymentUnit.1.</DeploymentUnitRef>\
             <Version>1.0</Version><CurrentState>Installed</CurrentState><Resolved>true</Resolved>\
             <ExecutionUnitRefList>Device.SoftwareModules.ExecutionUnit.1.</ExecutionUnitRefList>\
             <StartTime>2024-03-01T10:00:00Z</StartTime><CompleteTime>2024-03-01T10:00:05Z</CompleteTime>\
             <Fault><FaultCode>0</FaultCode></Fault><OperationPerformed>Update</OperationPerformed>\
             </Results></cwmp:AutonomousDUStateChangeComplete>",
            expect![[r#"
                Request(
                    AutonomousDuStateChangeComplete(
                        [
                            AutonomousDuResult {
                                result: DuResult {
                                    uuid: "00000000-0000-5000-8000-000000000001",
                                    deployment_unit: "Device.SoftwareModules.DeploymentUnit.1.",
                                    version: "1.0",
                                    state: "Installed",
                                    resolved: true,
                                    execution_units: "Device.SoftwareModules.ExecutionUnit.1.",
                                    start_time: DateTime(
                                        "2024-03-01T10:00:00Z",
                                    ),
                                    complete_time: DateTime(
                                        "2024-03-01T10:00:05Z",
                                    ),
                                    fault: TransferFault {
                                        code: 0,
                                        text: "",
                                    },
                                },
                                operation: "Update",
                            },
                        ],
                    ),
                )
                <cwmp:AutonomousDUStateChangeComplete>
                <Results>
                <UUID>00000000-0000-5000-8000-000000000001</UUID>
                <DeploymentUnitRef>Device.SoftwareModules.DeploymentUnit.1.</DeploymentUnitRef>
                <Version>1.0</Version>
                <CurrentState>Installed</CurrentState>
                <Resolved>1</Resolved>
                <ExecutionUnitRefList>Device.SoftwareModules.ExecutionUnit.1.</ExecutionUnitRefList>
                <StartTime>2024-03-01T10:00:00Z</StartTime>
                <CompleteTime>2024-03-01T10:00:05Z</CompleteTime>
                <Fault>
                <FaultCode>0</FaultCode>
                <FaultString></FaultString>
                </Fault>
                <OperationPerformed>Update</OperationPerformed>
                </Results>
                </cwmp:AutonomousDUStateChangeComplete>
            "#]],
        );
    }

    #[test]
    fn response() {
        check(
            "<cwmp:AutonomousDUStateChangeCompleteResponse/>",
            expect![[r#"
                Response(
                    AutonomousDuStateChangeComplete,
                )
                <cwmp:AutonomousDUStateChangeCompleteResponse></cwmp:AutonomousDUStateChangeCompleteResponse>
            "#]],
        );
    }
}
