//! Permits of open connections or of requests, whose number can be changed while they are held.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bounds what a server has at once: its open connections, or its requests of HTTP/2. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Permits {
    semaphore: Arc<Semaphore>,
    bound: Arc<Mutex<Bound>>,
}

#[derive(Debug)]
struct Bound {
    max: usize,
    /// Permits that exist beyond `max`: they are held. They are removed when they are acquired next.
    surplus: usize,
}

impl Permits {
    /// At least one permit.
    pub fn new(max: usize) -> Self {
        let max = max.clamp(1, Semaphore::MAX_PERMITS);
        Self { semaphore: Arc::new(Semaphore::new(max)), bound: Arc::new(Mutex::new(Bound { max, surplus: 0 })) }
    }

    /// The number of permits that may be held.
    pub(in crate::http) fn max(&self) -> usize {
        self.bound().max
    }

    /// Changes the number of permits that may be held. Those beyond a lower number stay valid.
    pub fn set_max(&self, max: usize) {
        let max = max.clamp(1, Semaphore::MAX_PERMITS);
        let mut bound = self.bound();
        let permits = bound.max + bound.surplus;
        if max >= permits {
            self.semaphore.add_permits(max - permits);
            bound.surplus = 0;
        } else {
            let removed = self.semaphore.forget_permits(permits - max);
            bound.surplus = permits - max - removed;
        }
        bound.max = max;
    }

    /// Waits for a free permit. `None` only if the semaphore is closed, which never happens.
    pub(super) async fn acquire(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            let permit = self.semaphore.clone().acquire_owned().await.ok()?;
            if let Some(permit) = self.without_surplus(permit) {
                return Some(permit);
            }
        }
    }

    /// A permit that is free now.
    pub(in crate::http) fn try_acquire(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            let permit = self.semaphore.clone().try_acquire_owned().ok()?;
            if let Some(permit) = self.without_surplus(permit) {
                return Some(permit);
            }
        }
    }

    /// Removes a permit of the surplus.
    fn without_surplus(&self, permit: OwnedSemaphorePermit) -> Option<OwnedSemaphorePermit> {
        let mut bound = self.bound();
        if bound.surplus == 0 {
            return Some(permit);
        }
        bound.surplus -= 1;
        permit.forget();
        None
    }

    fn bound(&self) -> MutexGuard<'_, Bound> {
        // Both numbers are right at any time.
        self.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn acquire(permits: &Permits) -> Option<OwnedSemaphorePermit> {
        permits.acquire().now_or_never().flatten()
    }

    #[test]
    fn number_of_permits_follows_every_change() {
        let permits = Permits::new(3);
        let mut open: Vec<_> = (0..3).map(|_| acquire(&permits).expect("a permit")).collect();
        assert!(acquire(&permits).is_none());
        permits.set_max(1);
        open.truncate(1);
        assert!(acquire(&permits).is_none(), "one connection is open");
        open.clear();
        open.extend(acquire(&permits));
        assert!(open.len() == 1 && acquire(&permits).is_none());
        permits.set_max(4);
        open.extend(std::iter::from_fn(|| acquire(&permits)));
        assert_eq!(open.len(), 4);
        // Raised again while connections hold the surplus.
        permits.set_max(2);
        permits.set_max(3);
        open.truncate(2);
        open.extend(std::iter::from_fn(|| acquire(&permits)));
        assert_eq!(open.len(), 3);
    }
}
