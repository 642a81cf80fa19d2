//! ChangeDUState (TR-069 A.4.1.10): software modules are installed, updated and uninstalled.

use crate::Error;
use crate::write::Writer;
use crate::xml::Reader;

/// ChangeDUState (A.4.1.10).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChangeDuState {
    /// At least one.
    pub operations: Vec<DuOperation>,
    /// Comes back in DUStateChangeComplete; at most 32 characters.
    pub command_key: String,
}

/// What is to happen to a deployment unit (OperationStruct). An empty text is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DuOperation {
    /// InstallOpStruct.
    Install {
        /// Where it is; at most 1024 characters.
        url: String,
        /// The device makes one if it is empty.
        uuid: String,
        /// Of the file server.
        username: String,
        /// Of the file server.
        password: String,
        /// The path of an execution environment; the device chooses if it is empty.
        execution_env: String,
    },
    /// UpdateOpStruct. Neither `uuid` nor `url`: all deployment units.
    Update {
        /// Which one.
        uuid: String,
        /// Which version of it, where there are several.
        version: String,
        /// Where its new version is; where it came from if empty.
        url: String,
        /// Of the file server.
        username: String,
        /// Of the file server.
        password: String,
    },
    /// UninstallOpStruct.
    Uninstall {
        /// Which one.
        uuid: String,
        /// Which version; all if empty.
        version: String,
        /// From which execution environment; from all if empty.
        execution_env: String,
    },
}

impl ChangeDuState {
    pub(crate) fn parse(xml: &mut Reader<'_>) -> Result<ChangeDuState, Error> {
        let mut rpc = ChangeDuState::default();
        while let Some(child) = xml.child()? {
            match child.name() {
                "Operations" => {
                    let kind = child.attribute("type").map(|kind| kind.into_owned());
                    Found::read(xml, kind, &mut rpc.operations)?;
                }
                "CommandKey" => rpc.command_key = xml.string()?,
                _ => xml.skip()?,
            }
        }
        Ok(rpc)
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        for operation in &self.operations {
            operation.write(out);
        }
        out.element("CommandKey", &self.command_key);
    }
}

impl DuOperation {
    fn write(&self, out: &mut Writer) {
        let open = |out: &mut Writer, kind: &str| {
            out.raw("<Operations xsi:type=\"cwmp:");
            out.raw(kind);
            out.raw("\">");
        };
        match self {
            DuOperation::Install {
                url,
                uuid,
                username,
                password,
                execution_env,
            } => {
                open(out, "InstallOpStruct");
                out.element("URL", url);
                optional_uuid(out, uuid);
                out.element("Username", username);
                out.element("Password", password);
                out.element("ExecutionEnvRef", execution_env);
            }
            DuOperation::Update {
                uuid,
                version,
                url,
                username,
                password,
            } => {
                open(out, "UpdateOpStruct");
                optional_uuid(out, uuid);
                out.element("Version", version);
                out.element("URL", url);
                out.element("Username", username);
                out.element("Password", password);
            }
            DuOperation::Uninstall {
                uuid,
                version,
                execution_env,
            } => {
                open(out, "UninstallOpStruct");
                out.element("UUID", uuid);
                out.element("Version", version);
                out.element("ExecutionEnvRef", execution_env);
            }
        }
        out.close("Operations");
    }
}

/// No UUID is empty: where there is none, there is no element.
fn optional_uuid(out: &mut Writer, uuid: &str) {
    if !uuid.is_empty() {
        out.element("UUID", uuid);
    }
}

/// What stands in an OperationStruct, whatever its kind.
#[derive(Default)]
struct Found {
    url: String,
    uuid: String,
    version: String,
    username: String,
    password: String,
    execution_env: String,
}

impl Found {
    /// Reads one operation, or several that are members of an array.
    fn read(
        xml: &mut Reader<'_>,
        kind: Option<String>,
        operations: &mut Vec<DuOperation>,
    ) -> Result<(), Error> {
        let mut found = Found::default();
        let mut is_array = false;
        while let Some(child) = xml.child()? {
            match child.name() {
                "URL" => found.url = xml.string()?,
                "UUID" => found.uuid = xml.string()?,
                "Version" => found.version = xml.string()?,
                "Username" => found.username = xml.string()?,
                "Password" => found.password = xml.string()?,
                "ExecutionEnvRef" => found.execution_env = xml.string()?,
                member if member.ends_with("OpStruct") => {
                    is_array = true;
                    let kind = Some(member.to_owned());
                    Found::read(xml, kind, operations)?;
                }
                _ => xml.skip()?,
            }
        }
        if !is_array {
            operations.push(found.operation(kind.as_deref().unwrap_or_default()));
        }
        Ok(())
    }

