//! The network between a node and the brokers, as a TCP proxy that a test makes slow or cuts. A cut closes nothing:
//! bytes and new connections of both directions vanish, as when a cable is pulled, and arrive when the path is whole
//! again, as TCP repeats them. It knows bytes only.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::brokers::Brokers;
use super::spawn_thread;

/// Reads that one direction of a connection holds back. Further bytes stay in the sender's socket.
const MAX_HELD: usize = 4096;

/// The paths of one node to all brokers. Dropping it closes them.
pub(crate) struct BrokerLinks(Vec<Link>);

impl BrokerLinks {
    pub(crate) fn to(brokers: &Brokers) -> Self {
        let link = |broker: &super::brokers::Broker| Link::start(broker.address().parse().expect("an address"));
        Self(brokers.servers.iter().map(link).collect())
    }

    /// The brokers' addresses for the node, as the configuration takes them.
    pub(crate) fn urls(&self) -> String {
        let url = |link: &Link| format!("nats://{}", link.address);
        self.0.iter().map(url).collect::<Vec<_>>().join(",")
    }

    /// From now on nothing passes.
    pub(crate) fn cut(&self) {
        self.change(|path| path.is_cut = true);
    }

    /// Everything passes again, first what was held back.
    pub(crate) fn restore(&self) {
        self.change(|path| path.is_cut = false);
    }

    /// From now on nothing passes to this broker, and nothing from it.
    pub(crate) fn cut_one(&self, broker: usize) {
        self.0[broker].shared.change(|path| path.is_cut = true);
    }

    /// Every byte takes this long, in each direction.
    pub(crate) fn delay(&self, delay: Duration) {
        self.change(|path| path.delay = delay);
    }

    fn change(&self, change: impl Fn(&mut Path)) {
        self.0.iter().for_each(|link| link.shared.change(&change));
    }
}

/// The path to one broker.
struct Link {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    path: Mutex<Path>,
    changed: Condvar,
}

#[derive(Default)]
struct Path {
    delay: Duration,
    is_cut: bool,
    is_closed: bool,
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut Path)) {
        change(&mut self.path.lock().expect("the path"));
        self.changed.notify_all();
    }

    /// Waits until what was sent at this time arrives; `None` when the link is closed.
    fn wait_for_arrival(&self, sent: Instant) -> Option<()> {
        let mut path = self.path.lock().expect("the path");
        while !path.is_closed {
            let remaining = (sent + path.delay).saturating_duration_since(Instant::now());
            path = if path.is_cut {
                self.changed.wait(path).expect("the path")
            } else if remaining.is_zero() {
                return Some(());
            } else {
                self.changed.wait_timeout(path, remaining).expect("the path").0
            };
        }
        None
    }
}

impl Link {
    fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shared: Arc<Shared> = Arc::default();
        let path = shared.clone();
        spawn_thread("link", move || {
            for client in listener.incoming().map_while(Result::ok) {
                if path.path.lock().expect("the path").is_closed {
                    return;
                }
                let path = path.clone();
                spawn_thread("link", move || forward(&path, server, client));
            }
        });
        Self { address, shared }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.change(|path| path.is_closed = true);
        // Wakes the accepting thread.
        TcpStream::connect(self.address).ok();
    }
}

/// Connects a client to the server when its request for a connection has arrived.
fn forward(shared: &Arc<Shared>, server: SocketAddr, client: TcpStream) {
    if shared.wait_for_arrival(Instant::now()).is_none() {
        return;
    }
    // Without a server the connection ends, as it would without the link.
    let Ok(upstream) = TcpStream::connect(server) else { return };
    for socket in [&client, &upstream] {
        socket.set_nodelay(true).ok();
    }
    let clone = |socket: &TcpStream| socket.try_clone().expect("a socket");
    for (from, to) in [(clone(&client), clone(&upstream)), (upstream, client)] {
        let (sender, held) = sync_channel(MAX_HELD);
        let shared = shared.clone();
        spawn_thread("link", move || receive(from, &sender));
        spawn_thread("link", move || deliver(&shared, to, &held));
    }
}

/// Reads until the sender closes its side.
fn receive(mut from: TcpStream, held: &SyncSender<(Instant, Vec<u8>)>) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        if held.send((Instant::now(), buffer[..n].to_vec())).is_err() {
            break;
        }
    }
    // The end travels like a byte.
    held.send((Instant::now(), Vec::new())).unwrap_or(());
    from.shutdown(Shutdown::Read).ok();
}

/// Writes what arrives, and then closes this side.
fn deliver(shared: &Shared, mut to: TcpStream, held: &Receiver<(Instant, Vec<u8>)>) {
    for (sent, bytes) in held {
        if shared.wait_for_arrival(sent).is_none() || bytes.is_empty() || to.write_all(&bytes).is_err() {
            break;
        }
    }
    to.shutdown(Shutdown::Both).ok();
}
