//! Why a change of the registry was not made. A panic is a case of its own: only this machine may have caused it.

use crate::store::StoreError;
use crate::store::sqlite::panics::Panicked;

/// Why a change was not made.
#[derive(Debug)]
pub(crate) enum ChangeError {
    Refused(StoreError),
    Panicked(Panicked),
}

impl From<StoreError> for ChangeError {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<Panicked> for ChangeError {
    fn from(panicked: Panicked) -> Self {
        Self::Panicked(panicked)
    }
}

impl From<ChangeError> for StoreError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Refused(error) => error,
            ChangeError::Panicked(panicked) => panicked.into(),
        }
    }
}
