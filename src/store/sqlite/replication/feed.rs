//! Passes the entries of the journal to the writer, in order.

use std::sync::Arc;

use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::journal::{EntryRef, Journal, JournalEntry, JournalError};
use crate::store::sqlite::writer::command::WriterCommand;
use crate::store::sqlite::writer::command::codec::{Codec, DecodeError};

/// Entries that are passed on at once: what has arrived while the writer was busy shares a transaction.
const ENTRIES_AT_ONCE: usize = 32;

/// See the module's documentation.
pub(super) struct Feed {
    pub(super) journal: Arc<dyn Journal>,
    pub(super) codec: Codec,
    /// The proposer has found that the journal has lost entries.
    pub(super) lost_end: CancellationToken,
}

/// How the entries of one consumer end.
enum ConsumerEnd {
    /// The store is closed.
    Closed,
    Unreadable(DecodeError),
}

impl Feed {
    /// Passes on the entries after `last` until the store is closed. An entry that cannot be read is read once more.
    ///
    /// # Errors
    /// The journal no longer holds the entries after `last`, or holds one that this node cannot read.
    pub(super) async fn run(self, mut last: EntryRef, writer: mpsc::Sender<WriterCommand>) -> Result<(), JournalError> {
        let mut reread_after = None;
        loop {
            let error = match self.pass_on(&mut last, &writer).await? {
                ConsumerEnd::Closed => return Ok(()),
                ConsumerEnd::Unreadable(error) => error,
            };
            if !error.may_be_damage() || reread_after == Some(last.position) {
                return Err(JournalError::Unreadable(error.to_string()));
            }
            tracing::warn!(%error, "cannot read an entry of the journal; reading it once more");
            reread_after = Some(last.position);
        }
    }

    /// Passes on the entries of a new consumer. `last` is then the last one that could be read.
    async fn pass_on(
        &self,
        last: &mut EntryRef,
        writer: &mpsc::Sender<WriterCommand>,
    ) -> Result<ConsumerEnd, JournalError> {
        let mut entries = self.journal.entries(last.clone()).ready_chunks(ENTRIES_AT_ONCE);
        loop {
            let chunk = tokio::select! {
                biased;
                () = self.lost_end.cancelled() => return Err(JournalError::Replaced),
                () = writer.closed() => return Ok(ConsumerEnd::Closed),
                chunk = entries.next() => chunk,
            };
            let Some(chunk) = chunk else { return Err(JournalError::Replaced) };
            let mut decoded = Vec::with_capacity(chunk.len());
            let mut unreadable = None;
            for entry in chunk {
                let JournalEntry { position, id, payload } = entry?;
                match self.codec.decode(position, &payload) {
                    Ok(placed) => decoded.push(placed),
                    Err(error) => {
                        unreadable = Some(error);
                        break;
                    }
                }
                *last = EntryRef { position, id };
            }
            if !decoded.is_empty() && writer.send(WriterCommand::Apply(decoded)).await.is_err() {
                return Ok(ConsumerEnd::Closed);
            }
            if let Some(error) = unreadable {
                return Ok(ConsumerEnd::Unreadable(error));
            }
        }
    }
}
