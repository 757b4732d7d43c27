//! Sealing: what the store keeps of a secret (hook keys, verification secrets, client secrets) is encrypted with a key
//! that lies in a file of its own, so that a copy of the database alone betrays none of them.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};

use super::files::{self, KeyError};

/// What a sealed value begins with, so that another cipher can be told apart one day.
const VERSION: u8 = 1;

/// AES-256-GCM under the key of one file. Cheap to clone.
///
/// Nonces are random (96 bits): good for 2³² values per key, which is more secrets than a relay will ever keep.
#[derive(Clone)]
pub struct Sealer {
    key: Arc<RandomizedNonceKey>,
}

impl Sealer {
    /// Reads the key of 32 bytes, or makes one when there is no such file.
    ///
    /// Fails when the file is open to other users, has another length, or cannot be read or written.
    pub fn open_or_create(path: &Path) -> Result<Self, KeyError> {
        let bytes = files::read_or_create(path, || {
            let mut fresh = vec![0; 32];
            getrandom::fill(&mut fresh).map_err(KeyError::Random)?;
            Ok(fresh)
        })?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(|_| KeyError::Malformed {
            path: path.to_owned(),
            expected: "a sealing key of 32 bytes",
            otherwise: ", because the secrets in the database open with no other",
        })?;
        Ok(Self { key: Arc::new(key) })
    }

    /// Encrypts `plain`. It opens again only with the same `context` (such as the name of its row), so that a sealed
    /// value cannot be moved to another place. The result is 29 bytes longer: version, nonce, tag.
    pub fn seal(&self, plain: &[u8], context: &[u8]) -> Vec<u8> {
        let mut body = plain.to_vec();
        match self.key.seal_in_place_append_tag(Aad::from(context), &mut body) {
            Ok(nonce) => [&[VERSION], nonce.as_ref().as_slice(), &body].concat(),
            // AES-GCM refuses only texts beyond 64 GiB, and AWS-LC ends the process itself without random bytes.
            Err(_) => unreachable!("AES-256-GCM sealed {} bytes and failed", plain.len()),
        }
    }

    /// Decrypts what [`Sealer::seal`] returned for the same context; anything else is [`KeyError::Unsealed`].
    pub fn open(&self, sealed: &[u8], context: &[u8]) -> Result<Vec<u8>, KeyError> {
        let (version, rest) = sealed.split_first().ok_or(KeyError::Unsealed)?;
        let (nonce, body) = rest.split_at_checked(NONCE_LEN).ok_or(KeyError::Unsealed)?;
        if *version != VERSION {
            return Err(KeyError::Unsealed);
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| KeyError::Unsealed)?;
        let mut body = body.to_vec();
        let plain = self.key.open_in_place(nonce, Aad::from(context), &mut body).map_err(|_| KeyError::Unsealed)?.len();
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
    fn what_was_sealed_opens_after_a_restart() {
        let (home, sealer) = sealer();
        let sealed = sealer.seal(b"whsec_secret", b"hook/1");
        let again = Sealer::open_or_create(&home.path().join("seal.key")).expect("the same key");
        assert_eq!(again.open(&sealed, b"hook/1").expect("opened"), b"whsec_secret");
        assert_eq!(sealer.open(&sealer.seal(b"", b""), b"").expect("opened"), b"");
    }

    #[test]
    fn a_sealed_value_hides_its_content_and_never_repeats() {
        let (_home, sealer) = sealer();
        let (one, two) = (sealer.seal(b"secret", b"c"), sealer.seal(b"secret", b"c"));
        assert_ne!(one, two);
        assert_eq!(one.len(), 6 + 29);
        assert!(!one.windows(6).any(|w| w == b"secret"));
    }

    #[test]
    fn a_sealed_value_that_was_touched_moved_or_cut_does_not_open() {
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
    fn a_key_file_of_another_length_is_refused_by_name() {
        let home = tempfile::tempdir().expect("a directory");
        for length in [0, 31, 33] {
            let path = home.path().join(format!("{length}.key"));
            assert!(files::create(&path, &vec![7; length]).expect("made"));
            let said = Sealer::open_or_create(&path).expect_err("refused").to_string();
            assert!(said.contains(&format!("{length}.key")) && said.contains("32 bytes"), "{said}");
        }
    }
}
