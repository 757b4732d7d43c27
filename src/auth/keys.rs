//! The relay's signing keys, one file each in `<data>/keys/`. The newest published key signs, all keys verify; deleting
//! a file retires its key. Independent of the claims that are signed; `issue` makes them.

#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use bytes::Bytes;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use serde::Serialize;

use super::files::{self, KeyError};
use super::grant::KeyStatus;
use crate::domain::Timestamp;

/// How long a response of `/.well-known/jwks.json` may be cached.
pub const JWKS_MAX_AGE: Duration = Duration::from_secs(300);

/// A key signs this long after it was found: caches of the JWK set contain it by then. A margin covers the interval at
/// which the directory is read.
const PUBLICATION_TIME: Duration = Duration::from_secs(JWKS_MAX_AGE.as_secs() + 60);

/// How much later than the time of its file a running relay may find a key: the interval of its [`Keys::reload`].
const RELOAD_MARGIN: Duration = Duration::from_secs(30);

/// The keys of a data directory at the last read. Cheap to clone; all clones share one state.
#[derive(Clone)]
pub struct Keys {
    directory: Arc<Path>,
    current: Arc<RwLock<Arc<KeySet>>>,
}

/// A signing key as the operator sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyInfo {
    pub kid: String,
    /// Whether new tokens are signed with it.
    pub signs: bool,
    /// When it signs at the latest, if it is the newest key then. A running relay that has found it earlier uses it
    /// earlier.
    pub signs_from: Timestamp,
}

struct KeySet {
    /// In ascending order of kid, hence of age. The last one that is published signs.
    all: Vec<TokenKey>,
    jwks: Bytes,
}

struct TokenKey {
    kid: String,
    private: EncodingKey,
    public: DecodingKey,
    /// The public key as `x` of a JWK.
    x: String,
    signs_from: Timestamp,
    status: KeyStatus,
}

impl Keys {
    /// Reads every `<kid>.pem` in the directory. Creates the directory and a first key if there is none.
    ///
    /// A file contains one Ed25519 private key in PKCS#8 PEM, as written by `openssl genpkey -algorithm ed25519`. Its
    /// name begins with its creation time, because the name that sorts last names the signing key.
    ///
    /// # Errors
    /// A file that other users can access, that contains anything else, or that cannot be read or written.
    pub fn open_or_create(directory: &Path, now: Timestamp) -> Result<Self, KeyError> {
        files::make_directory(directory)?;
        let mut all = read_all(directory)?;
        if all.is_empty() {
            all = create_first(directory, now)?;
        }
        // A key must not sign before its name is durable: the process that created it may have been killed before the
        // flush.
        files::flush_directory(directory)?;
        Ok(Self { directory: directory.into(), current: Arc::new(RwLock::new(Arc::new(KeySet::new(all)))) })
    }

    /// Reads the directory again, so that keys can be added and retired without interrupting streams. Returns whether a
    /// key was retired; its tokens must then be removed from caches.
    ///
    /// # Errors
    /// As in [`Keys::open_or_create`]; [`KeyError::NoKey`] if no key is left. The keys in use do not change then.
    pub fn reload(&self, now: Timestamp) -> Result<bool, KeyError> {
        let mut all = read_all(&self.directory)?;
        if all.is_empty() {
            return Err(KeyError::NoKey(self.directory.to_path_buf()));
        }
        let before = self.key_set();
        for key in &mut all {
            match before.all.iter().find(|old| old.is_same(key)) {
                Some(old) => (key.signs_from, key.status) = (old.signs_from, old.status.clone()),
                None => key.signs_from = now.plus(PUBLICATION_TIME),
            }
        }
        let mut retired = false;
        for old in before.all.iter().filter(|old| !all.iter().any(|key| key.is_same(old))) {
            old.status.retire();
            retired = true;
        }
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(KeySet::new(all));
        Ok(retired)
    }

