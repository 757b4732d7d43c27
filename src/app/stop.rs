//! Stopping in order, inside one deadline: no new connections, streams end, running requests finish, the store flushes.

use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal as listen_for};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::store::Store;
use crate::stream::hub::Hub;

/// Of the grace period, what is kept for flushing the store when something else will not end.
const FOR_THE_STORE: Duration = Duration::from_secs(2);

/// The signals that ask for an ordered stop.
pub(super) struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    /// From now on they are ours: what comes before [`Signals::next`] waits there. Made before anything that would have
    /// to be put in order again.
    pub(super) fn catch() -> anyhow::Result<Self> {
        let term = listen_for(SignalKind::terminate()).context("SIGTERM cannot be caught")?;
        let int = listen_for(SignalKind::interrupt()).context("SIGINT cannot be caught")?;
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

/// A file that may not grow any more (`ulimit -f`) is a full disk like any other: the write fails, and the store says
/// so. The signal that comes with it would end the process instead.
pub(super) fn survive_full_files() -> anyhow::Result<()> {
    let signal = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    // Once there is a handler it stays, whether anybody listens or not.
    listen_for(signal).map(drop).context("SIGXFSZ cannot be caught")
}

/// Everything that has to end, in the order in which it does.
pub(super) struct Order {
    /// Ends the public server's listening and its idle connections.
    pub(super) stop_public: CancellationToken,
    /// The public server.
    pub(super) public: JoinSet<()>,
    /// Ends every stream with a jittered `retry:`.
    pub(super) hub: Hub,
    /// Ends the beginning of attempts.
    pub(super) stop_deliveries: CancellationToken,
    /// Whoever delivers; ends when no attempt is under way.
    pub(super) deliveries: JoinSet<&'static str>,
    /// The threads that streams live on; they end when their last stream does.
    pub(super) threads: Vec<JoinHandle<std::io::Result<()>>>,
    /// Flushed and closed.
    pub(super) store: Store,
    /// The admin server, the pump and whatever else: told last, so that `/readyz` says what happens until then.
    pub(super) stop_rest: CancellationToken,
    /// Those.
    pub(super) rest: JoinSet<&'static str>,
}

impl Order {
    /// Ends everything, or says what was still open after `grace`.
    pub(super) async fn run(mut self, grace: Duration) {
        let end = Instant::now() + grace;
        let early = end - FOR_THE_STORE.min(grace / 2);
        self.hub.stop();
        self.stop_public.cancel();
        // What was accepted until now is in the store: it goes out after the next start.
        self.stop_deliveries.cancel();
        let requests = timeout_at(early, async { while self.public.join_next().await.is_some() {} });
        if requests.await.is_err() {
            tracing::warn!("requests were still running when the grace period ended");
            self.public.abort_all();
        }
        let threads = self.threads;
        let streams = async {
            while threads.iter().any(|t| !t.is_finished()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if timeout_at(early, streams).await.is_err() {
            tracing::warn!(followers = self.hub.followers(), "streams were still open when the grace period ended");
        }
        let deliveries = timeout_at(early, async { while self.deliveries.join_next().await.is_some() {} });
        if deliveries.await.is_err() {
            tracing::warn!("deliveries were still under way when the grace period ended: they are sent again");
            self.deliveries.abort_all();
        }
        if timeout_at(end, self.store.log.close()).await.is_err() {
            tracing::error!("the store did not close in time: what was acknowledged is on the disk");
        }
        self.stop_rest.cancel();
        // The admin server's last answers; the pump has ended with the log's tail.
        let rest = timeout_at(end, async { while self.rest.join_next().await.is_some() {} });
        if rest.await.is_err() {
            self.rest.abort_all();
        }
        tracing::info!("stopped");
    }
}
