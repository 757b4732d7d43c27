//! Encryption of what the store holds with secrets in it: clients, hooks, notifications, callbacks. The key is in a
//! file of its own, so a copy of the database alone reveals no secret.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::files::{self, KeyError};

/// First byte of a sealed value; identifies the cipher.
const VERSION: u8 = 1;

/// Bytes of a key.
pub(super) const KEY_BYTES: usize = 32;

/// AES-256-GCM with the keys of one file: the present one, and during a rotation the one before. Cheap to clone.
///
/// Nonces are random (96 bits), which is safe for 2³² values per key.
#[derive(Clone)]
pub struct Sealer {
    /// The present key first.
    keys: Arc<[LessSafeKey]>,
}

/// How a rotation has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotationStart {
    /// The file has a new key now.
    New,
    /// An interrupted rotation had added the present key.
    Resumed,
}

impl Sealer {
    /// Reads the keys of 32 bytes each, or creates one if the file does not exist.
    ///
    /// # Errors
    /// A file that other users can access, that has another length, or that cannot be read or written.
    pub fn open_or_create(path: &Path) -> Result<Self, KeyError> {
        Self::from_keys(&files::read_or_create(path, || random_key().map(Vec::from))?, path)
    }

    pub(super) fn from_keys(bytes: &[u8], path: &Path) -> Result<Self, KeyError> {
        let (keys, rest) = bytes.as_chunks::<KEY_BYTES>();
        let keys = keys.iter().map(|key| UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new));
        match keys.collect::<Result<Vec<_>, _>>() {
            Ok(keys) if matches!(keys.len(), 1 | 2) && rest.is_empty() => Ok(Self { keys: keys.into() }),
            _ => Err(KeyError::Malformed {
                path: path.to_owned(),
                expected: "a sealing key of 32 bytes, or two of them during a rotation",
                hint: ", because no other key opens the secrets in the database",
            }),
        }
    }

    /// Whether the file has the key before the present one, too: a rotation was not completed.
    pub fn is_rotating(&self) -> bool {
        self.keys.len() > 1
    }

    /// The first step of a rotation: puts a new key before the present one in the file. The result seals with the new
    /// key and opens values of both. Then every value must be sealed again, before [`Sealer::finish_rotation`] drops
    /// the old key. If a rotation was interrupted, it is continued. No other process may use the file.
    ///
    /// # Errors
    /// As in [`Sealer::open_or_create`].
    pub fn begin_rotation(path: &Path) -> Result<(Self, RotationStart), KeyError> {
        let old = files::read_or_create(path, || random_key().map(Vec::from))?;
        let present = Self::from_keys(&old, path)?;
        if present.is_rotating() {
            return Ok((present, RotationStart::Resumed));
        }
        let both = [&random_key()?[..], &old].concat();
        files::replace(path, &both)?;
        Ok((Self::from_keys(&both, path)?, RotationStart::New))
    }

    /// The last step of a rotation: drops the old key from the file. What is sealed with it cannot be opened any more.
    ///
    /// # Errors
    /// As in [`Sealer::open_or_create`].
    pub fn finish_rotation(path: &Path) -> Result<(), KeyError> {
        let keys = files::read_or_create(path, || random_key().map(Vec::from))?;
        if Self::from_keys(&keys, path)?.is_rotating() {
            files::replace(path, &keys[..KEY_BYTES])?;
        }
        Ok(())
    }

    /// Encrypts `plain`. `context` (such as the id of the row) is authenticated, so a sealed value cannot be moved to
    /// another row. The result is 29 bytes longer: version, nonce, tag.
    pub fn seal(&self, plain: &[u8], context: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        match getrandom::fill(&mut nonce) {
            Ok(()) => self.seal_with_nonce(plain, context, nonce),
            // A value sealed with a predictable nonce could reveal others; the program was started with random keys.
            Err(error) => unreachable!("the system's random source failed: {error}"),
        }
    }

    /// As [`Sealer::seal`], with a given nonce. It must not be used for two different values.
    pub fn seal_with_nonce(&self, plain: &[u8], context: &[u8], nonce: [u8; NONCE_LEN]) -> Vec<u8> {
        let mut body = plain.to_vec();
        let sealed =
            self.keys[0].seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), &mut body);
        match sealed {
            Ok(()) => [&[VERSION], nonce.as_slice(), &body].concat(),
            // AES-GCM fails only above 64 GiB.
            Err(_) => unreachable!("AES-256-GCM sealed {} bytes and failed", plain.len()),
        }
    }

    /// Decrypts a result of [`Sealer::seal`].
    ///
    /// # Errors
    /// [`KeyError::InvalidSeal`] if the value, the context or the key differs.
    pub fn open(&self, sealed: &[u8], context: &[u8]) -> Result<Vec<u8>, KeyError> {
        let (version, rest) = sealed.split_first().ok_or(KeyError::InvalidSeal)?;
        let (nonce, body) = rest.split_at_checked(NONCE_LEN).ok_or(KeyError::InvalidSeal)?;
        if *version != VERSION {
            return Err(KeyError::InvalidSeal);
        }
        self.keys.iter().find_map(|key| open_with(key, nonce, body, context)).ok_or(KeyError::InvalidSeal)
    }
}

