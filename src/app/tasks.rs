//! The tasks and threads of a running relay besides its servers and its workers.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::domain::Timestamp;
use crate::http;
use crate::http::transport::workers::StreamWorker;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::store::sqlite::OnThreadEnd;

/// Interval of retention and of removing unused rate limiters.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(30);

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

/// Runs a task and returns its name.
pub(super) async fn named(name: &'static str, task: impl Future<Output = ()>) -> &'static str {
    task.await;
    name
}

/// Applies retention to the log and removes unused rate limiters, periodically until `stop`. Retention may have to wait for a
/// reader of the database; nothing else waits for it.
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
            match store.log.prune(Timestamp::now()).await {
                Ok(pruned) => {
                    metrics.pruned_events.inc_by(pruned);
                }
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
