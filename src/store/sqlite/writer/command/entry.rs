//! Entries of the journal and their bytes: MessagePack with the names of the fields, compressed, sealed. The first byte is the
//! version of the format; a node refuses an entry of a later version.

use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::BatchCommand;
use crate::store::sqlite::tables::journal::ProposalKey;
use crate::store::sqlite::writer::registry_change::RegistryChange;
use crate::store::sqlite::writer::slice::Slice;
use crate::store::{Retention, Seal};

/// The version of the format.
const VERSION: u8 = 1;

/// The fastest level: the entries are small, and the bodies of webhooks compress well at any level.
const COMPRESSION_LEVEL: i32 = 1;

/// Bytes of a decompressed entry at most: protects from a damaged length.
const MAX_ENTRY_BYTES: usize = 64 << 20;

/// One entry: commands that are applied in one transaction, on every node with the same result. It holds everything that
/// the result depends on besides the database.
#[derive(Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Who has proposed it.
    #[serde(with = "key")]
    pub(crate) key: ProposalKey,
    /// Random: the nonces of sealed values are derived from it.
    pub(crate) salt: [u8; 32],
    pub(crate) body: EntryBody,
}

/// What an entry does.
#[derive(Serialize, Deserialize)]
pub(crate) enum EntryBody {
    /// Commands that share a transaction.
    Batch {
        commands: Vec<BatchCommand>,
        /// The bounds of rejects, which an insert enforces. `None` if the entry adds none.
        bounds: Option<Box<Retention>>,
    },
    /// A change of the registry.
    Registry(Box<RegistryChange>),
    /// A slice of background work.
    Slice(Box<SliceEntry>),
}

/// A slice, with everything that it depends on.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SliceEntry {
    pub(crate) slice: Slice,
    pub(crate) bounds: Retention,
    /// The budget: rows, about.
    pub(crate) work: usize,
    /// The revision of the lease of the leader that has proposed it; 0 if a caller waits for it, whoever leads. A slice of an
    /// earlier leader does nothing.
    pub(crate) fence: u64,
}

/// An entry with its position in the journal.
pub(crate) struct PlacedEntry {
    pub(crate) position: u64,
    pub(crate) entry: Entry,
}

/// Why an entry cannot be read. Its position is unusable for this node.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("entry {0} has a later format: upgrade docrelay on this node")]
    Later(u64),
    #[error("entry {0} was sealed with another key: use the cluster_key_file of the other nodes")]
    Sealed(u64),
    #[error("entry {0} is damaged ({1})")]
    Damaged(u64, String),
}

/// Encodes and decodes entries.
#[derive(Clone)]
pub(crate) struct Codec {
    pub(crate) seal: Arc<dyn Seal>,
    /// The journal's id: an entry of another journal does not open.
    pub(crate) journal: u64,
}

impl Codec {
    /// The bytes of an entry.
    ///
    /// # Errors
    /// The reason as a clause; no entry that this program makes has one.
    pub(crate) fn encode(&self, entry: &Entry) -> Result<Bytes, String> {
        let packed = rmp_serde::to_vec_named(entry).map_err(|error| error.to_string())?;
        let compressed = zstd::bulk::compress(&packed, COMPRESSION_LEVEL).map_err(|error| error.to_string())?;
        let sealed = self.seal.seal(&compressed, self.context().as_bytes());
        Ok([&[VERSION], sealed.as_slice()].concat().into())
    }

    /// The entry of these bytes.
    ///
    /// # Errors
    /// [`DecodeError`] with the position.
    pub(crate) fn decode(&self, position: u64, bytes: &[u8]) -> Result<PlacedEntry, DecodeError> {
        let damaged = |reason: &dyn std::fmt::Display| DecodeError::Damaged(position, reason.to_string());
        let (version, sealed) = bytes.split_first().ok_or_else(|| damaged(&"it is empty"))?;
        if *version != VERSION {
            return Err(DecodeError::Later(position));
        }
        let compressed =
            self.seal.open(sealed, self.context().as_bytes()).map_err(|_| DecodeError::Sealed(position))?;
        let packed = zstd::stream::decode_all(compressed.as_slice()).map_err(|error| damaged(&error))?;
        if packed.len() > MAX_ENTRY_BYTES {
            return Err(damaged(&"it is too large"));
        }
        let entry = rmp_serde::from_slice(&packed).map_err(|error| damaged(&error))?;
        Ok(PlacedEntry { position, entry })
    }

    fn context(&self) -> String {
        format!("journal/{:x}", self.journal)
    }
}

/// Seals values with nonces that are derived from an entry: all nodes store the same bytes.
pub(crate) struct EntrySeal<'a> {
    pub(crate) seal: &'a dyn Seal,
    pub(crate) salt: [u8; 32],
}

impl Seal for EntrySeal<'_> {
    fn seal(&self, text: &[u8], context: &[u8]) -> Vec<u8> {
        let mut digest = Context::new(&SHA256);
        digest.update(&self.salt);
        digest.update(&(context.len() as u64).to_be_bytes());
        digest.update(context);
        digest.update(text);
        let mut nonce = [0; 12];
        nonce.copy_from_slice(&digest.finish().as_ref()[..12]);
        self.seal.seal_with_nonce(text, context, nonce)
    }

    fn seal_with_nonce(&self, text: &[u8], context: &[u8], nonce: [u8; 12]) -> Vec<u8> {
        self.seal.seal_with_nonce(text, context, nonce)
    }

    fn open(&self, sealed: &[u8], context: &[u8]) -> Result<Vec<u8>, String> {
        self.seal.open(sealed, context)
    }
}

/// A [`ProposalKey`] as a pair of numbers.
mod key {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::ProposalKey;

    pub(super) fn serialize<S: Serializer>(key: &ProposalKey, s: S) -> Result<S::Ok, S::Error> {
        (key.proposer, key.counter).serialize(s)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<ProposalKey, D::Error> {
        let (proposer, counter) = Deserialize::deserialize(d)?;
        Ok(ProposalKey { proposer, counter })
    }
}
