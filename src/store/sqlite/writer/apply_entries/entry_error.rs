//! Why an entry of the journal could not be applied yet. A panic is a case of its own: the entry itself may have caused
//! it.

use crate::store::StoreError;
use crate::store::sqlite::panics::Panicked;
use crate::store::sqlite::tables::columns;
use crate::store::sqlite::tables::write_tx::TxError;

/// Why an entry was not applied. It waits as before.
#[derive(Debug, thiserror::Error)]
pub(in crate::store::sqlite) enum EntryError {
    #[error(transparent)]
    Panicked(#[from] Panicked),
    /// An error of this machine.
    #[error(transparent)]
    Store(StoreError),
}

impl From<rusqlite::Error> for EntryError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(columns::unavailable(&error))
    }
}

impl From<TxError> for EntryError {
    fn from(error: TxError) -> Self {
        match error {
            TxError::Sql(error) => error.into(),
            TxError::Panicked(panicked) => panicked.into(),
        }
    }
}

impl From<EntryError> for StoreError {
    fn from(error: EntryError) -> Self {
        match error {
            EntryError::Panicked(panicked) => panicked.into(),
            EntryError::Store(error) => error,
        }
    }
}
