//! A TCP proxy that a test can cut: it stands for a network that fails between a client and the relay. It knows bytes
//! only.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use super::spawn_thread;

/// A running proxy. Dropping it cuts all connections and ends its threads.
pub(crate) struct Gate {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    path: Mutex<Path>,
    changed: Condvar,
}

/// The path between clients and the server.
#[derive(Default)]
struct Path {
    is_cut: bool,
    is_closed: bool,
    /// Both sockets of every forwarded connection.
    sockets: Vec<TcpStream>,
}

impl Path {
    fn cut(&mut self) {
        self.is_cut = true;
        for socket in self.sockets.drain(..) {
            // The peer may have closed it before.
            socket.shutdown(Shutdown::Both).ok();
        }
    }
}

impl Gate {
    /// Forwards connections to a server.
    pub(crate) fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let state: Arc<State> = Arc::default();
        let shared = Arc::clone(&state);
        spawn_thread("gate", move || {
            for client in listener.incoming().map_while(Result::ok) {
                if forward(&shared, server, client).is_none() {
                    return;
                }
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends all connections. New ones wait until [`Gate::restore`].
    pub(crate) fn cut(&self) {
        self.state.path.lock().expect("the path").cut();
    }

    /// Forwards waiting and new connections again.
    pub(crate) fn restore(&self) {
        self.state.path.lock().expect("the path").is_cut = false;
        self.state.changed.notify_all();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let mut path = self.state.path.lock().expect("the path");
        path.is_closed = true;
        path.cut();
        drop(path);
        self.state.changed.notify_all();
        // Wakes the accepting thread.
        TcpStream::connect(self.address).ok();
    }
}

/// Connects a client to the server once the path is not cut; `None` when the gate is closed.
fn forward(state: &State, server: SocketAddr, client: TcpStream) -> Option<()> {
    let path = state.path.lock().expect("the path");
    let mut path = state.changed.wait_while(path, |path| path.is_cut && !path.is_closed).expect("the path");
    if path.is_closed {
        return None;
    }
    // Without a server the connection ends, as it would without the gate.
    let Ok(upstream) = TcpStream::connect(server) else { return Some(()) };
    let clone = |socket: &TcpStream| socket.try_clone().expect("a socket");
    path.sockets.extend([clone(&client), clone(&upstream)]);
    let pairs = [(clone(&client), clone(&upstream)), (upstream, client)];
    for (from, to) in pairs {
        spawn_thread("gate", move || copy(from, to));
    }
    Some(())
}

/// Copies bytes until one side ends, and then ends the other.
fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 16 << 10];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    from.shutdown(Shutdown::Read).ok();
    to.shutdown(Shutdown::Write).ok();
}
