//! The accept loop, on a thread of its own: while thousands of clients reconnect, the common runtime verifies their tokens,
//! and a listen queue that is emptied in between overflows. Limits the number of open connections. Knows nothing of HTTP.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

/// Pause after a failed accept: out of file descriptors lasts a while.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// A connection that no runtime has registered yet.
pub(super) struct AcceptedConnection {
    /// Non-blocking.
    pub(super) socket: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) permit: OwnedSemaphorePermit,
}

/// The accepted connections of one listener. The queue holds at most the connections for which there are permits.
pub(super) struct Acceptor {
    accepted: mpsc::Receiver<AcceptedConnection>,
    thread: Option<JoinHandle<()>>,
}

impl Acceptor {
    /// Starts the thread. It closes the listener when `stop` is cancelled. Beyond `max_connections` open connections, further
    /// ones wait in the kernel's queue.
    ///
    /// # Errors
    ///
    /// The system cannot start a thread, or not watch the listener.
    pub(super) fn start(listener: TcpListener, max_connections: usize, stop: CancellationToken) -> io::Result<Self> {
        let listener = listener.into_std()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (sender, accepted) = mpsc::channel(max_connections.clamp(1, Semaphore::MAX_PERMITS));
        let permits = Arc::new(Semaphore::new(max_connections));
        let thread = std::thread::Builder::new().name("accept".into()).spawn(move || {
            let accepting = stop.run_until_cancelled_owned(accept_all(listener, permits, sender));
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
    permits: Arc<Semaphore>,
    sender: mpsc::Sender<AcceptedConnection>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        // The semaphore is never closed.
        let Ok(permit) = permits.clone().acquire_owned().await else { return Ok(()) };
        let accepted = listener.accept().await.and_then(|(socket, peer)| Ok((socket.into_std()?, peer)));
        match accepted {
            Ok((socket, peer)) => {
                // Fails when the server is gone.
                if sender.send(AcceptedConnection { socket, peer, permit }).await.is_err() {
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
