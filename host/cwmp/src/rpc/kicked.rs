//! Kicked (TR-069 A.4.2.1, deprecated): a user's browser was sent to the device, which asks where
//! to send it next.

use crate::Error;
use crate::write::Writer;
use crate::xml::Reader;

/// Kicked (A.4.2.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kicked {
    /// What the page asked for.
    pub command: String,
    /// The page.
    pub referer: String,
    /// What else it said.
    pub arg: String,
    /// Where to send the browser, unless the ACS knows better.
    pub next: String,
}

impl Kicked {
    pub(crate) fn parse(xml: &mut Reader<'_>) -> Result<Kicked, Error> {
        let mut rpc = Kicked::default();
        while let Some(child) = xml.child()? {
            match child.name() {
                "Command" => rpc.command = xml.string()?,
                "Referer" => rpc.referer = xml.string()?,
                "Arg" => rpc.arg = xml.string()?,
                "Next" => rpc.next = xml.string()?,
                _ => xml.skip()?,
            }
        }
        Ok(rpc)
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.element("Command", &self.command);
        out.element("Referer", &self.referer);
        out.element("Arg", &self.arg);
        out.element("Next", &self.next);
    }
}

/// The NextURL.
pub(crate) fn parse_response(xml: &mut Reader<'_>) -> Result<String, Error> {
    let mut next = String::new();
    while let Some(child) = xml.child()? {
        match child.name() {
            "NextURL" => next = xml.string()?,
            _ => xml.skip()?,
        }
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use crate::testing::check;
    use expect_test::expect;

    #[test]
    fn request() {
        check(
            "<cwmp:Kicked><Command>activate</Command><Referer>http://portal.example/</Referer>\
             <Arg>plan=3</Arg><Next>http://portal.example/done?a=1&amp;b=2</Next></cwmp:Kicked>",
            expect![[r#"
                Request(
                    Kicked(
                        Kicked {
                            command: "activate",
                            referer: "http://portal.example/",
                            arg: "plan=3",
                            next: "http://portal.example/done?a=1&b=2",
                        },
                    ),
                )
                <cwmp:Kicked>
                <Command>activate</Command>
                <Referer>http://portal.example/</Referer>
                <Arg>plan=3</Arg>
                <Next>http://portal.example/done?a=1&amp;b=2</Next>
                </cwmp:Kicked>
            "#]],
        );
    }

    #[test]
    fn response() {
        check(
            "<cwmp:KickedResponse><NextURL>http://portal.example/done</NextURL></cwmp:KickedResponse>",
            expect![[r#"
                Response(
                    Kicked(
                        "http://portal.example/done",
                    ),
                )
                <cwmp:KickedResponse>
                <NextURL>http://portal.example/done</NextURL>
                </cwmp:KickedResponse>
            "#]],
        );
    }
}
