//! The formats of entries: how each is packed. A program packs and unpacks all formats up to its latest one, and the
//! cluster chooses one that all live nodes read (`crate::cluster`).

use super::entry::Entry;

/// One format.
#[derive(Clone, Copy)]
pub(crate) struct EntryFormat {
    /// The first byte of its entries; grows from format to format.
    pub(crate) version: u8,
    pub(crate) pack: fn(&Entry) -> Result<Vec<u8>, String>,
    pub(crate) unpack: fn(&[u8]) -> Result<Entry, String>,
}

/// MessagePack with the names of the fields.
const NAMED: EntryFormat = EntryFormat {
    version: 1,
    pack: |entry| rmp_serde::to_vec_named(entry).map_err(|error| error.to_string()),
    unpack: |packed| rmp_serde::from_slice(packed).map_err(|error| error.to_string()),
};

/// The formats of this program, earliest first. No release has had another one.
pub(crate) const ENTRY_FORMATS: &[EntryFormat] = &[NAMED];
