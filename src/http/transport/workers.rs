//! The stream workers: threads with a single-threaded runtime each, on which one small task per stream writes shared
//! bytes to its socket. Ingest and fan-out thus do not share a scheduler: while one round of writes goes out, the next
//! events gather, and each follower gets them in one write.

use std::any::Any;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::domain::Reloadable;
use crate::http::transport::ConnectionPermit;
use crate::http::transport::stream_sink::DetachedSink;
use crate::http::transport::write_loop::{self, OpenStream};
use crate::stream::Follower;
use crate::stream::hub::WakeQueue;

/// Streams that wait for one worker. When it is full, the task of the connection waits: no stream is dropped.
const MAX_WAITING_STREAMS: usize = 1024;

/// A stream on its way from hyper to a worker.
pub(in crate::http) struct DetachedStream {
    pub(in crate::http) sink: DetachedSink,
    pub(in crate::http) follower: Box<Follower>,
    /// `None` on HTTP/2, whose connection has its permit.
    pub(in crate::http) permit: Option<ConnectionPermit>,
}

/// A cheap handle to all workers.
#[derive(Clone)]
pub struct StreamWorkers {
    senders: Arc<Vec<mpsc::Sender<DetachedStream>>>,
}

/// One worker, to be run on a thread of its own.
pub struct StreamWorker {
    streams: mpsc::Receiver<DetachedStream>,
    wake_queue: WakeQueue,
    write_timeout: Reloadable<Duration>,
}

impl StreamWorkers {
    /// The handle, and a worker for each wake queue of the hub, or one if there is none. A stream that accepts no byte
    /// for `write_timeout`, as it is when the stream begins, is ended.
    pub fn new(mut queues: Vec<WakeQueue>, write_timeout: Reloadable<Duration>) -> (Self, Vec<StreamWorker>) {
        if queues.is_empty() {
            queues.push(WakeQueue::default());
        }
        let (senders, workers) = queues
            .into_iter()
            .map(|wake_queue| {
                let (sender, streams) = mpsc::channel(MAX_WAITING_STREAMS);
                (sender, StreamWorker { streams, wake_queue, write_timeout: write_timeout.clone() })
            })
            .unzip();
        (Self { senders: Arc::new(senders) }, workers)
    }

    /// Gives a stream to the worker that the hub has chosen for its follower.
    pub(in crate::http) async fn send(&self, stream: DetachedStream) {
        let worker = stream.follower.thread() % self.senders.len();
        if self.senders[worker].send(stream).await.is_err() {
            tracing::debug!("stream dropped: its worker has ended because the relay is stopping");
        }
    }
}

impl StreamWorker {
    /// Serves streams until all handles are dropped and all streams have ended.
    ///
    /// # Errors
    ///
    /// When the runtime cannot be created.
    pub fn run(self) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.serve());
        Ok(())
    }

    async fn serve(self) {
        let Self { streams, wake_queue, write_timeout } = self;
        tokio::select! {
            () = run_tasks(streams, |stream| serve_stream(stream, write_timeout.get())) => {}
            () = wake_queue.serve() => {}
        }
    }
}

/// Runs the task of each item, if it has one, until the channel is closed and all tasks have ended. A task that panics
/// drops what it holds, and is logged.
async fn run_tasks<T, F>(mut items: mpsc::Receiver<T>, task: impl Fn(T) -> Option<F>)
where
    F: Future<Output = ()> + Send + 'static,
{
    // A `JoinSet` has an allocation for each task.
    let tasks = TaskTracker::new();
    while let Some(item) = items.recv().await {
        if let Some(task) = task(item) {
            tasks.spawn(AssertUnwindSafe(task).catch_unwind().map(log_panic));
        }
    }
    tasks.close();
    tasks.wait().await;
}

fn log_panic(ended: Result<(), Box<dyn Any + Send>>) {
    // The panic hook has logged what and where.
    if ended.is_err() {
        tracing::error!("task of a stream panicked: its client reconnects");
    }
}

