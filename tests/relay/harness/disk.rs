//! Disk failures that a test can cause, where it runs as root: a full disk and read-only files.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::tool::skip;

/// A file system of 4 MiB, mounted over a directory. Dropping it unmounts the file system.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Also creates the directory. `None`, with a report of the skipped test, without the permission to mount.
    pub(crate) fn mount(over: &Path) -> Option<Self> {
        std::fs::create_dir_all(over).expect("a directory");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m,mode=0700", "docrelay-test"]).arg(over).output();
        if !mounted.is_ok_and(|output| output.status.success()) {
            skip("mounting a small disk takes root");
            return None;
        }
        Some(Self(over.to_owned()))
    }
}

/// Fills the disk of a directory to the last byte. Returns the file to remove.
pub(crate) fn fill(directory: &Path) -> PathBuf {
    let path = directory.join("filler");
    let mut file = File::create(&path).expect("a file");
    while file.write_all(&[0; 4096]).is_ok() {}
    // The rest of the last page.
    while file.write_all(&[0]).is_ok() {}
    path
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("--lazy").arg(&self.0).output().ok();
    }
}

/// Files that not even root can write to. Dropping it makes them writable again.
pub(crate) struct ReadOnlyFiles(Vec<PathBuf>);

impl ReadOnlyFiles {
    /// `None`, with a report of the skipped test, without the permission to change file attributes.
    pub(crate) fn make(files: &[PathBuf]) -> Option<Self> {
        let changed = Command::new("chattr").arg("+i").args(files).output();
        let guard = Self(files.to_owned());
        if !changed.is_ok_and(|output| output.status.success()) {
            skip("making files immutable takes root");
            return None;
        }
        Some(guard)
    }
}

impl Drop for ReadOnlyFiles {
    fn drop(&mut self) {
        Command::new("chattr").arg("-i").args(&self.0).output().ok();
    }
}
