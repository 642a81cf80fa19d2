//! The diagnostics a device can run: always the same result, told by `8 DIAGNOSTICS COMPLETE`.

use super::Cpe;
use crate::UnixTime;

impl Cpe {
    /// Finishes the diagnostic whose DiagnosticsState is at `state`.
    pub(super) fn diagnose(&mut self, state: &str, now: UnixTime) {
        let Some(object) = state.strip_suffix("DiagnosticsState") else {
            return;
        };
        let host = self.get(&format!("{object}Host"), now);
        // `.invalid` (RFC 2606) is how a test makes the name of a host unresolvable.
        if host.is_some_and(|host| host.ends_with(".invalid")) {
            self.tree.set(state, "Error_CannotResolveHostName".into());
            return;
        }
        let tries = self.get(&format!("{object}NumberOfRepetitions"), now);
        let results = [
            ("SuccessCount", tries.unwrap_or_else(|| "3".to_owned())),
            ("FailureCount", "0".to_owned()),
            ("AverageResponseTime", "21".to_owned()),
            ("MinimumResponseTime", "18".to_owned()),
            ("MaximumResponseTime", "27".to_owned()),
            ("ResponseTime", "24".to_owned()),
            ("TestBytesReceived", "1048576".to_owned()),
        ];
        for (name, value) in results {
            let path = format!("{object}{name}");
            if self.tree.parameter(&path).is_some() {
                self.tree.set(&path, value.into());
            }
        }
        self.tree.set(state, "Complete".into());
    }
}