    /// All keys, oldest first.
    pub fn list(&self, now: Timestamp) -> Vec<KeyInfo> {
        let key_set = self.key_set();
        let signing = key_set.signing_key(now).map(|key| &key.kid);
        let info = |key: &TokenKey| KeyInfo {
            kid: key.kid.clone(),
            signs: Some(&key.kid) == signing,
            signs_from: key.signs_from.plus(RELOAD_MARGIN),
        };
        key_set.all.iter().map(info).collect()
    }

    /// Adds a key, which becomes the newest one, and reads the directory again. Running relays find it with their next
    /// [`Keys::reload`].
    ///
    /// # Errors
    /// As in [`Keys::open_or_create`].
    pub fn rotate(&self, now: Timestamp) -> Result<KeyInfo, KeyError> {
        let _lock = lock(&self.directory);
        let all = read_all(&self.directory)?;
        let kid = create(&self.directory, all.last(), now)?;
        self.reload(now)?;
        let added = self.list(now).into_iter().find(|key| key.kid == kid);
        added.ok_or(KeyError::UnknownKey(kid))
    }

    /// Deletes a key. Its tokens become invalid when relays reload the keys.
    ///
    /// # Errors
    /// [`KeyError::UnknownKey`]; [`KeyError::OnlyKey`] if no other key is left; [`KeyError::File`].
    pub fn retire(&self, kid: &str, now: Timestamp) -> Result<(), KeyError> {
        let _lock = lock(&self.directory);
        let all = read_all(&self.directory)?;
        // Only a name that was found becomes part of a path.
        let key = all.iter().find(|key| key.kid == kid).ok_or_else(|| KeyError::UnknownKey(kid.to_owned()))?;
        if all.len() == 1 {
            return Err(KeyError::OnlyKey(kid.to_owned()));
        }
        files::remove(&self.directory.join(format!("{}.pem", key.kid)))?;
        self.reload(now).map(|_| ())
    }

    fn key_set(&self) -> Arc<KeySet> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Signs the claims with the newest published key.
    ///
    /// # Errors
    /// [`KeyError::SigningFailed`].
    pub(super) fn sign(&self, claims: &impl Serialize, now: Timestamp) -> Result<String, KeyError> {
        let key_set = self.key_set();
        let key = key_set.signing_key(now).ok_or(KeyError::SigningFailed)?;
        let header = Header { kid: Some(key.kid.clone()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, claims, &key.private).map_err(|_| KeyError::SigningFailed)
    }

    /// The public keys as a JWK Set (RFC 7517, RFC 8037), for `/.well-known/jwks.json`.
    pub fn jwks_json(&self) -> Bytes {
        self.key_set().jwks.clone()
    }

    /// The public key with this id.
    pub(super) fn verification_key(&self, kid: &str) -> Option<(DecodingKey, KeyStatus)> {
        self.key_set().all.iter().find(|k| k.kid == kid).map(|k| (k.public.clone(), k.status.clone()))
    }

    #[cfg(test)]
    pub(super) fn newest(&self) -> (String, EncodingKey, String) {
        let key_set = self.key_set();
        let key = key_set.all.last().expect("never empty");
        (key.kid.clone(), key.private.clone(), key.x.clone())
    }
}

impl KeySet {
    fn new(all: Vec<TokenKey>) -> Self {
        let jwks = jwks(&all);
        Self { all, jwks }
    }

    /// The newest key that is published; if none is, as after the first start, the one that was found first.
    fn signing_key(&self, now: Timestamp) -> Option<&TokenKey> {
        let published = self.all.iter().rev().find(|key| key.signs_from <= now);
        published.or_else(|| self.all.iter().rev().min_by_key(|key| key.signs_from))
    }
}

impl TokenKey {
    fn is_same(&self, other: &Self) -> bool {
        self.kid == other.kid && self.x == other.x
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.key_set().all.iter().map(|k| &k.kid)).finish()
    }
}

