//! Orderly shutdown within one deadline: stop accepting, end streams, finish requests and deliveries, close the store.

use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal as listen_for};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::store::Store;
use crate::stream::hub::Hub;

/// Part of the grace period that is reserved for closing the store.
const STORE_CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Receives SIGTERM and SIGINT.
pub(super) struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    /// Installs the handlers. Signals that arrive before [`Signals::next`] are not lost. Must be called
    /// before files or threads are created, which the default action would not clean up.
    pub(super) fn catch() -> anyhow::Result<Self> {
        let term = listen_for(SignalKind::terminate()).context("cannot handle SIGTERM")?;
        let int = listen_for(SignalKind::interrupt()).context("cannot handle SIGINT")?;
        Ok(Self { term, int })
    }

    /// Waits for SIGTERM or SIGINT; returns its name.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "SIGINT",
        }
    }
}

/// Prevents SIGXFSZ from killing the process when a file reaches `ulimit -f`. The write then fails like on a full disk,
/// and the store reports it.
pub(super) fn ignore_file_size_signal() -> anyhow::Result<()> {
    let signal = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    // The handler stays installed after the listener is dropped.
    listen_for(signal).map(drop).context("cannot handle SIGXFSZ")
}

/// Everything that a relay stops, in the order of stopping.
pub(super) struct Shutdown {
    /// Stops accepting on the public address and closes its idle connections.
    pub(super) stop_public: CancellationToken,
    pub(super) public: JoinSet<()>,
    /// Ends every stream with a jittered `retry:`.
    pub(super) hub: Hub,
    /// Stops starting delivery attempts.
    pub(super) stop_deliveries: CancellationToken,
    /// The delivery worker, which ends when no attempt is in flight.
    pub(super) deliveries: JoinSet<&'static str>,
    /// The stream threads; each ends with its last stream.
    pub(super) threads: Vec<JoinHandle<std::io::Result<()>>>,
    pub(super) store: Store,
    /// Stops the remaining tasks. Cancelled last, so that `/readyz` answers until then.
    pub(super) stop_rest: CancellationToken,
    /// The admin server, the dispatcher and housekeeping.
    pub(super) rest: JoinSet<&'static str>,
}

impl Shutdown {
    /// Stops everything. Logs and aborts what has not ended within `grace`.
    pub(super) async fn run(mut self, grace: Duration) {
        let deadline = Instant::now() + grace;
        let early = deadline - STORE_CLOSE_TIMEOUT.min(grace / 2);
        self.hub.stop();
        self.stop_public.cancel();
        // Pending deliveries are stored and continue after the next start.
        self.stop_deliveries.cancel();
        let requests = timeout_at(early, async { while self.public.join_next().await.is_some() {} });
        if requests.await.is_err() {
            tracing::warn!("grace period ended: aborting running requests");
            self.public.abort_all();
        }
        let threads = self.threads;
        let streams = async {
            while threads.iter().any(|t| !t.is_finished()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if timeout_at(early, streams).await.is_err() {
            tracing::warn!(followers = self.hub.followers(), "grace period ended: streams are still open");
        }
        let deliveries = timeout_at(early, async { while self.deliveries.join_next().await.is_some() {} });
        if deliveries.await.is_err() {
            tracing::warn!("grace period ended: aborting deliveries in flight; they are retried after the next start");
            self.deliveries.abort_all();
        }
        if timeout_at(deadline, self.store.log.close()).await.is_err() {
            tracing::error!("store did not close in time; acknowledged events are on disk");
        }
        self.stop_rest.cancel();
        // The dispatcher has ended with the log's tail.
        let rest = timeout_at(deadline, async { while self.rest.join_next().await.is_some() {} });
        if rest.await.is_err() {
            self.rest.abort_all();
        }
        tracing::info!("stopped");
    }
}
