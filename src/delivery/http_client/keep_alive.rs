//! Bounds the connections that the pool keeps, over all origins: decides which requests may leave their connection
//! open. The pool itself has a limit per origin only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// An origin may have idle connections for this long after its last request: the pool's idle timeout, twice, because
/// the pool looks for expired connections once per timeout.
const RETENTION: Duration = super::IDLE_TIMEOUT.saturating_mul(2);

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct KeepAlive {
    state: Arc<Mutex<KeepAliveState>>,
}

struct KeepAliveState {
    /// Connections of all origins that may be kept.
    limit: usize,
    kept: usize,
    origins: HashMap<String, OriginConnections>,
}

struct OriginConnections {
    in_use: usize,
    /// Upper bound of its open connections: the maximum of `in_use` since it was last 0.
    kept: usize,
    last_use: Instant,
}

/// A request whose connection may be kept.
pub(super) struct KeptConnection {
    keep_alive: KeepAlive,
    origin: String,
}

impl KeepAlive {
    pub(super) fn new(limit: usize) -> Self {
        Self { state: Arc::new(Mutex::new(KeepAliveState { limit, kept: 0, origins: HashMap::new() })) }
    }

    /// For a request that begins; the result is dropped when it ends. `None` if its connection has to be closed.
    pub(super) fn enter(&self, origin: String, now: Instant) -> Option<KeptConnection> {
        let mut state = self.lock();
        let needs_more = state.origins.get(&origin).is_none_or(|known| known.in_use == known.kept);
        if needs_more && state.kept >= state.limit {
            state.forget_unused(now);
        }
        if needs_more && state.kept >= state.limit {
            return None;
        }
        let new = OriginConnections { in_use: 0, kept: 0, last_use: now };
        let known = state.origins.entry(origin.clone()).or_insert(new);
        known.in_use += 1;
        if known.in_use > known.kept {
            known.kept += 1;
            state.kept += 1;
        }
        drop(state);
        Some(KeptConnection { keep_alive: self.clone(), origin })
    }

    fn lock(&self) -> MutexGuard<'_, KeepAliveState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeepAliveState {
    /// Removes the origins whose connections the pool has closed.
    fn forget_unused(&mut self, now: Instant) {
        let is_expired = |origin: &OriginConnections| now.saturating_duration_since(origin.last_use) >= RETENTION;
        let is_unused = |_: &String, origin: &mut OriginConnections| origin.in_use == 0 && is_expired(origin);
        for (_, unused) in self.origins.extract_if(is_unused) {
            self.kept = self.kept.saturating_sub(unused.kept);
        }
    }
}

impl Drop for KeptConnection {
    fn drop(&mut self) {
        if let Some(origin) = self.keep_alive.lock().origins.get_mut(&self.origin) {
            origin.in_use = origin.in_use.saturating_sub(1);
            origin.last_use = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_connections_are_bounded_over_all_origins() {
        let keep_alive = KeepAlive::new(3);
        let enter_at = |origin: &str, now: Instant| keep_alive.enter(origin.to_owned(), now);
        let enter = |origin: &str| enter_at(origin, Instant::now());
        let (first, second) = (enter("a"), enter("a"));
        assert!(first.is_some() && second.is_some());
        drop((first, second));
        assert!(enter("a").is_some() && enter("b").is_some(), "the connections of a are reused");
        assert!(enter("c").is_none() && keep_alive.lock().kept == 3);
        assert!(enter("b").is_some(), "its connection is idle");
        assert!(enter_at("c", Instant::now() + RETENTION).is_some(), "the idle connections of the others are closed");
        assert_eq!(keep_alive.lock().origins.len(), 1);
    }
}
