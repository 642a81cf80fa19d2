//! CancelTransfer (TR-069 A.4.1.9): a Download, ScheduleDownload or Upload that was asked for is
//! not wanted any more. Its argument is the CommandKey of that.

#[cfg(test)]
mod tests {
    use crate::testing::check;
    use expect_test::expect;

    #[test]
    fn request() {
        check(
            "<cwmp:CancelTransfer><CommandKey>t-1</CommandKey></cwmp:CancelTransfer>",
            expect![[r#"
                Request(
                    CancelTransfer(
                        "t-1",
                    ),
                )
                <cwmp:CancelTransfer>
                <CommandKey>t-1</CommandKey>
                </cwmp:CancelTransfer>
            "#]],
        );
    }

    #[test]
    fn response() {
        check(
            "<cwmp:CancelTransferResponse/>",
            expect![[r#"
            Response(
                CancelTransfer,
            )
            <cwmp:CancelTransferResponse></cwmp:CancelTransferResponse>
        "#]],
        );
    }
}
