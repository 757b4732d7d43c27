//! Entries of the journal: what they hold. Their bytes are made by `codec`.

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use super::BatchCommand;
use crate::store::sqlite::tables::journal::ProposalKey;
use crate::store::sqlite::writer::registry_change::RegistryChange;
use crate::store::sqlite::writer::slice::Slice;
use crate::store::{Retention, Seal};

/// One entry: commands that are applied in one transaction, on every node with the same result. It holds everything
/// that the result depends on besides the database.
#[derive(Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The proposal that this entry was.
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
    /// A comparison mark: changes nothing; every node computes the digest of its contents after the entries up to here.
    Comparison {
        /// As in [`SliceEntry`], always that of a leader.
        fence: u64,
    },
}

/// A slice, with everything that it depends on.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SliceEntry {
    pub(crate) slice: Slice,
    pub(crate) bounds: Retention,
    /// The budget: rows, about.
    pub(crate) work: usize,
    /// The revision of the lease of the leader that has proposed it; 0 for an update that a caller has begun, which any
    /// node may propose. A slice of an earlier leader does nothing.
    pub(crate) fence: u64,
}

/// An entry with its position in the journal.
pub(crate) struct PlacedEntry {
    pub(crate) position: u64,
    pub(crate) entry: Entry,
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
