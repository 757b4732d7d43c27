//! A disk with a volatile cache: derives from the changes of a process which bytes and names survive a power cut.
//!
//! It is harsher than most file systems: a flush of a file does not make its name durable. Its directory must be
//! flushed, too, and the parents of a new directory.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use fastrand::Rng;

use super::journal::Change;
use super::node::{Directory, File, FileChange, NameChange};

/// Files and directories of a disk. The root is always durable.
pub(super) struct Storage {
    /// The first one is the root.
    nodes: Vec<Node>,
    /// The nodes that the process has opened.
    inodes: HashMap<u64, usize>,
}

enum Node {
    File(File),
    Directory(Directory),
}

impl Storage {
    pub(super) fn new() -> Self {
        Self { nodes: vec![Node::Directory(Directory::default())], inodes: HashMap::new() }
    }

    /// Applies the changes to the cache, and the flushes to the disk.
    #[track_caller]
    pub(super) fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.apply_one(change);
        }
    }

    #[track_caller]
    fn apply_one(&mut self, change: Change) {
        match change {
            Change::Open { inode, path, created } => {
                let node = if created { self.add(&path, Node::File(File::default())) } else { self.find(&path) };
                self.inodes.insert(inode, node);
            }
            Change::Write { inode, offset, data } => self.file(inode).pending.push(FileChange::Write { offset, data }),
            Change::Truncate { inode, size } => self.file(inode).pending.push(FileChange::Truncate(size)),
            Change::Flush { inode } => match &mut self.nodes[self.inodes[&inode]] {
                Node::File(file) => file.pending.drain(..).for_each(|change| change.apply(&mut file.flushed)),
                Node::Directory(directory) => {
                    directory.pending.drain(..).for_each(|change| change.apply(&mut directory.flushed));
                }
            },
            Change::MakeDirectory { path } => {
                self.add(&path, Node::Directory(Directory::default()));
            }
            Change::Remove { path } => {
                let (directory, name) = self.parent(&path);
                directory.pending.push(NameChange::Remove(name));
            }
            Change::Rename { from, to } => {
                let (_, to_name) = self.parent(&to);
                assert_eq!(split(&from).0, split(&to).0, "a rename between directories is not supported");
                let (directory, name) = self.parent(&from);
                directory.pending.push(NameChange::Rename(name, to_name));
            }
            Change::Link { from, to } => {
                let node = self.find(&from);
                let (directory, name) = self.parent(&to);
                directory.pending.push(NameChange::Set(name, node));
            }
        }
    }

    /// Adds a node under a path whose directory exists.
    #[track_caller]
    fn add(&mut self, path: &str, node: Node) -> usize {
        let number = self.nodes.len();
        self.nodes.push(node);
        let (directory, name) = self.parent(path);
        directory.pending.push(NameChange::Set(name, number));
        number
    }

    #[track_caller]
    fn file(&mut self, inode: u64) -> &mut File {
        match &mut self.nodes[self.inodes[&inode]] {
            Node::File(file) => file,
            Node::Directory(_) => panic!("a write to a directory"),
        }
    }

    /// The directory of a path and its last part.
    #[track_caller]
    fn parent(&mut self, path: &str) -> (&mut Directory, String) {
        let (directory, name) = split(path);
        let number = self.find(directory);
        match &mut self.nodes[number] {
            Node::Directory(directory) => (directory, name.to_owned()),
            Node::File(_) => panic!("{path} is below a file"),
        }
    }

    /// The node that the process sees under a path.
    #[track_caller]
    fn find(&self, path: &str) -> usize {
        path.split('/').filter(|part| *part != ".").fold(0, |node, part| {
            let found = match &self.nodes[node] {
                Node::Directory(directory) => directory.current().get(part).copied(),
                Node::File(_) => None,
            };
            found.unwrap_or_else(|| panic!("{path} does not exist"))
        })
    }

    /// Whether the file under this path has unflushed writes.
    pub(super) fn is_unflushed(&self, path: &str) -> bool {
        let node = path.split('/').try_fold(0, |node, part| match &self.nodes[node] {
            Node::Directory(directory) => directory.current().get(part).copied(),
            Node::File(_) => None,
        });
        node.is_some_and(|node| matches!(&self.nodes[node], Node::File(file) if !file.pending.is_empty()))
    }

    /// Cuts the power: what survives becomes the content of the disk. Returns the number of unflushed changes.
    pub(super) fn cut(&mut self, rng: &mut Rng) -> usize {
        let mut unflushed = 0;
        for node in &mut self.nodes {
            match node {
                Node::File(file) => {
                    unflushed += file.pending.len();
                    file.cut(rng);
                }
                Node::Directory(directory) => {
                    unflushed += directory.pending.len();
                    directory.cut(rng);
                }
            }
        }
        self.inodes.clear();
        self.discard_unreachable();
        unflushed
    }

    /// Drops the content of nodes without a name. Their numbers stay.
    fn discard_unreachable(&mut self) {
        let mut reachable = vec![false; self.nodes.len()];
        let mut open = vec![0];
        while let Some(number) = open.pop() {
            reachable[number] = true;
            if let Node::Directory(directory) = &self.nodes[number] {
                open.extend(directory.flushed.values());
            }
        }
        for (node, _) in self.nodes.iter_mut().zip(reachable).filter(|(_, reachable)| !reachable) {
            *node = Node::File(File::default());
        }
    }

    /// Writes the content of the disk to a directory, which must be empty.
    #[track_caller]
    pub(super) fn write_to(&self, directory: &Path) {
        self.write_node(0, directory);
    }

    fn write_node(&self, number: usize, path: &Path) {
        match &self.nodes[number] {
            Node::File(file) => write_private(path, &file.flushed),
            Node::Directory(directory) => {
                if number != 0 {
                    use std::os::unix::fs::DirBuilderExt;
                    std::fs::DirBuilder::new().mode(0o700).create(path).expect("a new directory");
                }
                for (name, child) in &directory.flushed {
                    self.write_node(*child, &path.join(name));
                }
            }
        }
    }

    /// Asserts that the process sees the files of this directory: then no change is missing in its record. Files whose
    /// name ends with `except` are not compared.
    #[track_caller]
    pub(super) fn assert_current(&self, directory: &Path, except: &str) {
        self.assert_node_current(0, directory, except);
    }

    #[track_caller]
    fn assert_node_current(&self, number: usize, path: &Path, except: &str) {
        match &self.nodes[number] {
            Node::File(_) if path.to_string_lossy().ends_with(except) => {}
            Node::File(file) => {
                let mut content = file.flushed.clone();
                file.pending.iter().for_each(|change| change.apply(&mut content));
                assert!(std::fs::read(path).expect("a file") == content, "{} differs from the record", path.display());
            }
            Node::Directory(directory) => {
                let names =
                    std::fs::read_dir(path).expect("a directory").map(|entry| entry.expect("a name").file_name());
                let mut names: Vec<String> = names.map(|name| name.into_string().expect("UTF-8")).collect();
                names.sort();
                let current = directory.current();
                assert_eq!(names, current.keys().cloned().collect::<Vec<_>>(), "{}", path.display());
                for (name, child) in &current {
                    self.assert_node_current(*child, &path.join(name), except);
                }
            }
        }
    }
}

