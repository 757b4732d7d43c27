//! The accept loop, on a thread of its own: while thousands of clients reconnect, the common runtime verifies their
//! tokens, and a listen queue that is emptied in between overflows. Limits the number of open connections. Knows
//! nothing of HTTP.

pub(super) mod permits;

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::{SocketFlags, acceptfrom_with};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;

use crate::http::remote_address::connections::{AddressConnections, AddressPermit};
use permits::Permits;

/// Pause after a failed accept: out of file descriptors lasts a while.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// A connection that no runtime has registered yet.
pub(super) struct AcceptedConnection {
    /// Non-blocking.
    pub(super) socket: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) permit: OwnedSemaphorePermit,
    pub(super) address: AddressPermit,
}

/// The accepted connections of one listener. The queue holds at most the connections for which there are permits.
pub(super) struct Acceptor {
    accepted: mpsc::Receiver<AcceptedConnection>,
    thread: Option<JoinHandle<()>>,
}

impl Acceptor {
    /// Starts the thread. It closes the listener when `stop` is cancelled. While there is no free permit, further
    /// connections wait in the kernel's queue; beyond the bound of their address, they are closed.
    ///
    /// # Errors
    ///
    /// The system cannot start a thread, or not watch the listener.
    pub(super) fn start(
        listener: TcpListener,
        permits: Permits,
        addresses: AddressConnections,
        stop: CancellationToken,
    ) -> io::Result<Self> {
        let listener = listener.into_std()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (sender, accepted) = mpsc::channel(permits.max());
        let thread = std::thread::Builder::new().name("accept".into()).spawn(move || {
            let accepting = stop.run_until_cancelled_owned(accept_all(listener, permits, addresses, sender));
            if let Some(Err(error)) = runtime.block_on(accepting) {
                tracing::error!(%error, "cannot accept connections");
            }
        })?;
        Ok(Self { accepted, thread: Some(thread) })
    }

    /// The next connection; `None` when the thread has ended.
    pub(super) async fn next(&mut self) -> Option<AcceptedConnection> {
        let next = self.accepted.recv().await;
        // The sender is dropped at the end of the thread, so this does not wait.
        if next.is_none()
            && let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("accept thread panicked");
        }
        next
    }
}

async fn accept_all(
    listener: std::net::TcpListener,
    permits: Permits,
    addresses: AddressConnections,
    sender: mpsc::Sender<AcceptedConnection>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let Some(permit) = permits.acquire().await else { return Ok(()) };
        let accepted = match accept_waiting(&listener) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => accept_next(&listener).await,
            accepted => accepted,
        };
        match accepted {
            Ok((socket, peer)) => {
                // Dropped without a response: a flood must not cost a handshake or a task.
                let Some(address) = addresses.admit(peer.ip()) else { continue };
                // Fails when the server is gone.
                if sender.send(AcceptedConnection { socket, peer, permit, address }).await.is_err() {
                    return Ok(());
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept connection");
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
    }
}

/// Takes a waiting connection out of the kernel's queue with one system call. tokio's `accept` makes three, because it
/// registers the socket with the runtime of this thread, which does not serve it. A storm fills the queue.
fn accept_waiting(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (socket, peer) = acceptfrom_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    let peer = peer.and_then(|peer| peer.try_into().ok());
    Ok((socket.into(), peer.ok_or(io::ErrorKind::NotConnected)?))
}

/// Waits for the next connection.
async fn accept_next(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (socket, peer) = listener.accept().await?;
    Ok((socket.into_std()?, peer))
}
