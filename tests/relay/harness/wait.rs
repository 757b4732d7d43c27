//! Deadlines, polling and threads for tests.

use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

/// Upper bound of every wait; only a failing test reaches it.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// Interval between two checks of a condition that cannot be observed as it changes.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Lets time pass that is part of the scenario: the response time of an endpoint, the rate of a load. Not a way to wait
/// until something has happened; that is [`wait_until`].
pub(crate) fn delay(duration: Duration) {
    let (_sender, receiver) = sync_channel::<()>(1);
    receiver.recv_timeout(duration).ok();
}

/// Polls until the condition holds; panics after [`TIMEOUT`].
#[track_caller]
pub(crate) fn wait_until(condition: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !holds() {
        assert!(Instant::now() < deadline, "timed out waiting until {condition}");
        delay(POLL_INTERVAL);
    }
}

/// Spawns a named thread.
pub(crate) fn spawn_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> thread::JoinHandle<T> {
    thread::Builder::new().name(name.to_owned()).spawn(work).expect("a thread")
}
