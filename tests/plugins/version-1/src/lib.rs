//! Release 1 of the plugin `version`: see `../version.rs`.

const VERSION: &str = "1.0.0";
const TAG: &str = "v1";

include!("../../version.rs");
