//! Where open streams live: small tasks on single-threaded runtimes of their own, writing shared bytes straight to the
//! sockets. Apart from hyper a follower costs a fraction of the memory; apart from the common runtime, ingest and fan-out
//! do not take turns on one scheduler, so the next events gather while one round of writes goes out.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::http::transport::attend::{attend, finish};
use crate::http::transport::server::Place;
use crate::stream::{Follower, opening};

/// Rides in a response's extensions: the connection takes the follower out. Dropped with the response when the
/// connection is gone, and the follower's seat with it.
#[derive(Clone)]
pub(in crate::http) struct Offer(Arc<Mutex<Option<Box<Follower>>>>);

impl Offer {
    pub(in crate::http) fn new(follower: Follower) -> Self {
        Self(Arc::new(Mutex::new(Some(Box::new(follower)))))
    }

    pub(in crate::http) fn take(&self) -> Option<Box<Follower>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What hyper's side of a connection and its body tell each other about a hand-off.
#[derive(Default)]
pub(in crate::http) struct Stage {
    follower: Mutex<Option<Box<Follower>>>,
    /// hyper has taken the whole opening from the body.
    opened: AtomicBool,
    /// And has written it to the socket.
    flushed: AtomicBool,
    /// The peer accepted nothing for too long.
    stalled: AtomicBool,
}

impl Stage {
    pub(in crate::http) fn set(&self, follower: Box<Follower>) {
        *self.follower.lock().unwrap_or_else(PoisonError::into_inner) = Some(follower);
    }

    pub(in crate::http) fn follower(&self) -> Option<Box<Follower>> {
        self.follower.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(in crate::http) fn flushed(&self) {
        if self.opened.load(Ordering::Acquire) {
            self.flushed.store(true, Ordering::Release);
        }
    }

    pub(in crate::http) fn stalled(&self) {
        self.stalled.store(true, Ordering::Release);
    }

    /// Whether the connection was given up because its peer accepted nothing.
    pub(in crate::http) fn has_stalled(&self) -> bool {
        self.stalled.load(Ordering::Acquire)
    }

    /// Whether the socket can be taken back.
    pub(in crate::http) fn is_set(&self) -> bool {
        self.flushed.load(Ordering::Acquire)
    }
}

/// The body under which hyper writes head and opening: one chunk, and then nothing ever again.
pub(in crate::http) struct StageBody {
    stage: Arc<Stage>,
    opening: Option<Bytes>,
}

impl StageBody {
    pub(in crate::http) fn new(stage: Arc<Stage>) -> Self {
        Self { stage, opening: Some(opening().into()) }
    }
}

impl Body for StageBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.opening.take() {
            Some(opening) => Poll::Ready(Some(Ok(Frame::data(opening)))),
            None => {
                // Asked again: the opening is in hyper's buffer. The next complete flush carries it out.
                self.stage.opened.store(true, Ordering::Release);
                Poll::Pending
            }
        }
    }
}

/// A connection on its way to the streams.
pub(in crate::http) struct Handed {
    pub(in crate::http) socket: TcpStream,
    pub(in crate::http) follower: Box<Follower>,
    pub(in crate::http) place: Place,
}

/// A socket that belongs to no runtime yet.
struct Parcel {
    socket: std::net::TcpStream,
    follower: Box<Follower>,
    place: Place,
}

/// A cheap handle to the threads that the streams live on.
#[derive(Clone)]
pub struct StreamWorkers {
    inboxes: Arc<Vec<mpsc::Sender<Parcel>>>,
    next: Arc<AtomicUsize>,
}

/// One thread's end of it: give it to a thread and call [`StreamWorker::run`] there.
pub struct StreamWorker {
    parcels: mpsc::Receiver<Parcel>,
    write_timeout: Duration,
}

impl StreamWorkers {
    /// Handles for `threads` threads, and what each of them has to run.
    pub fn new(threads: usize, write_timeout: Duration) -> (Self, Vec<StreamWorker>) {
        let (senders, inboxes) = (0..threads.max(1))
            .map(|_| {
                // When it is full, the connection's own task waits: nothing is dropped.
                let (sender, parcels) = mpsc::channel(1024);
                (sender, StreamWorker { parcels, write_timeout })
            })
            .unzip();
        (Self { inboxes: Arc::new(senders), next: Arc::new(AtomicUsize::new(0)) }, inboxes)
    }

    /// Moves a connection to one of the threads, in turn.
    pub(in crate::http) async fn hand(&self, handed: Handed) {
        let socket = match handed.socket.into_std() {
            Ok(socket) => socket,
            Err(error) => return tracing::warn!(%error, "a stream could not be handed off: its client will come back"),
        };
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.inboxes.len();
        let parcel = Parcel { socket, follower: handed.follower, place: handed.place };
        if self.inboxes[turn].send(parcel).await.is_err() {
            tracing::debug!("a stream could not be handed off: its thread has ended, and the relay is stopping");
        }
    }
}

impl StreamWorker {
    /// Attends to streams until every handle is gone and every stream has ended.
    pub fn run(self) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.attend());
        Ok(())
    }

    #[expect(clippy::disallowed_methods, reason = "one task a stream, owned and joined by this thread's inbox")]
    async fn attend(mut self) {
        let mut streams = JoinSet::new();
        loop {
            tokio::select! {
                parcel = self.parcels.recv() => {
                    let Some(parcel) = parcel else { break };
                    streams.spawn(stream(parcel, self.write_timeout));
                }
                Some(ended) = streams.join_next() => report(ended),
            }
        }
        while let Some(ended) = streams.join_next().await {
            report(ended);
        }
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a stream's task failed: its client will come back");
    }
}

/// One follower, to its end. Everything it holds is given back when this returns.
async fn stream(parcel: Parcel, write_timeout: Duration) {
    let Parcel { socket, mut follower, place } = parcel;
    if let Ok(mut socket) = TcpStream::from_std(socket) {
        let reason = attend(&socket, &mut follower, write_timeout).await;
        follower.ended(reason);
        drop(follower);
        finish(&mut socket).await;
    }
    drop(place);
}
