//! The relay's signing keys, one file each in `<data>/keys/`. The newest key signs, all keys verify; deleting a file
//! retires its key. Issues tokens; whether a caller may have one is decided by the callers of this module.

use std::fmt;
use std::fs::{self, File};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use bytes::Bytes;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use serde::Serialize;

use super::files::{self, KeyError};
use super::grant::{Grant, Scope, Scopes, Ticket};
use super::secret;
use crate::domain::{ClientId, ClientRef, DocumentId, Timestamp};

/// The claims `iss` and `aud` of the relay's tokens.
pub(super) const ISSUER: &str = "docrelay";

/// The claim `use` of tickets; other tokens have no such claim.
pub(super) const TICKET_USE: &str = "ticket";

/// The keys of a data directory at the last read. Cheap to clone; all clones share one state.
#[derive(Clone)]
pub struct Keys {
    directory: Arc<Path>,
    current: Arc<RwLock<Arc<KeySet>>>,
}

struct KeySet {
    /// In ascending order of kid, hence of age. The last key signs.
    all: Vec<TokenKey>,
    jwks: Bytes,
}

struct TokenKey {
    kid: String,
    private: EncodingKey,
    public: DecodingKey,
    /// The public key as `x` of a JWK.
    x: String,
}

/// The claims of RFC 7519 and RFC 9068 in an issued token.
#[derive(Serialize)]
struct IssuedClaims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a ClientId,
    /// The creation of the client in milliseconds: a later client of the same id does not accept the token.
    client_created: i64,
    scope: String,
    exp: i64,
    iat: i64,
    jti: String,
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    purpose: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    documents: Option<Vec<DocumentId>>,
}

impl<'a> IssuedClaims<'a> {
    fn new(client: &'a ClientRef, scopes: &Scopes, exp: i64, now: Timestamp) -> Result<Self, KeyError> {
        Ok(Self {
            iss: ISSUER,
            aud: ISSUER,
            sub: &client.id,
            client_created: client.created.millis(),
            scope: scopes.to_string(),
            exp,
            iat: now.seconds(),
            jti: secret::generate_secret()?.expose().to_owned(),
            purpose: None,
            documents: None,
        })
    }
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
        Ok(Self { directory: directory.into(), current: Arc::new(RwLock::new(Arc::new(KeySet::new(all)))) })
    }

    /// Reads the directory again, so that keys can be added and retired without interrupting streams. Returns whether a
    /// key was retired; its tokens must then be removed from caches.
    ///
    /// # Errors
    /// As in [`Keys::open_or_create`], or no key is left. The keys in use do not change then.
    pub fn reload(&self) -> Result<bool, KeyError> {
        let all = read_all(&self.directory)?;
        if all.is_empty() {
            return Err(KeyError::SigningFailed);
        }
        let before = self.key_set();
        let retired = before.all.iter().any(|old| !all.iter().any(|new| new.kid == old.kid && new.x == old.x));
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(KeySet::new(all));
        Ok(retired)
    }

    fn key_set(&self) -> Arc<KeySet> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Issues a token that expires `ttl` after `now`, signed with the newest key.
    ///
    /// # Errors
    /// [`KeyError::SigningFailed`], [`KeyError::Random`].
    pub fn issue(
        &self,
        client: &ClientRef,
        scopes: &Scopes,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<String, KeyError> {
        self.sign(IssuedClaims::new(client, scopes, now.plus(ttl).seconds(), now)?)
    }

    /// Issues a ticket to the holder of `grant`; also returns its guaranteed lifetime. A ticket never outlives the token
    /// of its holder.
    ///
    /// # Errors
    /// [`KeyError::SigningFailed`], [`KeyError::Random`].
    pub fn issue_ticket(
        &self,
        grant: &Grant,
        ticket: &Ticket,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<(String, Duration), KeyError> {
        let end = grant.ticket_expiry(ttl, now);
        let claims = IssuedClaims {
            purpose: Some(TICKET_USE),
            documents: ticket.documents(),
            ..IssuedClaims::new(&grant.client, &Scope::Events.into(), end, now)?
        };
        Ok((self.sign(claims)?, now.until(Timestamp::from_seconds(end)).min(ttl)))
    }

    fn sign(&self, claims: IssuedClaims<'_>) -> Result<String, KeyError> {
        let key_set = self.key_set();
        let key = key_set.all.last().ok_or(KeyError::SigningFailed)?;
        let header = Header { kid: Some(key.kid.clone()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, &claims, &key.private).map_err(|_| KeyError::SigningFailed)
    }

    /// The public keys as a JWK Set (RFC 7517, RFC 8037), for `/.well-known/jwks.json`.
    pub fn jwks_json(&self) -> Bytes {
        self.key_set().jwks.clone()
    }

    /// The public key with this id.
    pub(super) fn verification_key(&self, kid: &str) -> Option<DecodingKey> {
        self.key_set().all.iter().find(|k| k.kid == kid).map(|k| k.public.clone())
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
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.key_set().all.iter().map(|k| &k.kid)).finish()
    }
}

/// The guaranteed lifetime of a token issued with this `ttl`, in seconds. `exp` is rounded down to whole seconds, so up
/// to one second is lost: an hour gives 3599.
pub fn expires_in(ttl: Duration) -> u64 {
    ttl.as_secs().saturating_sub(1)
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
        otherwise: ", or delete it: a new key is created, and tokens signed with the old one become invalid",
    };
    let private = EncodingKey::from_ed_pem(pem).map_err(|_| malformed())?;
    let pair = Ed25519KeyPair::from_pkcs8(private.as_bytes()).map_err(|_| malformed())?;
    let public = pair.public_key().as_ref();
    Ok(TokenKey {
        kid: kid.to_owned(),
        private,
        public: DecodingKey::from_ed_der(public),
        x: BASE64URL_NOPAD.encode(public),
    })
}

