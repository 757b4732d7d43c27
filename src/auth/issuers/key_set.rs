//! The keys of one issuer at one time, and the choice among them by `kid` and algorithm. Independent of where they come
//! from.

use jsonwebtoken::Algorithm;

use super::verification_key::VerificationKey;
use crate::auth::grant::KeyStatus;

/// Signatures that are checked for one token at most.
pub(super) const MAX_CANDIDATES: usize = 8;

/// The keys of an issuer.
#[derive(Default)]
pub(super) struct IssuerKeys {
    keys: Vec<VerificationKey>,
}

/// The keys that may have signed a token.
pub(super) enum KeyCandidates<'a> {
    /// At least one. More than one only without key ids, and at most [`MAX_CANDIDATES`].
    Keys(Vec<&'a VerificationKey>),
    /// No key has this id. A newer set may contain it.
    UnknownKid,
    /// The key is there, but not for this algorithm.
    WrongAlgorithm,
    /// Several keys match, and the token does not say which one it means.
    Ambiguous,
}

impl IssuerKeys {
    pub(super) fn new(keys: Vec<VerificationKey>) -> Self {
        Self { keys }
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The keys for a token with this `kid` and `alg`.
    ///
    /// Keys of files have no id, so all of them are tried. In a set with ids a token without `kid` is accepted only if
    /// one key fits, and a `kid` that two keys of one type share selects none.
    pub(super) fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> KeyCandidates<'_> {
        let has_ids = self.keys.iter().any(|key| key.kid.is_some());
        let is_named = |key: &&VerificationKey| !has_ids || kid.is_none_or(|kid| key.kid.as_deref() == Some(kid));
        let named: Vec<_> = self.keys.iter().filter(is_named).collect();
        if named.is_empty() {
            return KeyCandidates::UnknownKid;
        }
        let fitting: Vec<_> = named.into_iter().filter(|key| key.algorithms.contains(&algorithm)).collect();
        match fitting.len() {
            0 => KeyCandidates::WrongAlgorithm,
            1 => KeyCandidates::Keys(fitting),
            count if has_ids || count > MAX_CANDIDATES => KeyCandidates::Ambiguous,
            _ => KeyCandidates::Keys(fitting),
        }
    }

    /// The same keys, none of which is retired.
    pub(super) fn renewed(&self) -> Self {
        let renew = |key: &VerificationKey| VerificationKey { status: KeyStatus::default(), ..key.clone() };
        Self { keys: self.keys.iter().map(renew).collect() }
    }

    /// Retires all keys. Returns whether there are any.
    pub(super) fn retire(&self) -> bool {
        self.keys.iter().map(|key| key.status.retire()).count() > 0
    }

    /// Keeps the status of keys that were in the set before, and retires those that are no longer in it. Returns
    /// whether any was retired.
    pub(super) fn succeed(&mut self, before: &Self) -> bool {
        for key in &mut self.keys {
            if let Some(old) = before.keys.iter().find(|old| old.is_same(key)) {
                key.status = old.status.clone();
            }
        }
        let gone = before.keys.iter().filter(|old| !self.keys.iter().any(|key| key.is_same(old)));
        gone.map(|key| key.status.retire()).count() > 0
    }
}
