//! `[webhooks]`: where events may be sent.

use serde::{Deserialize, Serialize};

use super::Network;

/// `[webhooks]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Webhooks {
    /// Networks that events may go to although they are not public: those of your own systems.
    pub allow: Vec<Network>,
}
