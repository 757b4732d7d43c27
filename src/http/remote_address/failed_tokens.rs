//! How many tokens and other credentials each address has failed with lately. Beyond its bound, nothing of an address
//! is verified any more until the window has moved on: verifying a forged signature costs more than sending it.
//!
//! The bound is a leaky bucket (GCRA): an address may fail as often as the limit says at once, and then once more in
//! each fraction of the window.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::CountedAddress;
use crate::domain::Reloadable;

/// Addresses in memory at most: some 3 MiB. Further ones replace those with the fewest failures.
const MAX_ADDRESSES: usize = 65_536;

/// Time between two log lines about addresses at their bound.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The bound of the failures of one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedTokenLimit {
    pub per_address: NonZeroU32,
    pub window: Duration,
}

impl FailedTokenLimit {
    /// The part of the window that one failure takes.
    fn interval(self) -> Duration {
        (self.window / self.per_address.get()).max(Duration::from_nanos(1))
    }
}

/// The recent failures of all addresses.
pub(in crate::http) struct FailedTokens {
    limit: Reloadable<FailedTokenLimit>,
    max_addresses: usize,
    recent: Mutex<RecentFailures>,
}

#[derive(Default)]
struct RecentFailures {
    /// When the failures of an address will all be forgotten: further in the future, the more they are.
    forgotten_at: HashMap<CountedAddress, Instant>,
    /// When an address at its bound was logged last.
    logged: Option<Instant>,
}

impl FailedTokens {
    pub(in crate::http) fn new(limit: FailedTokenLimit) -> Self {
        Self { limit: Reloadable::new(limit), max_addresses: MAX_ADDRESSES, recent: Mutex::default() }
    }

    /// Changes the bound. A different one forgets the failures so far, because they were counted in parts of another
    /// window.
    pub(in crate::http) fn set_limit(&self, limit: FailedTokenLimit) {
        if limit != self.limit.get() {
            self.limit.replace(limit);
            self.lock().forgotten_at.clear();
        }
    }

    /// `None` if a token of this address may be verified; otherwise after how long it may be. Requests that are
    /// verified at the same time may exceed the bound by their number.
    pub(in crate::http) fn retry_after(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let forgotten_at = *self.lock().forgotten_at.get(&address.into())?;
        let limit = self.limit.get();
        let used = forgotten_at.saturating_duration_since(now) + limit.interval();
        used.checked_sub(limit.window).filter(|wait| !wait.is_zero())
    }

    /// Counts a failure of this address. True if the address is at its bound and this is to be logged, which it is
    /// seldom.
    pub(in crate::http) fn record(&self, address: IpAddr, now: Instant) -> bool {
        let counted = address.into();
        let limit = self.limit.get();
        let mut recent = self.lock();
        let RecentFailures { forgotten_at, logged } = &mut *recent;
        if forgotten_at.len() >= self.max_addresses && !forgotten_at.contains_key(&counted) {
            self.make_room(forgotten_at, now);
        }
        let entry = forgotten_at.entry(counted).or_insert(now);
        // Never further than the window, so that an address recovers within it.
        *entry = ((*entry).max(now) + limit.interval()).min(now + limit.window);
        let is_at_bound = *entry + limit.interval() > now + limit.window;
        let is_logged = is_at_bound && logged.is_none_or(|logged| now.duration_since(logged) >= LOG_INTERVAL);
        if is_logged {
            *logged = Some(now);
        }
        is_logged
    }

    /// Forgets the addresses whose failures are over. Called periodically.
    pub(in crate::http) fn sweep(&self, now: Instant) {
        let forgotten_at = &mut self.lock().forgotten_at;
        forgotten_at.retain(|_, time| *time > now);
        forgotten_at.shrink_to_fit();
    }

    /// Removes the addresses whose failures are over. If these are few, also those with fewer failures than half of
    /// all: an attacker with many addresses does not displace an address that fails often.
    fn make_room(&self, forgotten_at: &mut HashMap<CountedAddress, Instant>, now: Instant) {
        forgotten_at.retain(|_, time| *time > now);
        if forgotten_at.len() <= self.max_addresses / 2 {
            return;
        }
        let mut all: Vec<Instant> = forgotten_at.values().copied().collect();
        let middle = all.len() / 2;
        let median = *all.select_nth_unstable(middle).1;
        forgotten_at.retain(|_, time| *time > median);
    }

    fn lock(&self) -> MutexGuard<'_, RecentFailures> {
        // Every entry is complete at any time.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(per_address: u32, max_addresses: usize) -> FailedTokens {
        let per_address = NonZeroU32::new(per_address).expect("positive");
        let limit = FailedTokenLimit { per_address, window: Duration::from_secs(60) };
        FailedTokens { max_addresses, ..FailedTokens::new(limit) }
    }

    fn ip(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    #[test]
    fn address_is_blocked_at_its_bound_and_recovers_step_by_step() {
        let (table, now) = (table(6, 100), Instant::now());
        for _ in 0..6 {
            assert_eq!(table.retry_after(ip(1), now), None);
            table.record(ip(1), now);
        }
        assert_eq!(table.retry_after(ip(1), now), Some(Duration::from_secs(10)));
        assert_eq!(table.retry_after(ip(2), now), None, "other addresses are not affected");
        let later = now + Duration::from_secs(10);
        assert_eq!(table.retry_after(ip(1), later), None);
        table.record(ip(1), later);
        assert_eq!(table.retry_after(ip(1), later), Some(Duration::from_secs(10)));
        // However many requests were in flight.
        for _ in 0..1000 {
            table.record(ip(1), later);
        }
        assert_eq!(table.retry_after(ip(1), later + Duration::from_secs(10)), None);
        let settled = later + Duration::from_secs(60);
        for _ in 0..6 {
            table.record(ip(1), settled);
        }
        assert!(table.retry_after(ip(1), settled).is_some(), "the whole bound is available after the window");
    }

    #[test]
    fn flood_of_addresses_does_not_grow_the_table_or_free_a_blocked_one() {
        let (table, now) = (table(3, 100), Instant::now());
        for _ in 0..3 {
            table.record(ip(0), now);
        }
        for number in 1..10_000 {
            table.record(ip(number), now + Duration::from_millis(u64::from(number) / 10));
            assert!(table.lock().forgotten_at.len() <= 100);
        }
        assert!(table.retry_after(ip(0), now + Duration::from_secs(1)).is_some());
    }

    #[test]
    fn addresses_are_forgotten_when_their_failures_are_over() {
        let (table, now) = (table(3, 100), Instant::now());
        for number in 0..50 {
            table.record(ip(number), now);
        }
        table.sweep(now + Duration::from_secs(19));
        assert_eq!(table.lock().forgotten_at.len(), 50);
        table.sweep(now + Duration::from_secs(20));
        assert_eq!(table.lock().forgotten_at.len(), 0);
    }
}
