//! Passes the entries of the journal to the writer, in order.

use std::sync::Arc;

use futures::StreamExt;
use tokio::sync::mpsc;

use crate::journal::{Journal, JournalError};
use crate::store::sqlite::writer::command::WriterCommand;
use crate::store::sqlite::writer::command::codec::Codec;

/// Entries that are passed on at once: what has arrived while the writer was busy shares a transaction.
const ENTRIES_AT_ONCE: usize = 32;

/// Runs until the store is closed.
///
/// # Errors
/// The journal no longer holds the entries after the position, or holds one that this node cannot read.
pub(super) async fn run(
    journal: Arc<dyn Journal>,
    codec: Codec,
    position: u64,
    writer: mpsc::Sender<WriterCommand>,
) -> Result<(), JournalError> {
    let mut entries = journal.entries(position).ready_chunks(ENTRIES_AT_ONCE);
    loop {
        let chunk = tokio::select! {
            chunk = entries.next() => chunk,
            () = writer.closed() => return Ok(()),
        };
        let Some(chunk) = chunk else { return Err(JournalError::Replaced) };
        let mut decoded = Vec::with_capacity(chunk.len());
        for entry in chunk {
            let entry = entry?;
            let placed = codec.decode(entry.position, &entry.payload);
            decoded.push(placed.map_err(|error| JournalError::Unreadable(error.to_string()))?);
        }
        if writer.send(WriterCommand::Apply(decoded)).await.is_err() {
            return Ok(());
        }
    }
}
