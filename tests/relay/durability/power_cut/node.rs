//! A file and a directory of a disk with a volatile cache. What was flushed survives a power cut. Of the rest, any part
//! may: nothing, the first changes, or single sectors in any order.

use std::collections::BTreeMap;

use fastrand::Rng;

/// What a disk writes as a whole.
const SECTOR_BYTES: usize = 512;

#[derive(Default)]
pub(super) struct File {
    pub(super) flushed: Vec<u8>,
    pub(super) pending: Vec<FileChange>,
}

pub(super) enum FileChange {
    Write { offset: usize, data: Vec<u8> },
    Truncate(usize),
}

#[derive(Default)]
pub(super) struct Directory {
    pub(super) flushed: BTreeMap<String, usize>,
    pub(super) pending: Vec<NameChange>,
}

#[derive(Clone)]
pub(super) enum NameChange {
    Set(String, usize),
    Remove(String),
    Rename(String, String),
}

/// Which unflushed changes of a file or directory survive.
enum Survival {
    None,
    First(usize),
    Scattered,
}

impl Survival {
    fn choose(rng: &mut Rng, changes: usize) -> Self {
        match rng.u8(0..3) {
            0 => Self::None,
            1 => Self::First(rng.usize(0..=changes)),
            _ => Self::Scattered,
        }
    }
}

impl File {
    pub(super) fn cut(&mut self, rng: &mut Rng) {
        let survival = Survival::choose(rng, self.pending.len());
        for (at, change) in self.pending.drain(..).enumerate() {
            match (&survival, &change) {
                (Survival::None, _) => {}
                (Survival::First(count), _) if at >= *count => {}
                (Survival::First(_), _) => change.apply(&mut self.flushed),
                (Survival::Scattered, FileChange::Write { offset, data }) => {
                    write_sectors(&mut self.flushed, *offset, data, rng);
                }
                (Survival::Scattered, FileChange::Truncate(_)) => {
                    if rng.bool() {
                        change.apply(&mut self.flushed);
                    }
                }
            }
        }
    }
}

impl FileChange {
    pub(super) fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { offset, data } => write(content, *offset, data),
            Self::Truncate(size) => content.resize(*size, 0),
        }
    }
}

impl Directory {
    /// As the process sees it.
    pub(super) fn current(&self) -> BTreeMap<String, usize> {
        let mut names = self.flushed.clone();
        self.pending.iter().for_each(|change| change.clone().apply(&mut names));
        names
    }

    /// The first changes survive: file systems keep the order of names by a journal.
    pub(super) fn cut(&mut self, rng: &mut Rng) {
        let count = if rng.bool() { 0 } else { rng.usize(0..=self.pending.len()) };
        for change in self.pending.drain(..).take(count) {
            change.apply(&mut self.flushed);
        }
    }
}

impl NameChange {
    pub(super) fn apply(self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Set(name, node) => {
                names.insert(name, node);
            }
            Self::Remove(name) => {
                names.remove(&name);
            }
            Self::Rename(from, to) => {
                if let Some(node) = names.remove(&from) {
                    names.insert(to, node);
                }
            }
        }
    }
}

fn write(content: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(data);
}

/// Writes each sector with a probability of one half.
fn write_sectors(content: &mut Vec<u8>, offset: usize, data: &[u8], rng: &mut Rng) {
    let mut at = 0;
    while at < data.len() {
        let end = data.len().min(at + SECTOR_BYTES - (offset + at) % SECTOR_BYTES);
        if rng.bool() {
            write(content, offset + at, &data[at..end]);
        }
        at = end;
    }
}
