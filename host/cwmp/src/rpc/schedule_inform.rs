//! ScheduleInform (TR-069 A.4.1.2): call back later.

use crate::Error;
use crate::write::Writer;
use crate::xml::Reader;

/// ScheduleInform (A.4.1.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScheduleInform {
    /// Seconds from now, at least 1.
    pub delay_seconds: u32,
    /// Comes back in the Inform.
    pub command_key: String,
}

impl ScheduleInform {
    pub(crate) fn parse(xml: &mut Reader<'_>) -> Result<ScheduleInform, Error> {
        let mut rpc = ScheduleInform::default();
        while let Some(child) = xml.child()? {
            match child.name() {
                "DelaySeconds" => rpc.delay_seconds = xml.unsigned()?,
                "CommandKey" => rpc.command_key = xml.string()?,
                _ => xml.skip()?,
            }
        }
        Ok(rpc)
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.unsigned("DelaySeconds", self.delay_seconds);
        out.element("CommandKey", &self.command_key);
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::check;
    use expect_test::expect;

    #[test]
    fn request() {
        check(
            "<cwmp:ScheduleInform><DelaySeconds>60</DelaySeconds><CommandKey>later</CommandKey>\
             </cwmp:ScheduleInform>",
            expect![[r#"
                Request(
                    ScheduleInform(
                        ScheduleInform {
                            delay_seconds: 60,
                            command_key: "later",
                        },
                    ),
                )
                <cwmp:ScheduleInform>
                <DelaySeconds>60</DelaySeconds>
                <CommandKey>later</CommandKey>
                </cwmp:ScheduleInform>
            "#]],
        );
    }

    #[test]
    fn response() {
        check(
            "<cwmp:ScheduleInformResponse/>",
            expect![[r#"
                Response(
                    ScheduleInform,
                )
                <cwmp:ScheduleInformResponse></cwmp:ScheduleInformResponse>
            "#]],
        );
    }
}
