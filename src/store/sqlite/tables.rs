//! The tables: each module holds the rows of one kind and the statements that read and write them. Knows nothing of
//! threads, commands and the registry in memory.

pub(super) mod columns;
pub(super) mod deliveries;
pub(super) mod destinations;
pub(super) mod document_events;
pub(super) mod document_fifo;
pub(super) mod documents;
pub(super) mod due_deliveries;
pub(super) mod events;
pub(super) mod identity;
pub(super) mod journal;
pub(super) mod registry;
pub(super) mod rejects;
pub(super) mod schema;
pub(super) mod write_tx;
