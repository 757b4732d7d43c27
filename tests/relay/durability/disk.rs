//! Disk failures that a test can cause, where it runs as root: a full disk and read-only files.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::tool::skip;

/// A file system of 4 MiB, mounted over a directory. Dropping it unmounts the file system.
pub(super) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, with a report of the skipped test, without the permission to mount.
    pub(super) fn mount(over: &Path) -> Option<Self> {
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m,mode=0700", "docrelay-test"]).arg(over).output();
        if !mounted.is_ok_and(|output| output.status.success()) {
            skip("mounting a small disk takes root");
            return None;
        }
        Some(Self(over.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("--lazy").arg(&self.0).output().ok();
    }
}

/// Files that not even root can write to. Dropping it makes them writable again.
pub(super) struct ReadOnlyFiles(Vec<PathBuf>);

impl ReadOnlyFiles {
    /// `None`, with a report of the skipped test, without the permission to change file attributes.
    pub(super) fn make(files: &[PathBuf]) -> Option<Self> {
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
