//! Tokens of foreign issuers: which of the configured issuers a token names, the check of its signature with a key of that
//! issuer alone, and of its claims. Knows neither the registry of clients nor HTTP; `key_set_refresh` fetches key sets through
//! a port.

mod jwk;
mod key_file;
mod key_set;
mod key_set_refresh;
mod options;
mod replacement;
mod unique_claims;
mod verification_key;

#[cfg(test)]
mod tests;

use std::sync::{Arc, PoisonError, RwLock};

use futures::future::{join_all, pending};
use jsonwebtoken::{Algorithm, Header};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::watch;

use super::claims::{self, Audience, NumericDate};
use super::grant::{AuthError, IssuerIndex, KeyStatus, Scopes};
use crate::domain::{ClientId, Reloadable, Timestamp};
use crate::metrics::Metrics;

pub use key_file::IssuerKeyError;
pub use key_set_refresh::{KEY_SET_TIMEOUT, KeySetClient, KeySetDocument, KeySetUnavailable, MAX_KEY_SET_BYTES};
pub use options::{ClaimPath, IssuerOptions, KeySource, ScopeMapping, SignatureAlgorithm, UnknownAlgorithm};
pub use replacement::IssuerReplacement;

use key_set::{IssuerKeys, KeyCandidates};
use key_set_refresh::KeySetRefresh;
use unique_claims::UniqueClaims;

/// Media types of access tokens (RFC 7519, 5.1 and RFC 9068, 2.1), in lower case. Other types, such as that of logout
/// tokens, are signed with the same keys and mean something else (RFC 8725, 3.11).
const TOKEN_TYPES: [&str; 4] = ["jwt", "at+jwt", "application/jwt", "application/at+jwt"];

/// The configured issuers with their present keys. Cheap to clone; all clones share one state.
#[derive(Clone)]
pub struct Issuers {
    all: Reloadable<Vec<Arc<Issuer>>>,
    /// Notified when `all` has changed.
    changed: Arc<watch::Sender<()>>,
}

struct Issuer {
    /// Distinct among the present issuers.
    index: IssuerIndex,
    options: IssuerOptions,
    accepted: Vec<Algorithm>,
    keys: RwLock<Arc<IssuerKeys>>,
    /// For a key set with an address.
    refresh: Option<KeySetRefresh>,
}

/// What the token of a foreign issuer says, verified. Its client may be unknown.
pub(super) struct ForeignToken {
    pub(super) client: ClientId,
    /// `iat`, which issuers may omit.
    pub(super) issued: Option<Timestamp>,
    pub(super) scopes: Scopes,
    pub(super) key: KeyStatus,
    pub(super) expires: Timestamp,
}

impl Issuers {
    /// Reads the key files. Key sets with an address are empty until [`Issuers::run`] has fetched them.
    ///
    /// # Errors
    /// [`IssuerKeyError`] of the first file that cannot be used.
    pub fn open(options: Vec<IssuerOptions>) -> Result<Self, IssuerKeyError> {
        let issuers = Self { all: Reloadable::new(Vec::new()), changed: Arc::new(watch::Sender::new(())) };
        issuers.replace(issuers.prepare(options)?);
        Ok(issuers)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.read(Vec::is_empty)
    }

    /// `iss` of each issuer.
    pub fn names(&self) -> Vec<String> {
        self.all.read(|all| all.iter().map(|issuer| issuer.options.issuer.clone()).collect())
    }

    /// The issuer of this name.
    pub(super) fn find(&self, name: &str) -> Option<IssuerIndex> {
        let find = |all: &Vec<Arc<Issuer>>| all.iter().find(|issuer| issuer.options.issuer == name).map(|i| i.index);
        self.all.read(find)
    }

    /// `None` if it was removed meanwhile.
    fn get(&self, index: IssuerIndex) -> Option<Arc<Issuer>> {
        self.all.read(|all| all.iter().find(|issuer| issuer.index == index).cloned())
    }

    /// Checks a token of this issuer at `now`.
    ///
    /// # Errors
    /// [`AuthError`]: the token gives no access.
    pub(super) fn verify(
        &self,
        index: IssuerIndex,
        token: &str,
        header: &Header,
        now: Timestamp,
    ) -> Result<ForeignToken, AuthError> {
        let issuer = self.get(index).ok_or(AuthError::Issuer)?;
        if header.typ.as_ref().is_some_and(|typ| !TOKEN_TYPES.contains(&typ.to_ascii_lowercase().as_str())) {
            return Err(AuthError::Malformed);
        }
        let keys = issuer.keys();
        let candidates = match keys.candidates(header.kid.as_deref(), header.alg) {
            KeyCandidates::Keys(candidates) => candidates,
            KeyCandidates::UnknownKid if issuer.refresh.is_some() => return Err(AuthError::UnknownIssuerKey(index)),
            KeyCandidates::UnknownKid | KeyCandidates::Ambiguous => return Err(AuthError::UnknownKey),
            KeyCandidates::WrongAlgorithm => return Err(AuthError::Algorithm),
        };
        let mut verified = Err(AuthError::InvalidSignature);
        for key in candidates {
            verified = claims::verify::<UniqueClaims>(token, key.decoding(), header.alg)
                .map(|UniqueClaims(claims)| (claims, key.status.clone()));
            if !matches!(verified, Err(AuthError::InvalidSignature)) {
                break;
            }
        }
        let (claims, key) = verified?;
        issuer.read_claims(&claims, key, now)
    }