fn open_with(key: &LessSafeKey, nonce: &[u8], body: &[u8], context: &[u8]) -> Option<Vec<u8>> {
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut body = body.to_vec();
    let plain = key.open_in_place(nonce, Aad::from(context), &mut body).ok()?.len();
    body.truncate(plain);
    Some(body)
}

pub(super) fn random_key() -> Result<[u8; KEY_BYTES], KeyError> {
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(KeyError::Random)?;
    Ok(key)
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer() -> (tempfile::TempDir, Sealer) {
        let home = tempfile::tempdir().expect("a directory");
        let sealer = Sealer::open_or_create(&home.path().join("seal.key")).expect("a key");
        (home, sealer)
    }

    #[test]
    fn sealed_value_opens_after_a_restart() {
        let (home, sealer) = sealer();
        let sealed = sealer.seal(b"whsec_secret", b"hook/1");
        let again = Sealer::open_or_create(&home.path().join("seal.key")).expect("the same key");
        assert_eq!(again.open(&sealed, b"hook/1").expect("opened"), b"whsec_secret");
        assert_eq!(sealer.open(&sealer.seal(b"", b""), b"").expect("opened"), b"");
    }

    #[test]
    fn sealed_values_of_one_secret_differ_and_hide_it() {
        let (_home, sealer) = sealer();
        let (one, two) = (sealer.seal(b"secret", b"c"), sealer.seal(b"secret", b"c"));
        assert_ne!(one, two);
        assert_eq!(one.len(), 6 + 29);
        assert!(!one.windows(6).any(|w| w == b"secret"));
    }

    #[test]
    fn changed_moved_or_truncated_value_does_not_open() {
        let (_home, ours) = sealer();
        let sealed = ours.seal(b"secret", b"hook/1");
        assert!(ours.open(&sealed, b"hook/2").is_err(), "moved");
        for at in 0..sealed.len() {
            let mut touched = sealed.clone();
            touched[at] ^= 1;
            assert!(ours.open(&touched, b"hook/1").is_err(), "touched at {at}");
            assert!(ours.open(&sealed[..at], b"hook/1").is_err(), "cut at {at}");
        }
        let (_other_home, other) = sealer();
        assert!(other.open(&sealed, b"hook/1").is_err(), "another key");
    }

    #[test]
    fn key_file_of_wrong_length_is_rejected_by_name() {
        let home = tempfile::tempdir().expect("a directory");
        for length in [0, 31, 33, 63, 65, 96] {
            let path = home.path().join(format!("{length}.key"));
            assert!(files::create(&path, &vec![7; length]).expect("made"));
            let said = Sealer::open_or_create(&path).expect_err("refused").to_string();
            assert!(said.contains(&format!("{length}.key")) && said.contains("32 bytes"), "{said}");
        }
    }

    #[test]
    fn rotation_opens_old_values_until_it_is_finished() {
        let (home, old) = sealer();
        let path = home.path().join("seal.key");
        let before = old.seal(b"secret", b"hook/1");
        let (rotating, start) = Sealer::begin_rotation(&path).expect("begun");
        assert_eq!((start, rotating.is_rotating()), (RotationStart::New, true));
        let after = rotating.seal(b"secret", b"hook/1");
        assert!(old.open(&after, b"hook/1").is_err(), "the new key seals");
        // The process is killed, and the rotation is continued with the same key.
        let (resumed, start) = Sealer::begin_rotation(&path).expect("begun again");
        assert_eq!(start, RotationStart::Resumed);
        for sealer in [&rotating, &resumed, &Sealer::open_or_create(&path).expect("a start between the steps")] {
            for value in [&before, &after] {
                assert_eq!(sealer.open(value, b"hook/1").expect("opened"), b"secret");
            }
        }
        for _ in 0..2 {
            Sealer::finish_rotation(&path).expect("finished");
        }
        let new = Sealer::open_or_create(&path).expect("a start after it");
        assert!(!new.is_rotating() && new.open(&before, b"hook/1").is_err());
        assert_eq!(new.open(&after, b"hook/1").expect("opened"), b"secret");
    }
}
