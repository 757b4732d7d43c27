//! The relay's own signing keys: one file each in `<data>/keys/`. All of them verify, the newest signs; a key is
//! retired by deleting its file. Knows how tokens are written, not who may have one.

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
use super::scope::{Scope, Scopes};
use super::secret;
use super::ticket::{self, Ticket};
use super::token::Grant;
use crate::domain::{ClientId, DocumentId, Timestamp};

/// The `iss` and the `aud` of every token of ours.
pub(super) const NAME: &str = "docrelay";

/// The keys of one data directory, as they were when it was last read. Cheap to clone; all clones read the same.
#[derive(Clone)]
pub struct Keys {
    directory: Arc<Path>,
    inner: Arc<RwLock<Arc<Inner>>>,
}

struct Inner {
    /// Ordered by kid, hence by age: the last one signs.
    all: Vec<Key>,
    jwks: Bytes,
}

struct Key {
    kid: String,
    private: EncodingKey,
    public: DecodingKey,
    /// The public key as JWK's `x` has it.
    x: String,
}

/// The claims of a token, as RFC 7519 and RFC 9068 name them.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a ClientId,
    scope: String,
    exp: i64,
    iat: i64,
    jti: String,
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    purpose: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    documents: Option<Vec<DocumentId>>,
}

impl<'a> Claims<'a> {
    fn new(client: &'a ClientId, scopes: &Scopes, exp: i64, now: Timestamp) -> Result<Self, KeyError> {
        Ok(Self {
            iss: NAME,
            aud: NAME,
            sub: client,
            scope: scopes.to_string(),
            exp,
            iat: now.seconds(),
            jti: secret::fresh_secret()?.expose().to_owned(),
            purpose: None,
            documents: None,
        })
    }
}

impl Keys {
    /// Reads every `<kid>.pem` of the directory; makes the directory and a first key when there is none.
    ///
    /// A file holds one Ed25519 private key in PKCS#8 PEM, as `openssl genpkey -algorithm ed25519` writes it too. Its
    /// name begins with the time of its making, because the name that sorts last is the one that signs. Fails on a
    /// file that is open to other users or holds anything else.
    pub fn open_or_create(directory: &Path, now: Timestamp) -> Result<Self, KeyError> {
        files::make_directory(directory)?;
        let mut all = read_all(directory)?;
        if all.is_empty() {
            all = create_first(directory, now)?;
        }
        Ok(Self { directory: directory.into(), inner: Arc::new(RwLock::new(Arc::new(Inner::new(all)))) })
    }

    /// Reads the directory again, so that keys can be added and retired while streams go on. True when a key was
    /// retired: what it signed must not be remembered as good. On an error, or when there is no key left, everything
    /// stays as it was.
    pub fn reload(&self) -> Result<bool, KeyError> {
        let all = read_all(&self.directory)?;
        if all.is_empty() {
            return Err(KeyError::Unsigned);
        }
        let before = self.current();
        let retired = before.all.iter().any(|old| !all.iter().any(|new| new.kid == old.kid && new.x == old.x));
        *self.inner.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Inner::new(all));
        Ok(retired)
    }

    fn current(&self) -> Arc<Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A token of this client, valid from now on for `ttl`, signed by the newest key.
    pub fn issue(&self, client: &ClientId, scopes: &Scopes, ttl: Duration, now: Timestamp) -> Result<String, KeyError> {
        self.sign(Claims::new(client, scopes, now.plus(ttl).seconds(), now)?)
    }

    /// A ticket for what the holder of `grant` may follow, and for how long it is good at least. It ends with the
    /// token that `grant` came from at the latest, however long a `ttl` is asked for.
    pub fn ticket(
        &self,
        grant: &Grant,
        ticket: &Ticket,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<(String, Duration), KeyError> {
        let end = ticket::end(grant, ttl, now);
        let claims = Claims {
            purpose: Some(ticket::USE),
            documents: ticket.documents(),
            ..Claims::new(&grant.client, &Scope::Events.into(), end, now)?
        };
        Ok((self.sign(claims)?, now.until(Timestamp::from_seconds(end)).min(ttl)))
    }

    fn sign(&self, claims: Claims<'_>) -> Result<String, KeyError> {
        let current = self.current();
        let key = current.all.last().ok_or(KeyError::Unsigned)?;
        let header = Header { kid: Some(key.kid.clone()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, &claims, &key.private).map_err(|_| KeyError::Unsigned)
    }

    /// The public keys as a JWK Set (RFC 7517, RFC 8037), for `/.well-known/jwks.json`.
    pub fn jwks_json(&self) -> Bytes {
        self.current().jwks.clone()
    }

    /// The key that verifies what was signed under this name.
    pub(super) fn verifying(&self, kid: &str) -> Option<DecodingKey> {
        self.current().all.iter().find(|k| k.kid == kid).map(|k| k.public.clone())
    }

    #[cfg(test)]
    pub(super) fn newest(&self) -> (String, EncodingKey, String) {
        let current = self.current();
        let key = current.all.last().expect("never empty");
        (key.kid.clone(), key.private.clone(), key.x.clone())
    }
}

impl Inner {
    fn new(all: Vec<Key>) -> Self {
        let jwks = jwks(&all);
        Self { all, jwks }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.current().all.iter().map(|k| &k.kid)).finish()
    }
}

