//! GetOptions (TR-069 A.4.1.4, deprecated): which options vouchers have given the device. Its
//! argument is the name of one; empty = all.

use crate::write::Writer;
use crate::xml::Reader;
use crate::{DateTime, Error};

/// OptionStruct.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VoucherOption {
    /// Its name.
    pub name: String,
    /// The serial number of its voucher.
    pub voucher: u32,
    /// 0 and 2 disabled, 1 and 3 enabled; 0 and 1 not set up, 2 and 3 set up.
    pub state: u32,
    /// 0 disabled, 1 enabled until it expires, 2 enabled for ever.
    pub mode: i32,
    /// From when on.
    pub start_date: DateTime,
    /// Until when, if it expires.
    pub expiration_date: Option<DateTime>,
    /// Whether the voucher is for another device of the same owner too.
    pub is_transferable: bool,
}

pub(crate) fn parse(xml: &mut Reader<'_>) -> Result<String, Error> {
    let mut name = String::new();
    while let Some(child) = xml.child()? {
        match child.name() {
            "OptionName" => name = xml.name()?,
            _ => xml.skip()?,
        }
    }
    Ok(name)
}

pub(crate) fn parse_response(xml: &mut Reader<'_>) -> Result<Vec<VoucherOption>, Error> {
    let mut options = Vec::new();
    while let Some(child) = xml.child()? {
        match child.name() {
            "OptionList" => options = xml.list(VoucherOption::parse)?,
            _ => xml.skip()?,
        }
    }
    Ok(options)
}

pub(crate) fn write_response(options: &[VoucherOption], out: &mut Writer) {
    out.list("OptionList", "cwmp:OptionStruct", options, |out, option| {
        option.write(out);
    });
}

impl VoucherOption {
    fn parse(xml: &mut Reader<'_>) -> Result<VoucherOption, Error> {
        let mut option = VoucherOption::default();
        while let Some(child) = xml.child()? {
            match child.name() {
                "OptionName" => option.name = xml.name()?,
                "VoucherSN" => option.voucher = xml.unsigned()?,
                "State" => option.state = xml.unsigned()?,
                "Mode" => option.mode = xml.int()?,
                "StartDate" => option.start_date = xml.date_time()?,
                "ExpirationDate" => option.expiration_date = Some(xml.date_time()?),
                "IsTransferable" => option.is_transferable = xml.boolean()?,
                _ => xml.skip()?,
            }
        }
        Ok(option)
    }

    fn write(&self, out: &mut Writer) {
        out.open("OptionStruct");
        out.element("OptionName", &self.name);
        out.unsigned("VoucherSN", self.voucher);
        out.unsigned("State", self.state);
        out.element("Mode", &self.mode.to_string());
        out.date_time("StartDate", &self.start_date);
        if let Some(date) = &self.expiration_date {
            out.date_time("ExpirationDate", date);
        }
        out.boolean("IsTransferable", self.is_transferable);
        out.close("OptionStruct");
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::check;
    use expect_test::expect;

    #[test]
    fn request() {
        check(
            "<cwmp:GetOptions><OptionName> firewall </OptionName></cwmp:GetOptions>",
            expect![[r#"
                Request(
                    GetOptions(
                        "firewall",
                    ),
                )
                <cwmp:GetOptions>
                <OptionName>firewall</OptionName>
                </cwmp:GetOptions>
            "#]],
        );
    }

    #[test]
    fn response() {
        check(
            "<cwmp:GetOptionsResponse><OptionList soap-enc:arrayType='cwmp:OptionStruct[2]'>\
             <OptionStruct><OptionName>firewall</OptionName><VoucherSN>17</VoucherSN><State>3</State>\
             <Mode>1</Mode><StartDate>2024-03-01T00:00:00Z</StartDate>\
             <ExpirationDate>2025-03-01T00:00:00Z</ExpirationDate><IsTransferable>1</IsTransferable>\
             </OptionStruct><OptionStruct><OptionName>voice</OptionName><Mode>-</Mode></OptionStruct>\
             </OptionList></cwmp:GetOptionsResponse>",
            expect![[r#"
                Response(
                    GetOptions(
                        [
                            VoucherOption {
                                name: "firewall",
                                voucher: 17,
                                state: 3,
                                mode: 1,
                                start_date: DateTime(
                                    "2024-03-01T00:00:00Z",
                                ),
                                expiration_date: Some(
                                    DateTime(
                                        "2025-03-01T00:00:00Z",
                                    ),
                                ),
                                is_transferable: true,
                            },
                            VoucherOption {
                                name: "voice",
                                voucher: 0,
                                state: 0,
                                mode: 0,
                                start_date: DateTime(
                                    "",
                                ),
                                expiration_date: None,
                                is_transferable: false,
                            },
                        ],
                    ),
                )
                <cwmp:GetOptionsResponse>
                <OptionList soap-enc:arrayType="cwmp:OptionStruct[2]">
                <OptionStruct>
                <OptionName>firewall</OptionName>
                <VoucherSN>17</VoucherSN>
                <State>3</State>
                <Mode>1</Mode>
                <StartDate>2024-03-01T00:00:00Z</StartDate>
                <ExpirationDate>2025-03-01T00:00:00Z</ExpirationDate>
                <IsTransferable>1</IsTransferable>
                </OptionStruct>
                <OptionStruct>
                <OptionName>voice</OptionName>
                <VoucherSN>0</VoucherSN>
                <State>0</State>
                <Mode>0</Mode>
                <StartDate>0001-01-01T00:00:00Z</StartDate>
                <IsTransferable>0</IsTransferable>
                </OptionStruct>
                </OptionList>
                </cwmp:GetOptionsResponse>
            "#]],
        );
    }
}