fn read_all(directory: &Path) -> Result<Vec<TokenKey>, KeyError> {
    let list_error = |reason| KeyError::File { action: "list", path: directory.to_owned(), reason };
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).map_err(list_error)? {
        let path = entry.map_err(list_error)?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        // Names with a leading dot are drafts of `files` or editor backups.
        if let Some(kid) = name.strip_suffix(".pem").filter(|kid| !kid.is_empty() && !kid.starts_with('.'))
            && let Some(pem) = files::read(&path)?
        {
            all.push(parse(kid, &pem, &path)?);
        }
    }
    all.sort_by(|a, b| a.kid.cmp(&b.kid));
    Ok(all)
}

fn parse(kid: &str, pem: &[u8], path: &Path) -> Result<TokenKey, KeyError> {
    let malformed = || KeyError::Malformed {
        path: path.to_owned(),
        expected: "an Ed25519 private key in PKCS#8 PEM",
        hint: ", or delete it: a new key is created, and tokens signed with the old one become invalid",
    };
    let private = EncodingKey::from_ed_pem(pem).map_err(|_| malformed())?;
    // No response before this time contained the key.
    let changed = fs::metadata(path).map(|file| {
        let milliseconds = Duration::from_millis(file.ctime_nsec().unsigned_abs() / 1_000_000);
        Timestamp::from_seconds(file.ctime()).plus(milliseconds)
    });
    let signs_from = changed.map_or(Timestamp::from_seconds(0), |changed| changed.plus(PUBLICATION_TIME));
    let pair = Ed25519KeyPair::from_pkcs8(private.as_bytes()).map_err(|_| malformed())?;
    let public = pair.public_key().as_ref();
    Ok(TokenKey {
        kid: kid.to_owned(),
        private,
        public: DecodingKey::from_ed_der(public),
        x: BASE64URL_NOPAD.encode(public),
        signs_from,
        status: KeyStatus::default(),
    })
}

/// Two processes may start at the same time on an empty directory (`serve` and `token`). With the lock, the second one
/// finds the key of the first instead of creating another.
fn create_first(directory: &Path, now: Timestamp) -> Result<Vec<TokenKey>, KeyError> {
    let _lock = lock(directory);
    let found = read_all(directory)?;
    if !found.is_empty() {
        return Ok(found);
    }
    create(directory, None, now)?;
    read_all(directory)
}

/// Keeps other processes from changing the directory until it is dropped.
fn lock(directory: &Path) -> Option<File> {
    let lock = File::open(directory).and_then(|d| d.lock().map(|()| d));
    if let Err(e) = &lock {
        tracing::debug!(error = %e, "file system has no locks: simultaneous changes of the keys do not wait for each other");
    }
    lock.ok()
}

/// Creates a key file whose name sorts after that of `newest`. Returns its kid.
fn create(directory: &Path, newest: Option<&TokenKey>, now: Timestamp) -> Result<String, KeyError> {
    let pkcs8 = Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8v1()).map_err(|_| KeyError::SigningFailed)?;
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        // 48 bytes: one line of 64 characters.
        BASE64.encode(pkcs8.as_ref())
    );
    let mut time = now.to_string();
    time.retain(|c| c.is_ascii_alphanumeric());
    let tag = getrandom::u32().map_err(KeyError::Random)?;
    let kid = match newest {
        // The clock was set back, or an operator has named the key: the new one must sign nevertheless.
        Some(newest) if newest.kid >= time => format!("{}-{tag:08x}", newest.kid),
        _ => format!("{time}-{tag:08x}"),
    };
    files::create(&directory.join(format!("{kid}.pem")), pem.as_bytes())?;
    Ok(kid)
}

fn jwks(all: &[TokenKey]) -> Bytes {
    let keys: Vec<_> = all
        .iter()
        .map(|k| serde_json::json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": k.kid, "x": k.x}))
        .collect();
    serde_json::json!({ "keys": keys }).to_string().into()
}
