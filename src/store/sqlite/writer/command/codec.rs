//! The bytes of entries: packed in one of the formats, compressed, sealed. The first byte is the version of the format;
//! a node refuses an entry of a later version.

use std::sync::Arc;

use bytes::Bytes;

use super::entry::{Entry, PlacedEntry};
use super::entry_format::EntryFormat;
use crate::store::Seal;

/// The fastest level: the entries are small, and the bodies of webhooks compress well at any level.
const COMPRESSION_LEVEL: i32 = 1;

/// Bytes of a decompressed entry at most: protects from a damaged length.
const MAX_ENTRY_BYTES: usize = 64 << 20;

/// Why an entry cannot be read. Its position is unusable for this node.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("entry {0} has a later format: upgrade docrelay on this node")]
    Later(u64),
    #[error(
        "entry {0} was sealed with another key, or is damaged: check that this node has the cluster_key_file of the other nodes"
    )]
    Sealed(u64),
    #[error("entry {0} is damaged ({1})")]
    Damaged(u64, String),
}

impl DecodeError {
    /// Whether the entry may be readable when it is read again: the broker may deliver another replica's copy.
    pub(crate) fn may_be_damage(&self) -> bool {
        match self {
            Self::Later(_) => false,
            Self::Sealed(_) | Self::Damaged(..) => true,
        }
    }
}

/// Encodes and decodes entries.
#[derive(Clone)]
pub(crate) struct Codec {
    pub(crate) seal: Arc<dyn Seal>,
    /// The journal's id: an entry of another journal does not open.
    pub(crate) journal: u64,
    /// Earliest first.
    pub(crate) formats: &'static [EntryFormat],
}

impl Codec {
    /// The bytes of an entry in this version.
    ///
    /// # Errors
    /// The reason as a clause; no entry that this program makes has one.
    pub(crate) fn encode(&self, version: u8, entry: &Entry) -> Result<Bytes, String> {
        let format = self.format(version).ok_or_else(|| format!("there is no entry format {version}"))?;
        let packed = (format.pack)(entry)?;
        let compressed = zstd::bulk::compress(&packed, COMPRESSION_LEVEL).map_err(|error| error.to_string())?;
        let sealed = self.seal.seal(&compressed, self.context().as_bytes());
        Ok([&[version], sealed.as_slice()].concat().into())
    }

    /// The entry of these bytes.
    ///
    /// # Errors
    /// [`DecodeError`] with the position.
    pub(crate) fn decode(&self, position: u64, bytes: &[u8]) -> Result<PlacedEntry, DecodeError> {
        let damaged = |reason: &dyn std::fmt::Display| DecodeError::Damaged(position, reason.to_string());
        let (version, sealed) = bytes.split_first().ok_or_else(|| damaged(&"it is empty"))?;
        let format = self.format(*version).ok_or(DecodeError::Later(position))?;
        let compressed =
            self.seal.open(sealed, self.context().as_bytes()).map_err(|_| DecodeError::Sealed(position))?;
        let packed = zstd::stream::decode_all(compressed.as_slice()).map_err(|error| damaged(&error))?;
        if packed.len() > MAX_ENTRY_BYTES {
            return Err(damaged(&"it is too large"));
        }
        let entry = (format.unpack)(&packed).map_err(|error| damaged(&error))?;
        Ok(PlacedEntry { position, entry })
    }

    fn format(&self, version: u8) -> Option<&'static EntryFormat> {
        self.formats.iter().find(|format| format.version == version)
    }

    fn context(&self) -> String {
        format!("journal/{:x}", self.journal)
    }
}
