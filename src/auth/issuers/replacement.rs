//! Replaces the issuers while tokens are checked: first every key file is read, then the new list is put in place at once.

use std::sync::Arc;

use super::key_set::IssuerKeys;
use super::{Issuer, IssuerKeyError, IssuerOptions, Issuers};
use crate::auth::grant::IssuerIndex;

/// Issuers whose key files were read, to be put in place of the present ones.
pub struct IssuerReplacement {
    all: Vec<PreparedIssuer>,
}

struct PreparedIssuer {
    issuer: Arc<Issuer>,
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
            let issuer = present.iter().find(|issuer| issuer.options == options).cloned().unwrap_or_else(|| {
                let index = IssuerIndex(next_index);
                next_index += 1;
                Arc::new(Issuer::new(index, options))
            });
            let keys = issuer.read_files()?;
            all.push(PreparedIssuer { issuer, keys });
        }
        Ok(IssuerReplacement { all })
    }

    /// Replaces the issuers. Those with the same options keep their keys. The keys of the others are retired, because their
    /// tokens may not be valid with the new options. Returns whether a key was retired: streams of its tokens must end.
    pub fn replace(&self, replacement: IssuerReplacement) -> bool {
        let before = self.all.load();
        let (mut after, mut retired) = (Vec::with_capacity(replacement.all.len()), false);
        for PreparedIssuer { issuer, keys } in replacement.all {
            retired |= keys.is_some_and(|keys| issuer.replace_keys(keys));
            after.push(issuer);
        }
        let is_in = |all: &[Arc<Issuer>], issuer: &Arc<Issuer>| all.iter().any(|other| Arc::ptr_eq(other, issuer));
        let removed = before.iter().filter(|issuer| !is_in(&after, issuer)).cloned().collect::<Vec<_>>();
        for issuer in after.iter().filter(|issuer| !is_in(&before, issuer)) {
            let IssuerOptions { issuer: name, audience, .. } = &issuer.options;
            tracing::info!(issuer = name, audience, keys = issuer.source(), "tokens of issuer accepted");
        }
        // Before their keys are retired: a token of an issuer whose options have changed is then checked by the new ones.
        self.all.replace(after);
        for issuer in removed {
            tracing::info!(issuer = issuer.options.issuer, "tokens of issuer with these settings no longer accepted");
            retired |= issuer.replace_keys(IssuerKeys::default());
        }
        self.changed.send_replace(());
        retired
    }
}
