//! The disk below a relay: builds the library of `preload.c`, hands it to the relay, and replaces the relay's files by
//! what survives a power cut.

use std::ffi::OsString;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use fastrand::Rng;
use tempfile::TempDir;

use super::DATABASE;
use super::journal::{self, Change};
use super::storage::Storage;
use crate::harness::preload::PreloadLibrary;

/// The index of the write-ahead log, which is mapped into memory.
const MAPPED_FILE: &str = "docrelay.db-shm";

/// Offsets in `struct control`, and its size.
const COUNTED: usize = 8;
const IGNORED: usize = 64;
const CONTROL_BYTES: usize = 128;

/// What a power cut has met.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Losses {
    /// Whether the database file had unflushed writes.
    pub(super) unflushed_database: bool,
    /// Writes, truncations and names that were not flushed.
    pub(super) unflushed_changes: usize,
}

/// A disk that records every change below one directory.
pub(super) struct Disk {
    root: PathBuf,
    /// Record and control of the library.
    directory: TempDir,
    storage: Storage,
    control: [u8; CONTROL_BYTES],
    pub(super) rng: Rng,
}

impl Disk {
    /// `root` must be empty.
    #[track_caller]
    pub(super) fn new(root: PathBuf, seed: u64) -> Self {
        let directory = tempfile::Builder::new().prefix("power-cut-").tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        let disk = Self {
            root,
            directory: directory.expect("a directory for the record"),
            storage: Storage::new(),
            control: [0; CONTROL_BYTES],
            rng: Rng::with_seed(seed),
        };
        std::fs::write(disk.journal(), "").expect("the record");
        std::fs::write(disk.control_file(), disk.control).expect("the control file");
        disk
    }

    fn journal(&self) -> PathBuf {
        self.directory.path().join("journal")
    }

    fn control_file(&self) -> PathBuf {
        self.directory.path().join("control")
    }

    /// What a process needs to write to this disk.
    pub(super) fn environment(&self) -> Vec<(String, OsString)> {
        let variable = |name: &str, value: PathBuf| (name.to_owned(), value.into_os_string());
        vec![
            variable("LD_PRELOAD", library().to_owned()),
            variable("POWER_CUT_ROOT", self.root.clone()),
            variable("POWER_CUT_JOURNAL", self.journal()),
            variable("POWER_CUT_CONTROL", self.control_file()),
        ]
    }

    /// Kills the process with its next `count`th change of a file or name, or flush.
    #[track_caller]
    pub(super) fn kill_after_changes(&mut self, count: usize) {
        self.kill_after(count, "");
    }

    /// Kills the process with its next `count`th write to the file of this name.
    #[track_caller]
    pub(super) fn kill_after_writes(&mut self, count: usize, name: &str) {
        self.kill_after(count, name);
    }

    fn kill_after(&mut self, count: usize, name: &str) {
        self.set_name(COUNTED, name);
        // The count comes last: it arms the library.
        self.write_control(&i64::try_from(count).expect("a count").to_ne_bytes());
    }

    /// Ignores flushes of the file of this name, or all with `*`.
    #[track_caller]
    pub(super) fn ignore_flushes(&mut self, name: &str) {
        self.set_name(IGNORED, name);
    }

    fn set_name(&mut self, at: usize, name: &str) {
        let mut field = [0; IGNORED - COUNTED];
        field[..name.len()].copy_from_slice(name.as_bytes());
        self.control[at..at + field.len()].copy_from_slice(&field);
        self.write_at(&field, at);
    }

    fn write_control(&self, count: &[u8]) {
        self.write_at(count, 0);
    }

    /// Changes the control in place: the process has mapped it.
    fn write_at(&self, bytes: &[u8], at: usize) {
        let file = std::fs::OpenOptions::new().write(true).open(self.control_file()).expect("the control file");
        file.write_all_at(bytes, at as u64).expect("the control file");
    }

    /// How often a file of this name was flushed since the last cut.
    #[track_caller]
    pub(super) fn flushes(&self, name: &str) -> usize {
        let mut of_name = std::collections::HashSet::new();
        let mut flushes = 0;
        for change in self.read_journal() {
            match change {
                Change::Open { inode, path, .. } if path.ends_with(name) => {
                    of_name.insert(inode);
                }
                Change::Flush { inode } if of_name.contains(&inode) => flushes += 1,
                _ => {}
            }
        }
        flushes
    }

    fn read_journal(&self) -> Vec<Change> {
        journal::parse(&std::fs::read(self.journal()).expect("the record"))
    }

    /// Asserts that the record contains every change of the process, which must have ended by itself.
    #[track_caller]
    pub(super) fn assert_recorded(&mut self) {
        self.take_changes();
        self.storage.assert_current(&self.root, MAPPED_FILE);
    }

    fn take_changes(&mut self) {
        self.storage.apply(self.read_journal());
        std::fs::write(self.journal(), "").expect("the record");
    }

    /// Cuts the power of a process that has ended: replaces its files by those that survive.
    #[track_caller]
    pub(super) fn cut_power(&mut self) -> Losses {
        self.kill_after_changes(0);
        self.take_changes();
        let unflushed_database = self.storage.is_unflushed("data/docrelay.db");
        let unflushed_changes = self.storage.cut(&mut self.rng);
        let data = self.root.join("data");
        let mapped = std::fs::read(data.join(MAPPED_FILE)).ok();
        // A file keeps its inode over a power cut. By it, the relay tells its database from a copy.
        let (database, inode) = (data.join(DATABASE), self.root.join("kept-inode"));
        let has_database = std::fs::rename(&database, &inode).is_ok();
        if data.exists() {
            std::fs::remove_dir_all(&data).expect("removed");
        }
        self.storage.write_to(&self.root);
        match std::fs::read(&database) {
            Ok(content) if has_database => {
                std::fs::write(&inode, content).expect("written");
                std::fs::rename(&inode, &database).expect("renamed");
            }
            _ if has_database => std::fs::remove_file(&inode).expect("removed"),
            _ => {}
        }
        // The kernel writes pages of a memory map at any time.
        let kept = data.join(MAPPED_FILE);
        if let Some(mapped) = mapped.filter(|_| kept.exists() && self.rng.bool()) {
            std::fs::write(kept, mapped).expect("written");
        }
        Losses { unflushed_database, unflushed_changes }
    }
}

/// The library, built once for each run of the tests.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PreloadLibrary> = OnceLock::new();
    &LIBRARY.get_or_init(|| PreloadLibrary::build("tests/relay/durability/power_cut/preload.c")).path
}