/// How many seconds a token issued with this `ttl` is good for at least: its times are whole seconds, rounded down, so
/// up to one second of `ttl` is lost (an hour is answered as 3599).
pub fn expires_in(ttl: Duration) -> u64 {
    ttl.as_secs().saturating_sub(1)
}

fn read_all(directory: &Path) -> Result<Vec<Key>, KeyError> {
    let unreadable = |reason| KeyError::File { action: "list", path: directory.to_owned(), reason };
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        // A leading dot marks the drafts of `files` and the leftovers of editors.
        if let Some(kid) = name.strip_suffix(".pem").filter(|kid| !kid.is_empty() && !kid.starts_with('.'))
            && let Some(pem) = files::read(&path)?
        {
            all.push(parse(kid, &pem, &path)?);
        }
    }
    all.sort_by(|a, b| a.kid.cmp(&b.kid));
    Ok(all)
}

fn parse(kid: &str, pem: &[u8], path: &Path) -> Result<Key, KeyError> {
    let malformed = || KeyError::Malformed {
        path: path.to_owned(),
        expected: "an Ed25519 private key in PKCS#8 PEM",
        otherwise: ", or delete it: a new key is made, and tokens signed with the old one stop being valid",
    };
    let private = EncodingKey::from_ed_pem(pem).map_err(|_| malformed())?;
    let pair = Ed25519KeyPair::from_pkcs8(private.as_bytes()).map_err(|_| malformed())?;
    let public = pair.public_key().as_ref();
    Ok(Key {
        kid: kid.to_owned(),
        private,
        public: DecodingKey::from_ed_der(public),
        x: BASE64URL_NOPAD.encode(public),
    })
}

/// Two processes may start at once on an empty directory (`serve` and `token`): the lock lets the second find the key
/// of the first, so that both agree on what verifies.
fn create_first(directory: &Path, now: Timestamp) -> Result<Vec<Key>, KeyError> {
    let lock = File::open(directory).and_then(|d| d.lock().map(|()| d));
    if let Err(e) = &lock {
        tracing::debug!(error = %e, "this file system has no locks: a simultaneous first start may make two keys");
    }
    let found = read_all(directory)?;
    if !found.is_empty() {
        return Ok(found);
    }
    let pkcs8 = Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8v1()).map_err(|_| KeyError::Unsigned)?;
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        // 48 bytes: exactly one line of 64 characters.
        BASE64.encode(pkcs8.as_ref())
    );
    let mut kid = now.to_string();
    kid.retain(|c| c.is_ascii_alphanumeric());
    let tag = getrandom::u32().map_err(KeyError::Random)?;
    files::create(&directory.join(format!("{kid}-{tag:08x}.pem")), pem.as_bytes())?;
    read_all(directory)
}

fn jwks(all: &[Key]) -> Bytes {
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
    fn the_first_start_makes_one_key_and_the_next_finds_it() {
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
    fn the_newest_key_signs_and_a_deleted_one_is_gone() {
        let home = tempfile::tempdir().expect("a directory");
        let old = Keys::open_or_create(home.path(), at(1_000)).expect("made");
        let old_file = home.path().join(&names(home.path())[0]);
        // Another relay's key stands for one that the operator adds.
        let other = tempfile::tempdir().expect("a directory");
        let new = Keys::open_or_create(other.path(), at(2_000_000_000)).expect("made");
        let new_name = &names(other.path())[0];
        fs::rename(other.path().join(new_name), home.path().join(new_name)).expect("moved");

        let both = Keys::open_or_create(home.path(), at(0)).expect("read");
        assert_eq!(both.newest().0, new.newest().0);
        assert!(both.verifying(&old.newest().0).is_some());
        fs::remove_file(old_file).expect("deleted");
        let left = Keys::open_or_create(home.path(), at(0)).expect("read");
        assert!(left.verifying(&old.newest().0).is_none());
    }

    #[test]
    fn the_public_keys_are_published_without_the_private_ones() {
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
    fn a_key_file_that_is_no_key_is_refused_by_name() {
        let home = tempfile::tempdir().expect("a directory");
        files::create(&home.path().join("2026.pem"), b"not a key").expect("made");
        let said = Keys::open_or_create(home.path(), at(0)).expect_err("refused").to_string();
        assert!(said.contains("2026.pem is not an Ed25519 private key"), "{said}");
    }

    #[test]
    fn processes_that_start_at_once_make_one_key() {
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
    fn an_hour_is_answered_as_3599_seconds() {
        assert_eq!(expires_in(Duration::from_secs(3600)), 3599);
        assert_eq!(expires_in(Duration::ZERO), 0);
    }
}