    /// Fetches the key set of this issuer, or waits for a fetch that is already running. Returns false at once if
    /// another token has caused a fetch less than 30 s ago.
    pub(super) async fn fetch_keys(&self, index: IssuerIndex) -> bool {
        match self.get(index).as_ref().and_then(|issuer| issuer.refresh.as_ref()) {
            Some(refresh) => refresh.fetch_for_unknown_kid().await,
            None => false,
        }
    }

    /// Whether the latest fetch of this issuer's key set has succeeded.
    pub(super) fn has_current_keys(&self, index: IssuerIndex) -> bool {
        self.get(index).as_ref().and_then(|issuer| issuer.refresh.as_ref()).is_some_and(KeySetRefresh::is_current)
    }

    /// Reads the key files again. Returns whether a key was retired. A file that cannot be used is logged, and its earlier
    /// keys stay valid.
    pub(super) fn reload_files(&self) -> bool {
        let mut retired = false;
        for issuer in self.all.load().iter() {
            match issuer.read_files() {
                Ok(Some(keys)) => retired |= issuer.replace_keys(keys),
                Ok(None) => {}
                Err(error) => {
                    let issuer = &issuer.options.issuer;
                    tracing::warn!(%error, issuer, "cannot read the keys of an issuer again: the known ones stay valid");
                }
            }
        }
        retired
    }

    /// Keeps all key sets up to date; never ends. Calls `on_retired` when a key is no longer valid: streams of its tokens
    /// must end.
    pub async fn run(self, client: Arc<dyn KeySetClient>, metrics: Metrics, on_retired: impl Fn() + Sync) {
        let (client, metrics, on_retired) = (&*client, &metrics, &on_retired);
        let mut changed = self.changed.subscribe();
        loop {
            let all = self.all.load();
            let refreshed = all.iter().filter_map(|issuer| {
                let refresh = issuer.refresh.as_ref()?;
                let replace = move |keys| {
                    if issuer.replace_keys(keys) {
                        on_retired();
                    }
                };
                Some(refresh.run(client, metrics, &issuer.accepted, replace))
            });
            let refreshing = async {
                join_all(refreshed).await;
                pending().await
            };
            tokio::select! {
                () = refreshing => {}
                // A fetch that is running begins again. The sender is not dropped before.
                _ = changed.changed() => {}
            }
        }
    }
}

impl Issuer {
    fn new(index: IssuerIndex, options: IssuerOptions) -> Self {
        let refresh = match &options.keys {
            KeySource::KeySet(url) => Some(KeySetRefresh::new(&options.issuer, url)),
            KeySource::PublicKeys(_) | KeySource::Secret(_) => None,
        };
        let accepted = options.algorithms.iter().map(|algorithm| algorithm.0).collect();
        Self { index, options, accepted, keys: RwLock::default(), refresh }
    }

    /// Where its keys come from, for the log.
    fn source(&self) -> &'static str {
        match &self.options.keys {
            KeySource::PublicKeys(_) => "key_file",
            KeySource::Secret(_) => "secret_file",
            KeySource::KeySet(_) => "jwks_url",
        }
    }

    /// `None` for a key set with an address.
    fn read_files(&self) -> Result<Option<IssuerKeys>, IssuerKeyError> {
        match &self.options.keys {
            KeySource::PublicKeys(path) => key_file::read_public_keys(path, &self.accepted).map(Some),
            KeySource::Secret(path) => key_file::read_secret(path, &self.accepted).map(Some),
            KeySource::KeySet(_) => Ok(None),
        }
    }

    fn keys(&self) -> Arc<IssuerKeys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns whether a key was retired.
    fn replace_keys(&self, mut keys: IssuerKeys) -> bool {
        let mut current = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let retired = keys.succeed(&current);
        *current = Arc::new(keys);
        retired
    }

    /// Checks the claims of a token whose signature is verified.
    fn read_claims(&self, claims: &Value, key: KeyStatus, now: Timestamp) -> Result<ForeignToken, AuthError> {
        let options = &self.options;
        if required::<String>(claims, "iss")? != options.issuer {
            return Err(AuthError::Issuer);
        }
        if !required::<Audience>(claims, "aud")?.includes(&options.audience) {
            return Err(AuthError::Audience);
        }
        let NumericDate(expires) = required(claims, "exp")?;
        if now >= expires {
            return Err(AuthError::Expired);
        }
        if optional::<NumericDate>(claims, "nbf")?.is_some_and(|nbf| now < nbf.0) {
            return Err(AuthError::NotYetValid);
        }
        let issued = optional::<NumericDate>(claims, "iat")?.map(|iat| iat.0);
        let client = options.client_claim.find(claims).and_then(Value::as_str).ok_or(AuthError::Malformed)?;
        // Names that cannot be a client's are common: an issuer may have users besides.
        let client = client.parse().map_err(|_| AuthError::UnknownClient)?;
        let scopes = match options.scope_claim.find(claims) {
            None => None,
            Some(Value::String(words)) => options.scopes.granted(words.split(' ')),
            Some(Value::Array(words)) if words.iter().all(Value::is_string) => {
                options.scopes.granted(words.iter().filter_map(Value::as_str))
            }
            Some(_) => return Err(AuthError::Malformed),
        };
        let scopes = scopes.ok_or(AuthError::Scope)?;
        Ok(ForeignToken { client, issued, scopes, key, expires })
    }
}

fn required<T: DeserializeOwned>(claims: &Value, name: &str) -> Result<T, AuthError> {
    optional(claims, name)?.ok_or(AuthError::Malformed)
}

fn optional<T: DeserializeOwned>(claims: &Value, name: &str) -> Result<Option<T>, AuthError> {
    let claim = claims.get(name).cloned();
    claim.map(serde_json::from_value).transpose().map_err(|_| AuthError::Malformed)
}
