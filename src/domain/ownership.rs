//! How changes of the ownership of delivery queues are counted.

/// Counts the changes of ownership of one node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OwnershipVersion {
    /// All changes.
    pub generation: u64,
    /// Changes by which queues may have been gained: all queues have to be reported again.
    pub gains: u64,
    /// Ends of the lease: attempts of queues that are not owned are cancelled.
    pub lapses: u64,
}
