//! FactoryReset (TR-069 A.4.1.6): a name without arguments, in both directions.

#[cfg(test)]
mod tests {
    use crate::testing::check;
    use expect_test::expect;

    #[test]
    fn request() {
        check(
            "<cwmp:FactoryReset></cwmp:FactoryReset>",
            expect![[r#"
                Request(
                    FactoryReset,
                )
                <cwmp:FactoryReset></cwmp:FactoryReset>
            "#]],
        );
    }

    #[test]
    fn response() {
        check(
            "<cwmp:FactoryResetResponse/>",
            expect![[r#"
                Response(
                    FactoryReset,
                )
                <cwmp:FactoryResetResponse></cwmp:FactoryResetResponse>
            "#]],
        );
    }
}
