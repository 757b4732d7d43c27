//! The versions in which the nodes of a cluster must agree while they are upgraded one by one. Plain numbers: what they
//! stand for is known to the store.

use serde::{Deserialize, Serialize};

use crate::journal::JournalError;

/// What a node's program reads. It reads every earlier version, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeFormats {
    /// The latest format of entries.
    pub entry_format: u8,
    /// The latest schema version of the database, in which the node stores its own.
    pub schema: u32,
}

impl NodeFormats {
    /// Why a node with this program cannot be in a cluster whose members propose entries in this format.
    pub(super) fn outdated(&self, format: u8) -> JournalError {
        let known = self.entry_format;
        JournalError::Unreadable(format!(
            "the cluster uses format {format} for its entries, and this version of docrelay reads up to {known}: upgrade \
             docrelay on this node"
        ))
    }
}

/// The format of entries before records named one.
pub(super) const FIRST_ENTRY_FORMAT: u8 = 1;

/// The schema version of the first program with clusters.
const FIRST_SCHEMA: u32 = 4;

/// The formats of a node whose record does not name them.
impl Default for NodeFormats {
    fn default() -> Self {
        Self { entry_format: FIRST_ENTRY_FORMAT, schema: FIRST_SCHEMA }
    }
}
