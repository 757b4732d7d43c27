//! Rate limiters of one kind, one for each key that was used recently. A changed rate counts from the next request on.

use std::hash::Hash;
use std::num::NonZeroU32;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::domain::Reloadable;

/// The limiters with the rate that they were made for.
pub(super) struct KeyedRates<K: Hash + Eq + Clone>(Reloadable<RateGeneration<K>>);

struct RateGeneration<K: Hash + Eq + Clone> {
    rate: NonZeroU32,
    limiter: DefaultKeyedRateLimiter<K>,
}

impl<K: Hash + Eq + Clone> KeyedRates<K> {
    pub(super) fn new(rate: NonZeroU32) -> Self {
        Self(Reloadable::new(RateGeneration::new(rate)))
    }

    /// Counts a request of this key; false if it exceeds the rate, in requests per second.
    pub(super) fn allows(&self, key: &K, rate: NonZeroU32) -> bool {
        let checked = self.0.read(|present| (present.rate == rate).then(|| present.limiter.check_key(key).is_ok()));
        checked.unwrap_or_else(|| {
            // Two requests may do this at the same time, which forgets the first one.
            self.0.replace(RateGeneration::new(rate));
            self.0.read(|present| present.limiter.check_key(key).is_ok())
        })
    }

    /// Forgets the keys that were not used recently.
    pub(super) fn retain_recent(&self) {
        self.0.read(|present| present.limiter.retain_recent());
    }
}

impl<K: Hash + Eq + Clone> RateGeneration<K> {
    fn new(rate: NonZeroU32) -> Self {
        Self { rate, limiter: RateLimiter::keyed(Quota::per_second(rate)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_rate_counts_from_the_next_request_on() {
        let rates = KeyedRates::new(NonZeroU32::MIN);
        let allowed = |rate: u32| {
            let rate = NonZeroU32::new(rate).expect("positive");
            (0..10).filter(|_| rates.allows(&"hook", rate)).count()
        };
        assert_eq!((allowed(1), allowed(1)), (1, 0));
        assert_eq!((allowed(3), allowed(3)), (3, 0));
        assert_eq!(allowed(2), 2);
    }
}
