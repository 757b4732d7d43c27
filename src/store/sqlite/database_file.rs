//! The database file as a file: opened for its owner only, and its write-ahead log flushed.

pub(super) mod lock;
pub(super) mod run_marker;

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Flushes the write-ahead log. A process that was killed between a commit and its flush leaves a commit that SQLite
/// recovers, although only the cache of the kernel holds it. Its events are streamed and their duplicates acknowledged,
/// without a commit that would flush them.
pub(super) fn flush_wal(path: &Path) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    // SQLite holds no lock on this file, so it may be closed.
    match File::open(name) {
        Ok(wal) => wal.sync_all()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    File::open(path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")))?.sync_all()
}

/// Opens or creates a file that only its owner can read. SQLite gives the files beside it the same permissions.
pub(super) fn open_private(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}
