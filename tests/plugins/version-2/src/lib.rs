//! Release 2 of the plugin `version`: see `../version.rs`.

const VERSION: &str = "2.0.0";
const TAG: &str = "v2";

include!("../../version.rs");
