//! Counts what each address has at once: connections, or requests. Knows neither.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::CountedAddress;

/// The counts of all addresses. Cheap to clone.
///
/// An entry exists while its address has something, so there are at most as many entries as things that are counted.
#[derive(Debug, Clone, Default)]
pub(in crate::http) struct AddressCounts(Arc<Mutex<HashMap<CountedAddress, usize>>>);

/// One thing that an address has; dropping it makes room for another one.
#[derive(Debug)]
pub(in crate::http) struct AddressCount {
    counts: AddressCounts,
    address: CountedAddress,
}

impl AddressCounts {
    /// Counts one more; `None` if the address has `max` already.
    pub(in crate::http) fn admit(&self, address: IpAddr, max: usize) -> Option<AddressCount> {
        let address = CountedAddress::from(address);
        let mut counts = self.lock();
        if counts.get(&address).is_some_and(|count| *count >= max) {
            return None;
        }
        *counts.entry(address).or_insert(0) += 1;
        Some(AddressCount { counts: self.clone(), address })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CountedAddress, usize>> {
        // Every count is right at any time.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AddressCount {
    fn drop(&mut self) {
        let mut counts = self.counts.lock();
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn address_at_its_bound_is_refused_until_something_ends() {
        let counts = AddressCounts::default();
        let first = counts.admit(ip("192.0.2.1"), 2).expect("room");
        let _second = counts.admit(ip("::ffff:192.0.2.1"), 2).expect("room");
        assert!(counts.admit(ip("192.0.2.1"), 2).is_none());
        let _other = counts.admit(ip("192.0.2.2"), 2).expect("another address");
        drop(first);
        let _third = counts.admit(ip("192.0.2.1"), 2).expect("room again");
    }

    #[test]
    fn addresses_without_anything_are_forgotten() {
        let counts = AddressCounts::default();
        let held: Vec<_> = (0..=255).map(|n| counts.admit(IpAddr::from([192, 0, 2, n]), 1)).collect();
        assert_eq!(counts.lock().len(), 256);
        drop(held);
        assert_eq!(counts.lock().len(), 0);
    }
}
