//! The rate of events of each client, its webhooks over all hooks and its registrations of documents: the default, or
//! the limit that the administrator has set.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::rate_limiter::KeyedRates;
use crate::domain::ClientId;

/// The rate limiters of the clients that were called recently, and of those with a limit of their own.
pub(super) struct EventRates {
    common: KeyedRates<ClientId>,
    own: Mutex<HashMap<ClientId, OwnRate>>,
}

struct OwnRate {
    limit: NonZeroU32,
    limiter: DefaultDirectRateLimiter,
}

impl OwnRate {
    fn new(limit: NonZeroU32) -> Self {
        Self { limit, limiter: RateLimiter::direct(Quota::per_second(limit)) }
    }
}

impl EventRates {
    /// `default` is the limit of clients without an own one, in events per second.
    pub(super) fn new(default: NonZeroU32) -> Self {
        Self { common: KeyedRates::new(default), own: Mutex::default() }
    }

    /// Counts a webhook or registration of a client; false if it exceeds the client's own limit or, with `None`, the
    /// default.
    pub(super) fn allows(&self, client: &ClientId, own_limit: Option<NonZeroU32>, default: NonZeroU32) -> bool {
        let Some(limit) = own_limit else { return self.common.allows(client, default) };
        let mut own = self.lock();
        match own.get_mut(client) {
            Some(rate) => {
                // A changed limit counts from now on.
                if rate.limit != limit {
                    *rate = OwnRate::new(limit);
                }
                rate.limiter.check().is_ok()
            }
            None => own.entry(client.clone()).or_insert_with(|| OwnRate::new(limit)).limiter.check().is_ok(),
        }
    }

    /// Removes what is no longer needed: `own_limit` is the present limit of a client.
    pub(super) fn sweep(&self, own_limit: impl Fn(&ClientId) -> Option<NonZeroU32>) {
        self.common.retain_recent();
        self.lock().retain(|client, rate| own_limit(client) == Some(rate.limit));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClientId, OwnRate>> {
        // Every entry is complete at any time.
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_limit_replaces_the_default_and_is_forgotten_with_it() {
        let default = NonZeroU32::new(1000).expect("positive");
        let rates = EventRates::new(default);
        let (a, b): (ClientId, ClientId) = ("a".parse().expect("an id"), "b".parse().expect("an id"));
        let allowed = |client: &ClientId, limit: u32| {
            (0..10).filter(|_| rates.allows(client, NonZeroU32::new(limit), default)).count()
        };
        // A burst of one second is allowed at once.
        assert_eq!((allowed(&a, 1), allowed(&b, 0)), (1, 10));
        assert_eq!(allowed(&a, 2), 2, "a changed limit counts at once");
        assert_eq!(allowed(&a, 0), 10);
        rates.sweep(|_| None);
        assert!(rates.lock().is_empty());
    }
}
