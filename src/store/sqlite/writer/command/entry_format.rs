//! The formats of entries: how each is packed, and what it cannot express. A program packs and unpacks all formats up to its
//! latest one, and the cluster chooses one that all live nodes read (`crate::cluster`).

use super::BatchCommand;
use super::entry::Entry;
use crate::store::sqlite::retention::excess::ExcessSlice;
use crate::store::sqlite::writer::bulk_update::BulkUpdate;
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

/// The formats of this program, earliest first.
pub(crate) const ENTRY_FORMATS: &[EntryFormat] = &[
    EntryFormat {
        lacks: |content| match content {
            EntryContent::Registry(RegistryChange::SetLimits { .. }) => Some("change of a client's limits"),
            content => passes_over_clients(content),
        },
        ..NAMED
    },
    EntryFormat { version: 2, lacks: passes_over_clients, ..NAMED },
    EntryFormat { version: 3, lacks: bounds_of_other_rows, ..NAMED },
    EntryFormat { version: 4, ..NAMED },
];

/// Before format 3 the slices of these passes listed all clients that were left, and grew with their number.
fn passes_over_clients(content: EntryContent<'_>) -> Option<&'static str> {
    match content {
        EntryContent::Slice(Slice::Prune(_) | Slice::Bulk(BulkUpdate::Expire(_))) => Some("pruning with a cursor"),
        content => bounds_of_other_rows(content),
    }
}

/// Before format 4 only events were removed between two passes of pruning.
fn bounds_of_other_rows(content: EntryContent<'_>) -> Option<&'static str> {
    match content {
        EntryContent::Slice(Slice::Excess(ExcessSlice::Deliveries(_) | ExcessSlice::Documents { .. })) => {
            Some("removal of deliveries and documents between two passes of pruning")
        }
        _ => None,
    }
}
