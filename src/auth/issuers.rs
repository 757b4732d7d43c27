//! Tokens of foreign issuers: which of the configured issuers a token names, the check of its signature with a key of
//! that issuer alone, and of its claims. Knows neither the registry of clients nor HTTP; `key_set_refresh` fetches key
//! sets through a port.

mod claim_rules;
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

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use futures::future::{join_all, pending};
use jsonwebtoken::{Algorithm, Header};
use tokio::sync::watch;

use super::claims;
use super::grant::{AuthError, IssuerIndex, KeyStatus};
use crate::domain::{Reloadable, Timestamp};
use crate::metrics::Metrics;

pub(super) use claim_rules::ForeignClaims;
pub use claim_rules::{ClaimPath, ClaimRules, ScopeMapping};
pub use key_file::IssuerKeyError;
pub use key_set_refresh::{KEY_SET_TIMEOUT, KeySetClient, KeySetDocument, KeySetUnavailable, MAX_KEY_SET_BYTES};
pub use options::{IssuerOptions, KeySource, SignatureAlgorithm, UnknownAlgorithm};
pub use replacement::IssuerReplacement;

use key_file::SharedSecret;
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

/// An issuer with one source of keys. A reload that changes the source makes another one.
struct Issuer {
    /// Distinct among the present issuers.
    index: IssuerIndex,
    name: String,
    source: KeySource,
    accepted: Vec<Algorithm>,
    present: RwLock<Arc<IssuerState>>,
    /// `None` if the keys come from a file.
    refresh: Option<KeySetRefresh>,
    /// Whether other users could read the file of the shared secret when it was read last: logged when it changes.
    is_secret_exposed: AtomicBool,
}

/// What tokens of an issuer are checked with. A token is checked with one state, so that its key is retired if the
/// rules change meanwhile.
struct IssuerState {
    rules: ClaimRules,
    keys: IssuerKeys,
}

/// What the token of a foreign issuer says, verified.
pub(super) struct ForeignToken {
    pub(super) claims: ForeignClaims,
    pub(super) key: KeyStatus,
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
        self.all.read(|all| all.iter().map(|issuer| issuer.name.clone()).collect())
    }

    /// The issuer of this name.
    pub(super) fn find(&self, name: &str) -> Option<IssuerIndex> {
        let find = |all: &Vec<Arc<Issuer>>| all.iter().find(|issuer| issuer.name == name).map(|i| i.index);
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
        let present = issuer.present();
        let candidates = match present.keys.candidates(header.kid.as_deref(), header.alg) {
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
        Ok(ForeignToken { claims: present.rules.read(&issuer.name, &claims, now)?, key })
    }

    /// Fetches the key set of this issuer, or waits for a fetch that is already running. Returns false at once if
    /// other tokens have caused too many fetches lately.
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

    /// Reads the key files again. Returns whether a key was retired. A file that cannot be used is logged, and its
    /// earlier keys stay valid.
    pub(super) fn reload_files(&self) -> bool {
        let mut retired = false;
        for issuer in self.all.load().iter() {
            match issuer.read_files() {
                Ok(Some(keys)) => retired |= issuer.replace_keys(keys),
                Ok(None) => {}
                Err(error) => {
                    let issuer = &issuer.name;
                    tracing::warn!(%error, issuer, "cannot read the keys of an issuer again: the known ones stay valid");
                }
            }
        }
        retired
    }

    /// Keeps all key sets up to date; never ends. Calls `on_retired` when a key is no longer valid: streams of its
    /// tokens must end.
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
        let IssuerOptions { issuer: name, keys: source, algorithms, claims: rules } = options;
        let refresh = match &source {
            KeySource::KeySet(url) => Some(KeySetRefresh::new(&name, url)),
            KeySource::PublicKeys(_) | KeySource::Secret(_) => None,
        };
        let present = RwLock::new(Arc::new(IssuerState { rules, keys: IssuerKeys::default() }));
        let is_secret_exposed = AtomicBool::new(false);
        Self { index, name, source, accepted: accepted(&algorithms), present, refresh, is_secret_exposed }
    }

    /// Whether its keys are those of an issuer with these options.
    fn has_keys_of(&self, options: &IssuerOptions) -> bool {
        let IssuerOptions { issuer, keys, algorithms, claims: _ } = options;
        self.name == *issuer && self.source == *keys && self.accepted == accepted(algorithms)
    }

    /// `None` for a key set with an address.
    fn read_files(&self) -> Result<Option<IssuerKeys>, IssuerKeyError> {
        match &self.source {
            KeySource::PublicKeys(path) => key_file::read_public_keys(path, &self.accepted).map(Some),
            KeySource::Secret(path) => {
                let SharedSecret { keys, is_exposed } = key_file::read_secret(path, &self.accepted)?;
                let was_exposed = self.is_secret_exposed.swap(is_exposed, Ordering::Relaxed);
                if is_exposed && !was_exposed {
                    let (issuer, secret_file) = (&self.name, path.display());
                    tracing::warn!(issuer, %secret_file, "secret of an issuer is accessible to other users of this machine: run chmod 600");
                }
                Ok(Some(keys))
            }
            KeySource::KeySet(_) => Ok(None),
        }
    }

    fn present(&self) -> Arc<IssuerState> {
        self.present.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns whether a key was retired.
    fn replace_keys(&self, mut keys: IssuerKeys) -> bool {
        let mut present = self.present.write().unwrap_or_else(PoisonError::into_inner);
        let retired = keys.succeed(&present.keys);
        *present = Arc::new(IssuerState { rules: present.rules.clone(), keys });
        retired
    }

    /// Puts these rules in place of different ones, with the same keys. They are retired for the tokens that were
    /// checked before, which may not be valid with the new rules. Returns whether a key was retired.
    fn replace_rules(&self, rules: &ClaimRules) -> bool {
        let mut present = self.present.write().unwrap_or_else(PoisonError::into_inner);
        if present.rules == *rules {
            return false;
        }
        let before = present.clone();
        *present = Arc::new(IssuerState { rules: rules.clone(), keys: before.keys.renewed() });
        // After the new state is in place: a token whose key is found retired is checked again.
        before.keys.retire()
    }
}

fn accepted(algorithms: &[SignatureAlgorithm]) -> Vec<Algorithm> {
    algorithms.iter().map(|algorithm| algorithm.0).collect()
}
