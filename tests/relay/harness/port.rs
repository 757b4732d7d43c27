//! Ports of relays and brokers that are stopped and started again.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::Mutex;

/// A port that stays free while a server is down: the system takes the ports of outgoing connections from a higher
/// range.
pub(crate) fn free_port() -> u16 {
    static USED: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    std::iter::repeat_with(|| fastrand::u16(20_000..32_000))
        .find(|port| {
            TcpListener::bind(("127.0.0.1", *port)).is_ok() && USED.lock().expect("a set of ports").insert(*port)
        })
        .expect("a free port")
}
