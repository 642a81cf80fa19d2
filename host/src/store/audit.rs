//! The two series the store itself keeps: `audit/` (promises) and `traces/` (readings).

use std::sync::Arc;

use crate::device::UnixTime;

use super::commit::Work;
use super::segments::Segments;
use super::{Store, StoreError};

impl Store {
    /// Appends to the audit log (`audit/`): durable on return, with the group commit.
    ///
    /// # Errors
    /// When it cannot be made durable.
    pub async fn audit(&self, at: UnixTime, record: &[u8]) -> Result<u64, StoreError> {
        let core = self.core();
        let place = core.committer.reserve().await?;
        let number = core.audit.append(at, record)?;
        place
            .submit(Work::Segments(Arc::clone(&core.audit)), None)
            .done()
            .await?;
        Ok(number)
    }

    /// The audit log, to read it. To append, use [`Store::audit`].
    pub fn audit_log(&self) -> &Segments {
        &self.core().audit
    }

    /// The traces of sessions (`traces/`): readings.
    pub fn traces(&self) -> &Segments {
        &self.core().traces
    }
}
