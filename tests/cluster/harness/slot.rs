//! Limits how many clusters run at once: three relays and three brokers each need the machine to themselves, more than
//! the tests that run beside each other in other suites.

use std::sync::{Condvar, Mutex, PoisonError};

const CLUSTERS_AT_ONCE: usize = 2;

static RUNNING: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

/// The right to run a cluster, until it is dropped.
pub(crate) struct Slot(());

impl Slot {
    /// Waits until fewer clusters run.
    pub(crate) fn take() -> Self {
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |running: &mut usize| *running >= CLUSTERS_AT_ONCE;
        *ENDED.wait_while(running, full).unwrap_or_else(PoisonError::into_inner) += 1;
        Self(())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ENDED.notify_one();
    }
}
