//! Applies a comparison mark: it changes nothing but the position. The digest is computed of exactly what is committed
//! then.

use super::Writer;
use crate::store::sqlite::tables::journal::{self, ProposalKey};

impl Writer {
    /// Applies the mark at the front. One of an earlier leader begins no comparison.
    pub(super) fn apply_comparison(&mut self, key: ProposalKey, fence: u64) -> rusqlite::Result<()> {
        let Some((mut mark, _)) = self.front_mark() else { return Ok(()) };
        if journal::is_applied(&self.db, key)? {
            return self.skip(key, mark);
        }
        let is_fenced = fence < mark.fence;
        mark.fence = mark.fence.max(fence);
        self.store_position(key, mark)?;
        if let Some(replication) = self.replication.as_mut().filter(|_| !is_fenced) {
            replication.digests.begin(mark.position, key.proposer == replication.proposer);
        }
        self.applied(key, mark);
        Ok(())
    }
}
