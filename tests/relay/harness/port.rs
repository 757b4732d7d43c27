//! Ports of relays and brokers that are stopped and started again.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::TcpListener;
use std::sync::Mutex;

/// A port that stays free while a server is down. The system takes the ports of outgoing connections from a higher
/// range, and the tests of other processes respect the lock of its file.
pub(crate) fn free_port() -> u16 {
    /// The locked file of each port: the lock ends with the process.
    static RESERVED: Mutex<BTreeMap<u16, File>> = Mutex::new(BTreeMap::new());
    let mut reserved = RESERVED.lock().expect("a map of ports");
    std::iter::repeat_with(|| fastrand::u16(20_000..32_000))
        .find(|port| {
            if reserved.contains_key(port) {
                return false;
            }
            let Some(file) = lock(*port) else { return false };
            let is_free = TcpListener::bind(("127.0.0.1", *port)).is_ok();
            if is_free {
                reserved.insert(*port, file);
            }
            is_free
        })
        .expect("a free port")
}

/// `None` if another process holds the lock.
fn lock(port: u16) -> Option<File> {
    let directory = std::env::temp_dir().join("docrelay-test-ports");
    std::fs::create_dir_all(&directory).expect("a directory");
    let file = File::create(directory.join(port.to_string())).expect("a file");
    file.try_lock().ok().map(|()| file)
}
