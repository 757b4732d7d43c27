//! Applies the changes of the registry that are in the journal.

use super::{EntryError, Writer};
use crate::store::StoreError;
use crate::store::sqlite::tables::journal::{self, JournalMark, ProposalKey};
use crate::store::sqlite::writer::change_error::ChangeError;
use crate::store::sqlite::writer::command::ReplySender;
use crate::store::sqlite::writer::command::entry::EntrySeal;
use crate::store::sqlite::writer::command::pending::Waiting;
use crate::store::sqlite::writer::registry_change::RegistryChange;

impl Writer {
    /// Applies the registry change at the front.
    pub(super) fn apply_registry(&mut self, key: ProposalKey, change: RegistryChange) -> Result<(), EntryError> {
        let Some((mark, salt)) = self.front_mark() else { return Ok(()) };
        if journal::is_applied(&self.db, key)? {
            return Ok(self.skip(key, mark)?);
        }
        let seal = EntrySeal { seal: &*self.seal, salt };
        let receiver_change = change.receiver_change();
        let save = |db: &rusqlite::Connection| {
            journal::set_applied(db, key, mark.position)?;
            journal::save(db, mark)
        };
        let changed = match change.apply(&mut self.db, &self.shared.registry, &seal, &save) {
            Err(ChangeError::Panicked(panicked)) => Err(self.check_panic(panicked)?),
            Err(ChangeError::Refused(error)) => Err(error),
            Ok(remaining) => Ok(remaining),
        };
        match changed {
            // An error of this machine.
            Err(error @ StoreError::Unavailable(_)) => Err(EntryError::Store(error)),
            // Refused: the same on every node.
            Err(error) => {
                self.store_position(key, mark)?;
                if let StoreError::Inapplicable(_) = &error {
                    let position = mark.position;
                    tracing::error!(position, %error, "registry change of the journal is refused, as on every node");
                    self.report_refused();
                }
                let reply = self.applied_registry(key, mark);
                self.finish_registry(Err(error), reply);
                Ok(())
            }
            Ok(remaining) => {
                let reply = self.applied_registry(key, mark);
                // The use case that waits tells the worker itself. It may have given up meanwhile, or be another
                // node's.
                if let Some(change) = receiver_change.filter(|_| reply.as_ref().is_none_or(ReplySender::is_closed)) {
                    self.shared.receiver_changes.add(change);
                }
                self.finish_registry(Ok(remaining), reply);
                Ok(())
            }
        }
    }

    /// The sender who waits for the registry change at the front, which is applied.
    fn applied_registry(&mut self, key: ProposalKey, mark: JournalMark) -> Option<ReplySender<()>> {
        match self.applied(key, mark) {
            Some(Waiting::Registry(reply)) => Some(reply),
            _ => None,
        }
    }
}
