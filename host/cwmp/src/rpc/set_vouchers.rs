//! SetVouchers (TR-069 A.4.1.3, deprecated): signed permissions for options of the device.

use crate::Error;
use crate::write::Writer;
use crate::xml::Reader;

/// The vouchers, each in base64.
pub(crate) fn parse(xml: &mut Reader<'_>) -> Result<Vec<String>, Error> {
    let mut vouchers = Vec::new();
    while let Some(child) = xml.child()? {
        match child.name() {
            "VoucherList" => vouchers = xml.list(Reader::name)?,
            _ => xml.skip()?,
        }
    }
    Ok(vouchers)
}

pub(crate) fn write(vouchers: &[String], out: &mut Writer) {
    out.list(
        "VoucherList",
        "soap-enc:base64",
        vouchers,
        |out, voucher| {
            out.element("base64", voucher);
        },
    );
}

#[cfg(test)]
mod tests {
    use crate::testing::check;
    use expect_test::expect;

    #[test]
    fn request() {
        check(
            "<cwmp:SetVouchers><VoucherList soap-enc:arrayType='soap-enc:base64[1]'>\
             <soap-enc:base64>\nAAECAw==\n</soap-enc:base64></VoucherList></cwmp:SetVouchers>",
            expect![[r#"
                Request(
                    SetVouchers(
                        [
                            "AAECAw==",
                        ],
                    ),
                )
                <cwmp:SetVouchers>
                <VoucherList soap-enc:arrayType="soap-enc:base64[1]">
                <base64>AAECAw==</base64>
                </VoucherList>
                </cwmp:SetVouchers>
            "#]],
        );
    }

    #[test]
    fn response() {
        check(
            "<cwmp:SetVouchersResponse/>",
            expect![[r#"
            Response(
                SetVouchers,
            )
            <cwmp:SetVouchersResponse></cwmp:SetVouchersResponse>
        "#]],
        );
    }
}
