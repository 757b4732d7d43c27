//! Reads the key files of issuers: public keys in PEM, or a shared secret. Knows nothing of tokens.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use jsonwebtoken::Algorithm;

use super::key_set::{IssuerKeys, MAX_CANDIDATES};
use super::verification_key::{KeyMaterial, KeyType, VerificationKey};
use crate::auth::files::{self, KeyError, SecretFile};

/// Keys of one file: the present one, and those before and after it. All of them are tried for each token.
const MAX_KEYS: usize = MAX_CANDIDATES;

/// Upper bound on the size of a key file.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// The beginning of a PEM block.
const PEM_BEGIN: &str = "-----BEGIN ";

/// The keys of an issuer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IssuerKeyError {
    #[error("cannot read {}: {reason}", .path.display())]
    File { path: PathBuf, reason: io::Error },
    #[error("{} is not {expected}", .path.display())]
    Malformed { path: PathBuf, expected: &'static str },
    #[error("{} holds a private key: give the relay the public one (openssl pkey -pubout)", .0.display())]
    Private(PathBuf),
    #[error("{algorithm} is not an algorithm of the {key_type} keys in {}: correct algorithms", .path.display())]
    Algorithm { path: PathBuf, algorithm: String, key_type: &'static str },
    #[error("{} is too short for {algorithm}: it needs {bytes} bytes or more", .path.display())]
    ShortSecret { path: PathBuf, algorithm: String, bytes: usize },
    #[error(transparent)]
    Secret(#[from] KeyError),
}

/// Reads up to 8 public keys of one type.
///
/// # Errors
/// The file cannot be read, holds anything else, or its keys cannot verify one of the `accepted` algorithms.
pub(super) fn read_public_keys(path: &Path, accepted: &[Algorithm]) -> Result<IssuerKeys, IssuerKeyError> {
    let malformed = || IssuerKeyError::Malformed {
        path: path.to_owned(),
        expected: "1 to 8 public keys in PEM, all RSA (2048 to 8192 bits), P-256, P-384 or Ed25519",
    };
    let text = read_text(path)?.ok_or_else(malformed)?;
    let blocks: Vec<&str> = text.split(PEM_BEGIN).skip(1).collect();
    if blocks.is_empty() || blocks.len() > MAX_KEYS {
        return Err(malformed());
    }
    if blocks.iter().any(|block| block.lines().next().is_some_and(|label| label.contains("PRIVATE KEY"))) {
        return Err(IssuerKeyError::Private(path.to_owned()));
    }
    let read = |block: &&str| {
        let is_public = block.starts_with("PUBLIC KEY-----") || block.starts_with("RSA PUBLIC KEY-----");
        is_public.then(|| KeyMaterial::from_pem(format!("{PEM_BEGIN}{block}").as_bytes())).flatten()
    };
    let all: Vec<KeyMaterial> = blocks.iter().map(read).collect::<Option<_>>().ok_or_else(malformed)?;
    let key_type = all.first().ok_or_else(malformed)?.key_type;
    if all.iter().any(|key| key.key_type != key_type) {
        return Err(malformed());
    }
    check_algorithms(path, key_type, accepted)?;
    Ok(IssuerKeys::new(all.into_iter().filter_map(|key| VerificationKey::new(None, key, accepted)).collect()))
}

/// The key in a file with a shared secret.
pub(super) struct SharedSecret {
    pub(super) keys: IssuerKeys,
    /// Users beside its owner can read the file. It is used all the same: container platforms mount secrets that way,
    /// and the relay did not write it.
    pub(super) is_exposed: bool,
}

/// Reads a shared secret; one line break at its end does not count.
///
/// # Errors
/// The file cannot be read, holds a PEM block, or is shorter than the digest of an accepted algorithm (RFC 7518, 3.2).
pub(super) fn read_secret(path: &Path, accepted: &[Algorithm]) -> Result<SharedSecret, IssuerKeyError> {
    let malformed = |expected| IssuerKeyError::Malformed { path: path.to_owned(), expected };
    let file = files::read_with_mode(path)?.ok_or_else(|| malformed("there: secret_file names it"))?;
    let SecretFile { content, is_exposed } = file;
    // A public key as the secret would let everybody sign.
    if content.trim_ascii_start().starts_with(PEM_BEGIN.as_bytes()) {
        return Err(malformed("a shared secret: keys in PEM belong into key_file"));
    }
    let secret = content.strip_suffix(b"\n").unwrap_or(&content);
    let secret = secret.strip_suffix(b"\r").unwrap_or(secret);
    check_algorithms(path, KeyType::Secret, accepted)?;
    // Without a list, those that the secret is long enough for.
    let usable: Vec<Algorithm> = KeyType::Secret
        .algorithms()
        .iter()
        .copied()
        .filter(|algorithm| {
            if accepted.is_empty() { secret.len() >= digest_bytes(*algorithm) } else { accepted.contains(algorithm) }
        })
        .collect();
    let short = if usable.is_empty() {
        Some(Algorithm::HS256)
    } else {
        usable.iter().copied().find(|algorithm| secret.len() < digest_bytes(*algorithm))
    };
    if let Some(algorithm) = short {
        let (algorithm, bytes) = (format!("{algorithm:?}"), digest_bytes(algorithm));
        return Err(IssuerKeyError::ShortSecret { path: path.to_owned(), algorithm, bytes });
    }
    let keys = IssuerKeys::new(VerificationKey::new(None, KeyMaterial::secret(secret), &usable).into_iter().collect());
    Ok(SharedSecret { keys, is_exposed })
}

fn digest_bytes(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::HS512 => 64,
        Algorithm::HS384 => 48,
        _ => 32,
    }
}

fn check_algorithms(path: &Path, key_type: KeyType, accepted: &[Algorithm]) -> Result<(), IssuerKeyError> {
    match accepted.iter().find(|algorithm| !key_type.algorithms().contains(algorithm)) {
        None => Ok(()),
        Some(algorithm) => Err(IssuerKeyError::Algorithm {
            path: path.to_owned(),
            algorithm: format!("{algorithm:?}"),
            key_type: key_type.name(),
        }),
    }
}

/// The file as text; `None` if it is too large or not UTF-8.
fn read_text(path: &Path) -> Result<Option<String>, IssuerKeyError> {
    let failed = |reason| IssuerKeyError::File { path: path.to_owned(), reason };
    let mut content = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut content)).map_err(failed)?;
    let is_small = content.len() as u64 <= MAX_FILE_BYTES;
    Ok(String::from_utf8(content).ok().filter(|_| is_small))
}
