//! Replaces the issuers while tokens are checked: first every key file is read, then the new list is put in place at
//! once.

use std::sync::Arc;

use super::key_set::IssuerKeys;
use super::{ClaimRules, Issuer, IssuerKeyError, IssuerOptions, Issuers};
use crate::auth::grant::IssuerIndex;

/// Issuers whose key files were read, to be put in place of the present ones.
pub struct IssuerReplacement {
    all: Vec<PreparedIssuer>,
}

struct PreparedIssuer {
    issuer: Arc<Issuer>,
    rules: ClaimRules,
    /// `None` for a key set with an address.
    keys: Option<IssuerKeys>,
}

impl Issuers {
    /// Reads the key files of these issuers. Changes nothing.
    ///
    /// # Errors
    /// [`IssuerKeyError`] of the first file that cannot be used.
    pub fn prepare(&self, options: Vec<IssuerOptions>) -> Result<IssuerReplacement, IssuerKeyError> {
        let present = self.all.load();
        let mut next_index = present.iter().map(|issuer| issuer.index.0 + 1).max().unwrap_or(0);
        let mut all = Vec::with_capacity(options.len());
        for options in options {
            let rules = options.claims.clone();
            let issuer = present.iter().find(|issuer| issuer.has_keys_of(&options)).cloned().unwrap_or_else(|| {
                let index = IssuerIndex(next_index);
                next_index += 1;
                Arc::new(Issuer::new(index, options))
            });
            let keys = issuer.read_files()?;
            all.push(PreparedIssuer { issuer, rules, keys });
        }
        Ok(IssuerReplacement { all })
    }

    /// Replaces the issuers. Those with the same source of keys keep their keys, and a key set is not fetched again.
    /// Keys of removed issuers and of changed rules are retired, because tokens of theirs may no longer be valid.
    /// Returns whether a key was retired: streams of its tokens must end.
    pub fn replace(&self, replacement: IssuerReplacement) -> bool {
        let before = self.all.load();
        let (mut after, mut retired) = (Vec::with_capacity(replacement.all.len()), false);
        for PreparedIssuer { issuer, rules, keys } in replacement.all {
            retired |= keys.is_some_and(|keys| issuer.replace_keys(keys));
            let is_present = before.iter().any(|other| Arc::ptr_eq(other, &issuer));
            if !is_present || issuer.present().rules != rules {
                let keys = issuer.source.key();
                tracing::info!(issuer = issuer.name, audience = rules.audience, keys, "tokens of issuer accepted");
            }
            retired |= issuer.replace_rules(&rules);
            after.push(issuer);
        }
        let is_kept = |issuer: &Arc<Issuer>| after.iter().any(|other| Arc::ptr_eq(other, issuer));
        let removed = before.iter().filter(|issuer| !is_kept(issuer)).cloned().collect::<Vec<_>>();
        // Before their keys are retired: a token of an issuer with another source of keys is then checked with the new
        // one.
        self.all.replace(after);
        for issuer in removed {
            tracing::info!(issuer = issuer.name, "tokens of issuer with these keys no longer accepted");
            retired |= issuer.replace_keys(IssuerKeys::default());
        }
        self.changed.send_replace(());
        retired
    }
}