/// Directory and name; `.` is the root.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or((".", path))
}

fn write_private(path: &Path, content: &[u8]) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(content)).expect("a new file");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(inode: u64, path: &str, created: bool) -> Change {
        Change::Open { inode, path: path.into(), created }
    }

    fn write(inode: u64, offset: usize, data: &[u8]) -> Change {
        Change::Write { inode, offset, data: data.to_vec() }
    }

    /// The files of a disk after a power cut.
    fn after_cut(storage: &mut Storage, seed: u64) -> BTreeMap<String, Vec<u8>> {
        storage.cut(&mut Rng::with_seed(seed));
        let home = tempfile::tempdir().expect("a directory");
        storage.write_to(home.path());
        let files = std::fs::read_dir(home.path()).expect("a directory").map(|entry| entry.expect("a file"));
        files
            .map(|file| (file.file_name().into_string().expect("UTF-8"), std::fs::read(file.path()).expect("a file")))
            .collect()
    }

    #[test]
    fn flushed_bytes_and_names_survive_every_cut() {
        for seed in 0..50 {
            let mut storage = Storage::new();
            storage.apply(vec![open(1, "a", true), write(1, 0, b"flushed"), Change::Flush { inode: 1 }]);
            storage.apply(vec![open(2, ".", false), Change::Flush { inode: 2 }, write(1, 7, &[b'x'; 2_000])]);
            let files = after_cut(&mut storage, seed);
            assert!(files["a"].starts_with(b"flushed"), "seed {seed}");
        }
    }

    #[test]
    fn unflushed_bytes_survive_not_at_all_in_order_or_scattered() {
        let (mut none, mut prefix, mut holes, mut nameless) = (0, 0, 0, 0);
        for seed in 0..200 {
            let mut storage = Storage::new();
            storage.apply(vec![open(1, "a", true), write(1, 0, &[b'x'; 4_096]), write(1, 4_096, &[b'y'; 4_096])]);
            match after_cut(&mut storage, seed).get("a") {
                None => nameless += 1,
                Some(content) if content.is_empty() => none += 1,
                Some(content) if content.contains(&0) => holes += 1,
                Some(content) => prefix += usize::from(content.len() == 4_096),
            }
        }
        assert!(none > 0 && prefix > 0 && holes > 0 && nameless > 0, "{none} {prefix} {holes} {nameless}");
    }

    #[test]
    fn flushed_file_in_unflushed_directory_can_be_lost() {
        let lost = (0..50).any(|seed| {
            let mut storage = Storage::new();
            let made = Change::MakeDirectory { path: "d".into() };
            storage.apply(vec![made, open(1, "d/a", true), write(1, 0, b"x"), Change::Flush { inode: 1 }]);
            storage.apply(vec![open(2, "d", false), Change::Flush { inode: 2 }]);
            storage.cut(&mut Rng::with_seed(seed));
            let home = tempfile::tempdir().expect("a directory");
            storage.write_to(home.path());
            !home.path().join("d").exists()
        });
        assert!(lost);
    }
}
