//! The key that all nodes of a cluster are given: it seals what they share over the broker. Knows neither of them.

use std::path::Path;

use super::files::{self, KeyError};
use super::seal::{KEY_BYTES, Sealer, random_key};
use super::stream_seal::StreamSealer;

/// The key of a cluster. Cheap to clone.
#[derive(Clone)]
pub struct ClusterKey {
    /// Seals single values: entries and records.
    pub values: Sealer,
    /// Seals whole files: snapshots.
    pub streams: StreamSealer,
}

impl ClusterKey {
    /// Reads the file with 64 hexadecimal digits, as [`ClusterKey::generate`] returns them.
    ///
    /// # Errors
    /// A file that does not exist, that other users can access, or that has another content.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let malformed = || KeyError::Malformed {
            path: path.to_owned(),
            expected: "a cluster key of 64 hexadecimal digits",
            hint: ", or write the key of the other nodes into it; docrelay cluster key prints one for a new cluster",
        };
        let text = files::read(path)?.ok_or_else(malformed)?;
        let key = data_encoding::HEXLOWER_PERMISSIVE.decode(text.trim_ascii()).map_err(|_| malformed())?;
        match key.len() {
            KEY_BYTES => Ok(Self { values: Sealer::from_keys(&key, path)?, streams: StreamSealer::new(&key) }),
            _ => Err(malformed()),
        }
    }

    /// A random key in the form of the file.
    ///
    /// # Errors
    /// [`KeyError::Random`].
    pub fn generate() -> Result<String, KeyError> {
        Ok(data_encoding::HEXLOWER.encode(&random_key()?))
    }
}
