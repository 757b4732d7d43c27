//! The formats of entries: how each is packed, and what it cannot express. A program packs and unpacks all formats up to its
//! latest one, and the cluster chooses one that all live nodes read (`crate::cluster`).

use super::BatchCommand;
use super::entry::Entry;
use crate::store::sqlite::writer::registry_change::RegistryChange;
use crate::store::sqlite::writer::slice::Slice;

/// One format.
#[derive(Clone, Copy)]
pub(crate) struct EntryFormat {
    /// The first byte of its entries; grows from format to format.
    pub(crate) version: u8,
    /// What this content needs that the format lacks, as a noun. A later format that adds something names it here, in the
    /// earlier ones.
    pub(crate) lacks: fn(EntryContent<'_>) -> Option<&'static str>,
    pub(crate) pack: fn(&Entry) -> Result<Vec<u8>, String>,
    pub(crate) unpack: fn(&[u8]) -> Result<Entry, String>,
}

/// Something that an entry carries.
#[derive(Clone, Copy)]
#[allow(dead_code, reason = "no format lacks a command yet")]
pub(crate) enum EntryContent<'a> {
    Command(&'a BatchCommand),
    Registry(&'a RegistryChange),
    Slice(&'a Slice),
}

/// MessagePack with the names of the fields.
const NAMED: EntryFormat = EntryFormat {
    version: 1,
    lacks: |_| None,
    pack: |entry| rmp_serde::to_vec_named(entry).map_err(|error| error.to_string()),
    unpack: |packed| rmp_serde::from_slice(packed).map_err(|error| error.to_string()),
};

/// The formats of this program, earliest first. No release has had another one.
pub(crate) const ENTRY_FORMATS: &[EntryFormat] = &[NAMED];
