//! The signing keys of tokens as all nodes share them. A key that is added to or removed from the directory of one node
//! is added or removed on all. The names of removed keys are kept: a node that was down meanwhile still has their
//! files, and would share them again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::auth::files;

/// Names of removed keys in the record. Beyond it the earliest name is dropped: all nodes have removed its file long
/// since.
const MAX_RETIRED: usize = 1000;

/// The keys in the shared record.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct SigningKeys {
    /// The files in `keys` by name.
    #[serde(rename = "signing_keys")]
    files: BTreeMap<String, String>,
    /// The names of keys that were removed, earliest first. A record of an earlier version has none.
    #[serde(default)]
    retired: Vec<String>,
}

impl SigningKeys {
    /// The keys of a directory.
    pub(super) fn of(directory: &Path) -> anyhow::Result<Self> {
        Ok(Self { files: read_all(directory)?, retired: Vec::new() })
    }

    /// Writes the keys that a directory lacks, and removes those that were retired while its node was down.
    pub(super) fn restore(&self, directory: &Path) -> anyhow::Result<()> {
        for (name, pem) in &self.files {
            add(directory, name, pem)?;
        }
        for name in self.retired.iter().filter(|name| !self.files.contains_key(*name)) {
            check_name(name)?;
            if files::read(&directory.join(name))?.is_some() {
                tracing::warn!(name, "removing a signing key that was retired while this node was down");
                files::remove(&directory.join(name))?;
            }
        }
        Ok(())
    }

    /// Takes over what the record has gained and lost; returns new keys for it if the directory has gained or lost one.
    /// `known` are the names that both had the last time: what is missing now was removed.
    pub(super) fn synchronize(&self, directory: &Path, known: &mut BTreeSet<String>) -> anyhow::Result<Option<Self>> {
        let local = read_all(directory)?;
        let mut changed = self.clone();
        for (name, pem) in &local {
            if self.files.contains_key(name) {
                continue;
            }
            match known.contains(name) || self.retired.contains(name) {
                true => files::remove(&directory.join(name))?,
                false => drop(changed.files.insert(name.clone(), pem.clone())),
            }
        }
        for (name, pem) in &self.files {
            if local.contains_key(name) {
                continue;
            }
            match known.contains(name) {
                true => changed.retire(name),
                false => add(directory, name, pem)?,
            }
        }
        // Without its last key no node could issue tokens.
        if changed.files.is_empty() {
            return Ok(None);
        }
        if changed != *self {
            return Ok(Some(changed));
        }
        *known = read_all(directory)?.into_keys().filter(|name| self.files.contains_key(name)).collect();
        Ok(None)
    }

    fn retire(&mut self, name: &str) {
        self.files.remove(name);
        self.retired.push(name.to_owned());
        let surplus = self.retired.len().saturating_sub(MAX_RETIRED);
        self.retired.drain(..surplus);
    }
}

/// Adds a signing key unless the directory has it.
fn add(directory: &Path, name: &str, pem: &str) -> anyhow::Result<()> {
    check_name(name)?;
    if files::read(&directory.join(name))?.is_none() {
        files::create(&directory.join(name), pem.as_bytes())?;
    }
    Ok(())
}

fn check_name(name: &str) -> anyhow::Result<()> {
    let is_name = name.ends_with(".pem") && !name.contains('/') && !name.starts_with('.');
    anyhow::ensure!(is_name, "the cluster's record of keys is damaged");
    Ok(())
}

/// The signing keys of a directory by file name.
fn read_all(directory: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let mut keys = BTreeMap::new();
    for entry in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".pem")
            && !name.starts_with('.')
            && let Some(text) = read_text(&directory.join(&name))?
        {
            keys.insert(name, text);
        }
    }
    Ok(keys)
}

/// A secret file that is text.
pub(super) fn read_text(path: &Path) -> anyhow::Result<Option<String>> {
    let content = files::read(path)?;
    content.map(|bytes| String::from_utf8(bytes).with_context(|| format!("{} is not text", path.display()))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(names: &[&str]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a directory");
        names.iter().for_each(|name| add(directory.path(), name, name).expect("a key"));
        directory
    }

    fn names(directory: &tempfile::TempDir) -> Vec<String> {
        read_all(directory.path()).expect("the keys").into_keys().collect()
    }

    /// The keys of a cluster after one node has retired `1.pem`.
    fn after_retirement() -> SigningKeys {
        let node = directory(&["1.pem", "2.pem"]);
        let keys = SigningKeys::of(node.path()).expect("the keys");
        let mut known = BTreeSet::new();
        assert!(keys.synchronize(node.path(), &mut known).expect("readable").is_none());
        files::remove(&node.path().join("1.pem")).expect("a key");
        keys.synchronize(node.path(), &mut known).expect("readable").expect("a change")
    }

    #[test]
    fn key_retired_while_a_node_was_down_does_not_come_back() {
        let keys = after_retirement();
        let restarted = directory(&["1.pem", "2.pem"]);
        assert!(keys.synchronize(restarted.path(), &mut BTreeSet::new()).expect("readable").is_none());
        assert_eq!(names(&restarted), ["2.pem"]);
        let restarted = directory(&["1.pem", "2.pem"]);
        keys.restore(restarted.path()).expect("restored");
        assert_eq!(names(&restarted), ["2.pem"], "before the node serves");
    }

    #[test]
    fn key_added_while_a_node_was_down_is_shared() {
        let keys = after_retirement();
        let restarted = directory(&["2.pem", "3.pem"]);
        keys.restore(restarted.path()).expect("restored");
        let changed = keys.synchronize(restarted.path(), &mut BTreeSet::new()).expect("readable").expect("a change");
        assert!(changed.files.contains_key("3.pem") && changed.retired == ["1.pem"]);
    }

    #[test]
    fn names_of_retired_keys_are_bounded() {
        let mut keys = SigningKeys::default();
        (0..MAX_RETIRED + 5).for_each(|number| keys.retire(&format!("{number}.pem")));
        assert_eq!((keys.retired.len(), keys.retired[0].as_str()), (MAX_RETIRED, "5.pem"));
    }
}