    /// Without a known kind, what has a URL is something to install, and what has none is not.
    fn operation(self, kind: &str) -> DuOperation {
        let installs = kind.contains("Install") || !self.url.is_empty();
        if kind.contains("Update") {
            DuOperation::Update {
                uuid: self.uuid,
                version: self.version,
                url: self.url,
                username: self.username,
                password: self.password,
            }
        } else if kind.contains("Uninstall") || !installs {
            DuOperation::Uninstall {
                uuid: self.uuid,
                version: self.version,
                execution_env: self.execution_env,
            }
        } else {
            DuOperation::Install {
                url: self.url,
                uuid: self.uuid,
                username: self.username,
                password: self.password,
                execution_env: self.execution_env,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::check;
    use expect_test::expect;

    #[test]
    fn request() {
        check(
            "<cwmp:ChangeDUState>\
             <Operations xsi:type='cwmp:InstallOpStruct'><URL>http://files.example/a.ipk</URL>\
             <Username>u</Username><ExecutionEnvRef>Device.SoftwareModules.ExecEnv.1.</ExecutionEnvRef>\
             </Operations><Operations xsi:type='cwmp:UpdateOpStruct'>\
             <UUID>00000000-0000-5000-8000-000000000001</UUID><Version>1.0</Version></Operations>\
             <Operations xsi:type='cwmp:UninstallOpStruct'>\
             <UUID>00000000-0000-5000-8000-000000000002</UUID></Operations>\
             <CommandKey>t-1</CommandKey></cwmp:ChangeDUState>",
            expect![[r#"
                Request(
                    ChangeDuState(
                        ChangeDuState {
                            operations: [
                                Install {
                                    url: "http://files.example/a.ipk",
                                    uuid: "",
                                    username: "u",
                                    password: "",
                                    execution_env: "Device.SoftwareModules.ExecEnv.1.",
                                },
                                Update {
                                    uuid: "00000000-0000-5000-8000-000000000001",
                                    version: "1.0",
                                    url: "",
                                    username: "",
                                    password: "",
                                },
                                Uninstall {
                                    uuid: "00000000-0000-5000-8000-000000000002",
                                    version: "",
                                    execution_env: "",
                                },
                            ],
                            command_key: "t-1",
                        },
                    ),
                )
                <cwmp:ChangeDUState>
                <Operations xsi:type="cwmp:InstallOpStruct">
                <URL>http://files.example/a.ipk</URL>
                <Username>u</Username>
                <Password></Password>
                <ExecutionEnvRef>Device.SoftwareModules.ExecEnv.1.</ExecutionEnvRef>
                </Operations>
                <Operations xsi:type="cwmp:UpdateOpStruct">
                <UUID>00000000-0000-5000-8000-000000000001</UUID>
                <Version>1.0</Version>
                <URL></URL>
                <Username></Username>
                <Password></Password>
                </Operations>
                <Operations xsi:type="cwmp:UninstallOpStruct">
                <UUID>00000000-0000-5000-8000-000000000002</UUID>
                <Version></Version>
                <ExecutionEnvRef></ExecutionEnvRef>
                </Operations>
                <CommandKey>t-1</CommandKey>
                </cwmp:ChangeDUState>
            "#]],
        );
    }

    #[test]
    fn operations_as_an_array_and_without_a_type() {
        check(
            "<cwmp:ChangeDUState><CommandKey>k</CommandKey><Operations>\
             <UpdateOpStruct><URL>http://a/</URL></UpdateOpStruct></Operations>\
             <Operations><URL>http://b/</URL></Operations>\
             <Operations><UUID>c</UUID></Operations></cwmp:ChangeDUState>",
            expect![[r#"
                Request(
                    ChangeDuState(
                        ChangeDuState {
                            operations: [
                                Update {
                                    uuid: "",
                                    version: "",
                                    url: "http://a/",
                                    username: "",
                                    password: "",
                                },
                                Install {
                                    url: "http://b/",
                                    uuid: "",
                                    username: "",
                                    password: "",
                                    execution_env: "",
                                },
                                Uninstall {
                                    uuid: "c",
                                    version: "",
                                    execution_env: "",
                                },
                            ],
                            command_key: "k",
                        },
                    ),
                )
                <cwmp:ChangeDUState>
                <Operations xsi:type="cwmp:UpdateOpStruct">
                <Version></Version>
                <URL>http://a/</URL>
                <Username></Username>
                <Password></Password>
                </Operations>
                <Operations xsi:type="cwmp:InstallOpStruct">
                <URL>http://b/</URL>
                <Username></Username>
                <Password></Password>
                <ExecutionEnvRef></ExecutionEnvRef>
                </Operations>
                <Operations xsi:type="cwmp:UninstallOpStruct">
                <UUID>c</UUID>
                <Version></Version>
                <ExecutionEnvRef></ExecutionEnvRef>
                </Operations>
                <CommandKey>k</CommandKey>
                </cwmp:ChangeDUState>
            "#]],
        );
    }

    #[test]
    fn response() {
        check(
            "<cwmp:ChangeDUStateResponse/>",
            expect![[r#"
            Response(
                ChangeDuState,
            )
            <cwmp:ChangeDUStateResponse></cwmp:ChangeDUStateResponse>
        "#]],
        );
    }
}
