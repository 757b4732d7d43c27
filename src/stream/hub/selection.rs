//! What a follower selects: the events that it receives, and the keys of each event.

use std::collections::HashSet;

use crate::domain::{DocumentId, Status};

/// The keys of an event that a follower receives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fields {
    /// All keys.
    #[default]
    All,
    /// Gini's `documentId` and `status` only.
    Gini,
}

/// The events that a follower receives. An empty set lets nothing through.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// `None` lets all documents through.
    pub documents: Option<HashSet<DocumentId>>,
    /// `None` lets all statuses through.
    pub statuses: Option<Vec<Status>>,
}

impl Filter {
    /// Whether the filter lets everything through.
    pub fn is_open(&self) -> bool {
        self.documents.is_none() && self.statuses.is_none()
    }

    /// Whether the filter lets an event with this document and status through.
    pub fn matches(&self, document: DocumentId, status: Status) -> bool {
        self.documents.as_ref().is_none_or(|wanted| wanted.contains(&document))
            && self.statuses.as_ref().is_none_or(|wanted| wanted.contains(&status))
    }
}
