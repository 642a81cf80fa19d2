//! Reboot (TR-069 A.3.2.9).

use crate::Error;
use crate::xml::Reader;

/// The CommandKey.
pub(crate) fn parse(xml: &mut Reader<'_>) -> Result<String, Error> {
    let mut command_key = String::new();
    while let Some(child) = xml.child()? {
        match child.name() {
            "CommandKey" => command_key = xml.string()?,
            _ => xml.skip()?,
        }
    }
    Ok(command_key)
}

#[cfg(test)]
mod tests {
    use crate::testing::check;
    use expect_test::expect;

    #[test]
    fn request() {
        check(
            "<cwmp:Reboot><CommandKey>r-1</CommandKey></cwmp:Reboot>",
            expect![[r#"
                Request(
                    Reboot(
                        "r-1",
                    ),
                )
                <cwmp:Reboot>
                <CommandKey>r-1</CommandKey>
                </cwmp:Reboot>
            "#]],
        );
    }

    #[test]
    fn response() {
        check(
            "<cwmp:RebootResponse></cwmp:RebootResponse>",
            expect![[r#"
                Response(
                    Reboot,
                )
                <cwmp:RebootResponse></cwmp:RebootResponse>
            "#]],
        );
    }
}
