//! Permits for checks of endpoints that resolve a host name, in all and per client: a client whose names do not resolve
//! waits for its own checks only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::ClientId;

/// Concurrent checks of all clients. Each may use two sockets.
const MAX_CHECKS: usize = 256;

/// Concurrent checks of one client.
const MAX_CHECKS_PER_CLIENT: usize = 8;

/// Running checks by client; a client without any has no entry. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct EndpointChecks {
    running: Arc<Mutex<HashMap<ClientId, usize>>>,
}

impl EndpointChecks {
    /// A permit for one check; `None` when a limit is reached.
    pub(super) fn acquire(&self, client: &ClientId) -> Option<CheckPermit> {
        let mut running = self.lock();
        let of_client = running.get(client).copied().unwrap_or(0);
        if of_client >= MAX_CHECKS_PER_CLIENT || running.values().sum::<usize>() >= MAX_CHECKS {
            return None;
        }
        running.insert(client.clone(), of_client + 1);
        drop(running);
        Some(CheckPermit { checks: self.clone(), client: client.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClientId, usize>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Released on drop.
pub(super) struct CheckPermit {
    checks: EndpointChecks,
    client: ClientId,
}

impl Drop for CheckPermit {
    fn drop(&mut self) {
        let mut running = self.checks.lock();
        if let Some(count) = running.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                running.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_cannot_take_all_check_permits() {
        let checks = EndpointChecks::default();
        let client = |number: usize| -> ClientId { format!("client-{number}").parse().expect("a client id") };
        let mut permits: Vec<_> = std::iter::from_fn(|| checks.acquire(&client(0))).collect();
        assert_eq!(permits.len(), MAX_CHECKS_PER_CLIENT);
        for number in 1.. {
            let of_client: Vec<_> = std::iter::from_fn(|| checks.acquire(&client(number))).collect();
            if of_client.is_empty() {
                break;
            }
            permits.extend(of_client);
        }
        assert_eq!(permits.len(), MAX_CHECKS);
        permits.clear();
        assert!(checks.lock().is_empty());
    }
}
