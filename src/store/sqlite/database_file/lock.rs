//! The lock of a database: one process uses it at a time.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use super::open_private;
use crate::store::sqlite::OpenError;

/// The right to use a database file, until it is dropped: a lock of a file beside it. SQLite holds its own locks only
/// during transactions.
pub struct DatabaseLock {
    pub(in crate::store::sqlite) file: File,
    pub(in crate::store::sqlite) path: PathBuf,
}

impl DatabaseLock {
    /// Locks the database with this path.
    ///
    /// # Errors
    /// [`OpenError::Locked`], or [`OpenError::Unusable`] if the file system fails.
    pub fn acquire(path: &Path) -> Result<Self, OpenError> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let file = open_private(&PathBuf::from(name)).map_err(|e| OpenError::unusable(path, e))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file, path: path.to_owned() }),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(OpenError::unusable(path, error)),
        }
    }
}