/// The task that serves one stream to its end. The follower is dropped, and with it uncounted, before the socket is
/// closed. `None` if the runtime does not accept the socket.
fn serve_stream(stream: DetachedStream, write_timeout: Duration) -> Option<impl Future<Output = ()> + Send> {
    let DetachedStream { sink, follower, permit } = stream;
    let mut stream = OpenStream { sink: sink.attach().ok()?, follower, write_timeout };
    // The block uses what it captures in place; the arguments of an async function are in its future twice.
    Some(async move {
        let reason = write_loop::run(&mut stream).await;
        stream.follower.set_end_reason(reason);
        drop(stream.follower);
        Box::pin(stream.sink.close()).await;
        drop(permit);
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;
    use crate::metrics::Metrics;

    /// What a task of a test does.
    #[derive(Clone, Copy)]
    enum Task {
        Panic,
        Nothing,
        Reply,
    }

    /// The 99th percentile of the times until a task has replied, each after one of the other kind.
    async fn p99(other: Task) -> Duration {
        let (sender, items) = mpsc::channel(2);
        let (reply, mut replies) = mpsc::channel(1);
        let worker = run_tasks(items, |task| {
            let reply = reply.clone();
            Some(async move {
                match task {
                    // Without the hook of the tests, which prints a backtrace.
                    Task::Panic => std::panic::resume_unwind(Box::new("a stream")),
                    Task::Nothing => {}
                    Task::Reply => reply.send(()).await.expect("the measurement goes on"),
                }
            })
        });
        let measuring = async move {
            let mut times = Vec::new();
            for _ in 0..500 {
                let begun = std::time::Instant::now();
                for task in [other, Task::Reply] {
                    sender.send(task).await.expect("a running worker");
                }
                replies.recv().await.expect("a running task");
                times.push(begun.elapsed());
            }
            times.sort_unstable();
            times[times.len() * 99 / 100]
        };
        tokio::join!(worker, measuring).1
    }

    #[tokio::test]
    async fn panicking_streams_delay_no_other_stream() {
        let (mut without, mut beside) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            without.push(p99(Task::Nothing).await);
            beside.push(p99(Task::Panic).await);
        }
        // Other load on the machine spoils some rounds of both kinds, panics would slow all of one kind.
        without.sort_unstable();
        beside.sort_unstable();
        eprintln!("{beside:?} beside panics, {without:?} without");
        assert!(
            beside[2] <= without[2] * 2 + Duration::from_millis(10),
            "{beside:?} beside panics, {without:?} without"
        );
    }

    // Rule 26: a panic releases its permit.
    #[tokio::test]
    async fn panicking_stream_task_releases_its_permit() {
        let metrics = Metrics::new("test");
        let permits = Arc::new(Semaphore::new(3));
        let (sender, items) = mpsc::channel(3);
        for number in 0..3 {
            let permit = permits.clone().acquire_owned().await.expect("an open semaphore");
            sender.send((number, ConnectionPermit::new(permit, &metrics))).await.expect("a running worker");
        }
        assert_eq!((permits.available_permits(), metrics.connections.get()), (0, 3));
        let served = Arc::new(AtomicUsize::new(0));
        let worker = run_tasks(items, |(number, permit)| {
            let served = served.clone();
            Some(async move {
                assert!(number != 1, "stream 1 panics");
                served.fetch_add(1, Ordering::Relaxed);
                drop(permit);
            })
        });
        // The worker is not stopping yet when the stream panics.
        let stop = async {
            drop(permits.acquire_many(3).await.expect("an open semaphore"));
            drop(sender);
        };
        tokio::join!(worker, stop);
        assert_eq!((permits.available_permits(), metrics.connections.get()), (3, 0));
        assert_eq!(served.load(Ordering::Relaxed), 2, "the other streams are served");
    }
}
