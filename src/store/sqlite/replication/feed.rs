//! Passes the entries of the journal to the writer, in order.

use std::sync::Arc;

use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::journal::{EntryRef, Journal, JournalError};
use crate::store::sqlite::writer::command::WriterCommand;
use crate::store::sqlite::writer::command::codec::Codec;

/// Entries that are passed on at once: what has arrived while the writer was busy shares a transaction.
const ENTRIES_AT_ONCE: usize = 32;

/// See the module's documentation.
pub(super) struct Feed {
    pub(super) journal: Arc<dyn Journal>,
    pub(super) codec: Codec,
    /// The proposer has found that the journal has lost entries.
    pub(super) lost_end: CancellationToken,
}

impl Feed {
    /// Passes on the entries after `last` until the store is closed.
    ///
    /// # Errors
    /// The journal no longer holds the entries after `last`, or holds one that this node cannot read.
    pub(super) async fn run(self, last: EntryRef, writer: mpsc::Sender<WriterCommand>) -> Result<(), JournalError> {
        let mut entries = self.journal.entries(last).ready_chunks(ENTRIES_AT_ONCE);
        loop {
            let chunk = tokio::select! {
                biased;
                () = self.lost_end.cancelled() => return Err(JournalError::Replaced),
                () = writer.closed() => return Ok(()),
                chunk = entries.next() => chunk,
            };
            let Some(chunk) = chunk else { return Err(JournalError::Replaced) };
            let mut decoded = Vec::with_capacity(chunk.len());
            for entry in chunk {
                let entry = entry?;
                let placed = self.codec.decode(entry.position, &entry.payload);
                decoded.push(placed.map_err(|error| JournalError::Unreadable(error.to_string()))?);
            }
            if writer.send(WriterCommand::Apply(decoded)).await.is_err() {
                return Ok(());
            }
        }
    }
}
