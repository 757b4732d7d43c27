//! The tasks and threads of a running relay besides its servers and its workers, and their orderly end within one
//! deadline: stop accepting, end streams, finish requests and deliveries, close the store.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal as listen_for};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::auth::{Issuers, KeySetClient};
use crate::domain::Timestamp;
use crate::http;
use crate::http::transport::workers::StreamWorker;
use crate::metrics::{Metrics, PrunedRow};
use crate::store::sqlite::OnThreadEnd;
use crate::store::{PrunedRows, Store};
use crate::stream::hub::Hub;

/// Interval of retention and of removing unused rate limiters.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(30);

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

/// Receives SIGHUP from now on: it reloads the configuration once the relay listens.
pub(super) fn hangups() -> anyhow::Result<Signal> {
    listen_for(SignalKind::hangup()).context("cannot handle SIGHUP")
}

/// Prevents SIGXFSZ from killing the process when a file reaches `ulimit -f`. The write then fails like on a full disk,
/// and the store reports it.
pub(super) fn ignore_file_size_signal() -> anyhow::Result<()> {
    let signal = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    // The handler stays installed after the listener is dropped.
    listen_for(signal).map(drop).context("cannot handle SIGXFSZ")
}

/// The stream threads, one for each worker.
pub(super) struct StreamThreads {
    pub(super) handles: Vec<JoinHandle<std::io::Result<()>>>,
    /// Yields a name when one of the threads ends, also after an error or a panic.
    pub(super) ended: mpsc::Receiver<&'static str>,
}

/// Starts one thread for each worker.
///
/// # Errors
/// The system cannot start a thread.
pub(super) fn start_stream_threads(workers: Vec<StreamWorker>) -> std::io::Result<StreamThreads> {
    let (sender, ended) = mpsc::channel(1);
    let start = |(number, worker)| stream_thread(number, worker, ThreadEndSignal(sender.clone()));
    let handles = workers.into_iter().enumerate().map(start).collect::<std::io::Result<_>>()?;
    Ok(StreamThreads { handles, ended })
}

fn stream_thread(
    number: usize,
    worker: StreamWorker,
    end_signal: ThreadEndSignal,
) -> std::io::Result<JoinHandle<std::io::Result<()>>> {
    std::thread::Builder::new().name(format!("streams-{number}")).spawn(move || {
        let result = worker.run();
        if let Err(error) = &result {
            tracing::error!(%error, thread = number, "stream thread failed");
        }
        drop(end_signal);
        result
    })
}

/// Reports the end of a thread when it is dropped.
struct ThreadEndSignal(mpsc::Sender<&'static str>);

impl Drop for ThreadEndSignal {
    fn drop(&mut self) {
        // Fails if another thread has ended before, or if the relay is stopping.
        self.0.try_send("stream thread").ok();
    }
}

/// Watches the threads of the store: yields the name of the first one that ends, also by a panic.
pub(super) fn watch_store_threads() -> (OnThreadEnd, mpsc::Receiver<String>) {
    let (sender, ended) = mpsc::channel(1);
    // Fails if another thread has ended before, or if the relay is stopping.
    let on_end = move |name: &str| sender.try_send(name.to_owned()).unwrap_or_default();
    (Arc::new(on_end), ended)
}

/// Runs a task and returns its name, so that the caller knows which task of a set has ended.
pub(super) async fn run_named(name: &'static str, task: impl Future<Output = ()>) -> &'static str {
    task.await;
    name
}

/// Applies retention to the log and removes unused rate limiters, periodically until `stop`. Retention may have to wait
/// for a reader of the database; nothing else waits for it.
pub(super) async fn housekeeping(store: Store, context: Arc<http::Context>, metrics: Metrics, stop: CancellationToken) {
    let sweeping = async {
        let mut tick = tokio::time::interval(HOUSEKEEPING_INTERVAL);
        loop {
            tick.tick().await;
            context.sweep();
        }
    };
    let pruning = async {
        let mut tick = tokio::time::interval(HOUSEKEEPING_INTERVAL);
        loop {
            tick.tick().await;
            match store.maintenance.prune(Timestamp::now()).await {
                Ok(pruned) => count_pruned(&metrics, &pruned),
                Err(error) => tracing::warn!(%error, "retention failed; retrying at the next interval"),
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = sweeping => {}
        () = pruning => {}
    }
}

fn count_pruned(metrics: &Metrics, pruned: &PrunedRows) {
    let PrunedRows { events, documents, rejects, deliveries, duplicate_keys } = *pruned;
    metrics.pruned_events.inc_by(events);
    metrics.pruned_rows.inc_by(PrunedRow::Document, documents);
    metrics.pruned_rows.inc_by(PrunedRow::Reject, rejects);
    metrics.pruned_rows.inc_by(PrunedRow::Delivery, deliveries);
    metrics.pruned_rows.inc_by(PrunedRow::DuplicateKey, duplicate_keys);
}

/// Keeps the key sets of foreign issuers up to date until `stop`. Streams whose token was signed with a key that is no
/// longer valid end.
pub(super) async fn refresh_key_sets(
    issuers: Issuers,
    client: Arc<dyn KeySetClient>,
    metrics: Metrics,
    hub: Hub,
    stop: CancellationToken,
) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = issuers.run(client, metrics, || hub.wake()) => {}
    }
}

/// What runs of a node that does not listen yet.
pub(super) struct StartingNode {
    pub(super) store: Store,
    pub(super) deliveries: JoinSet<&'static str>,
    pub(super) stop_deliveries: CancellationToken,
    pub(super) rest: JoinSet<&'static str>,
    pub(super) stop_rest: CancellationToken,
}

impl StartingNode {
    /// Leaves the cluster and closes the store, within `grace`.
    pub(super) async fn abandon(mut self, grace: Duration) {
        let deadline = Instant::now() + grace;
        let early = deadline - STORE_CLOSE_TIMEOUT.min(grace / 2);
        self.stop_deliveries.cancel();
        let left = timeout_at(early, async { while self.deliveries.join_next().await.is_some() {} });
        if left.await.is_err() {
            self.deliveries.abort_all();
        }
        if timeout_at(deadline, self.store.maintenance.close()).await.is_err() {
            tracing::error!("store did not close in time; acknowledged events are on disk");
        }
        self.stop_rest.cancel();
        if timeout_at(deadline, async { while self.rest.join_next().await.is_some() {} }).await.is_err() {
            self.rest.abort_all();
        }
    }
}

/// Everything that a relay stops, in the order of stopping.
pub(super) struct Shutdown {
    /// Stops accepting on the public address. Its idle connections close a moment later.
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
        if timeout_at(deadline, self.store.maintenance.close()).await.is_err() {
            tracing::error!("store did not close in time; acknowledged events are on disk");
        }
        self.stop_rest.cancel();
        // The dispatcher has ended with the log's tail.
        let rest = timeout_at(deadline, async { while self.rest.join_next().await.is_some() {} });
        if rest.await.is_err() {
            self.rest.abort_all();
        }
        tracing::info!("relay stopped");
    }
}
