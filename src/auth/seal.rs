//! Encryption of what the store holds with secrets in it: clients, hooks, notifications, callbacks. The key is in a file of
//! its own, so a copy of the database alone reveals no secret.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::files::{self, KeyError};

/// First byte of a sealed value; identifies the cipher.
const VERSION: u8 = 1;

/// AES-256-GCM with the key of one file. Cheap to clone.
///
/// Nonces are random (96 bits), which is safe for 2³² values per key.
#[derive(Clone)]
pub struct Sealer {
    key: Arc<LessSafeKey>,
}

impl Sealer {
    /// Reads the key of 32 bytes, or creates one if the file does not exist.
    ///
    /// # Errors
    /// A file that other users can access, that has another length, or that cannot be read or written.
    pub fn open_or_create(path: &Path) -> Result<Self, KeyError> {
        let bytes = files::read_or_create(path, || {
            let mut fresh = vec![0; 32];
            getrandom::fill(&mut fresh).map_err(KeyError::Random)?;
            Ok(fresh)
        })?;
        let key = UnboundKey::new(&AES_256_GCM, &bytes).map(LessSafeKey::new).map_err(|_| KeyError::Malformed {
            path: path.to_owned(),
            expected: "a sealing key of 32 bytes",
            hint: ", because no other key opens the secrets in the database",
        })?;
        Ok(Self { key: Arc::new(key) })
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
            self.key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), &mut body);
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
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| KeyError::InvalidSeal)?;
        let mut body = body.to_vec();
        let plain =
            self.key.open_in_place(nonce, Aad::from(context), &mut body).map_err(|_| KeyError::InvalidSeal)?.len();
        body.truncate(plain);
        Ok(body)
    }
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
        for length in [0, 31, 33] {
            let path = home.path().join(format!("{length}.key"));
            assert!(files::create(&path, &vec![7; length]).expect("made"));
            let said = Sealer::open_or_create(&path).expect_err("refused").to_string();
            assert!(said.contains(&format!("{length}.key")) && said.contains("32 bytes"), "{said}");
        }
    }
}