/// Two processes may start at the same time on an empty directory (`serve` and `token`). With the lock, the second one
/// finds the key of the first instead of creating another.
fn create_first(directory: &Path, now: Timestamp) -> Result<Vec<TokenKey>, KeyError> {
    let lock = File::open(directory).and_then(|d| d.lock().map(|()| d));
    if let Err(e) = &lock {
        tracing::debug!(error = %e, "file system has no locks: simultaneous first starts may create two keys");
    }
    let found = read_all(directory)?;
    if !found.is_empty() {
        return Ok(found);
    }
    let pkcs8 = Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8v1()).map_err(|_| KeyError::SigningFailed)?;
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        // 48 bytes: one line of 64 characters.
        BASE64.encode(pkcs8.as_ref())
    );
    let mut kid = now.to_string();
    kid.retain(|c| c.is_ascii_alphanumeric());
    let tag = getrandom::u32().map_err(KeyError::Random)?;
    files::create(&directory.join(format!("{kid}-{tag:08x}.pem")), pem.as_bytes())?;
    read_all(directory)
}

fn jwks(all: &[TokenKey]) -> Bytes {
    let keys: Vec<_> = all
        .iter()
        .map(|k| serde_json::json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": k.kid, "x": k.x}))
        .collect();
    serde_json::json!({ "keys": keys }).to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).expect("listed");
        entries.map(|e| e.expect("entry").file_name().into_string().expect("utf-8")).collect()
    }

    #[test]
    fn first_start_creates_a_key_and_later_starts_reuse_it() {
        let home = tempfile::tempdir().expect("a directory");
        let directory = home.path().join("keys");
        let first = Keys::open_or_create(&directory, at(1_795_351_380)).expect("made");
        let again = Keys::open_or_create(&directory, at(1_895_351_380)).expect("read");
        assert_eq!(first.jwks_json(), again.jwks_json());
        let names = names(&directory);
        assert_eq!(names.len(), 1);
        assert!(names[0].starts_with("20261122T124300000Z-") && names[0].ends_with(".pem"), "{names:?}");
    }

    #[test]
    fn newest_key_signs_and_deleted_key_is_retired() {
        let home = tempfile::tempdir().expect("a directory");
        let old = Keys::open_or_create(home.path(), at(1_000)).expect("made");
        let old_file = home.path().join(&names(home.path())[0]);
        // A key of another relay is added, as an operator would add one.
        let other = tempfile::tempdir().expect("a directory");
        let new = Keys::open_or_create(other.path(), at(2_000_000_000)).expect("made");
        let new_name = &names(other.path())[0];
        fs::rename(other.path().join(new_name), home.path().join(new_name)).expect("moved");

        let both = Keys::open_or_create(home.path(), at(0)).expect("read");
        assert_eq!(both.newest().0, new.newest().0);
        assert!(both.verification_key(&old.newest().0).is_some());
        fs::remove_file(old_file).expect("deleted");
        let left = Keys::open_or_create(home.path(), at(0)).expect("read");
        assert!(left.verification_key(&old.newest().0).is_none());
    }

    #[test]
    fn jwks_contains_public_keys_only() {
        let home = tempfile::tempdir().expect("a directory");
        let keys = Keys::open_or_create(home.path(), at(0)).expect("made");
        let set: serde_json::Value = serde_json::from_slice(&keys.jwks_json()).expect("JSON");
        let key = set["keys"][0].as_object().expect("a key");
        assert_eq!((&key["kty"], &key["crv"], &key["alg"]), (&"OKP".into(), &"Ed25519".into(), &"EdDSA".into()));
        assert_eq!(key["kid"], keys.newest().0);
        assert_eq!(BASE64URL_NOPAD.decode(key["x"].as_str().expect("text").as_bytes()).expect("base64").len(), 32);
        assert!(!key.contains_key("d"));
    }

    #[test]
    fn malformed_key_file_is_rejected_by_name() {
        let home = tempfile::tempdir().expect("a directory");
        files::create(&home.path().join("2026.pem"), b"not a key").expect("made");
        let said = Keys::open_or_create(home.path(), at(0)).expect_err("refused").to_string();
        assert!(said.contains("2026.pem is not an Ed25519 private key"), "{said}");
    }

    #[test]
    fn concurrent_first_starts_create_one_key() {
        let home = tempfile::tempdir().expect("a directory");
        std::thread::scope(|s| {
            for n in 0..8 {
                s.spawn({
                    let path = home.path();
                    move || Keys::open_or_create(path, at(n)).expect("made")
                });
            }
        });
        assert_eq!(names(home.path()).len(), 1);
    }

    #[test]
    fn expires_in_of_one_hour_is_3599_seconds() {
        assert_eq!(expires_in(Duration::from_secs(3600)), 3599);
        assert_eq!(expires_in(Duration::ZERO), 0);
    }
}
