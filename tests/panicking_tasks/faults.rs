//! Panics where a test asks for them: in an attempt, in a command of the writer, in a read, in a checkpoint, in a
//! stream. They are caused through what the relay is given: the HTTP client, the cipher, the relay's log, the store.
//! The relay itself has no code for them.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::thread::{self, ThreadId};

use docrelay::store::Seal;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// What panics.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Disturbance {
    Attempts,
    Commands,
    Reads,
    Checkpoints,
    Streams,
}

/// Part of what only the disturbing clients store.
pub(crate) const MARK: &str = "disturbing";

/// The switch of one store and its deliveries.
#[derive(Default)]
pub(crate) struct Faults {
    disturbance: Mutex<Option<Disturbance>>,
    panics: AtomicUsize,
}

impl Faults {
    pub(crate) fn set(&self, disturbance: Option<Disturbance>) {
        *self.disturbance.lock().expect("no panic while it is locked") = disturbance;
    }

    pub(crate) fn panics(&self) -> usize {
        self.panics.load(Ordering::Relaxed)
    }

    /// Panics if this is the disturbance. Without the hook of the tests: it prints a backtrace, which takes a core for
    /// longer than a window.
    pub(crate) fn trip(&self, disturbance: Disturbance) {
        if *self.disturbance.lock().expect("no panic while it is locked") == Some(disturbance) {
            self.panics.fetch_add(1, Ordering::Relaxed);
            resume_unwind(Box::new("a fault of the test"));
        }
    }
}

/// No encryption. The writer seals callbacks inside its transaction, and a reader opens them inside its own.
pub(crate) struct FaultySeal(pub(crate) Arc<Faults>);

impl FaultySeal {
    fn trip(&self, text: &[u8], disturbance: Disturbance) {
        if text.windows(MARK.len()).any(|part| part == MARK.as_bytes()) {
            self.0.trip(disturbance);
        }
    }
}

impl Seal for FaultySeal {
    fn seal(&self, text: &[u8], context: &[u8]) -> Vec<u8> {
        self.seal_with_nonce(text, context, [0; 12])
    }

    fn seal_with_nonce(&self, text: &[u8], _: &[u8], _: [u8; 12]) -> Vec<u8> {
        self.trip(text, Disturbance::Commands);
        text.to_vec()
    }

    fn open(&self, sealed: &[u8], _: &[u8]) -> Result<Vec<u8>, String> {
        self.trip(sealed, Disturbance::Reads);
        Ok(sealed.to_vec())
    }
}

/// The module whose lines of the log panic.
const CHECKPOINT_THREAD: &str = "docrelay::store::sqlite::writer::checkpoint::thread";

/// A log that panics in the checkpoint thread of one store.
struct FaultyLog;

/// The faults of the store, and its checkpoint thread: the first one that logs after [`watch_checkpoints`].
static WATCHED: Mutex<Option<(Arc<Faults>, Option<ThreadId>)>> = Mutex::new(None);

/// Makes these the faults of the checkpoint thread that logs next.
pub(crate) fn watch_checkpoints(faults: Arc<Faults>) {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| tracing::subscriber::set_global_default(FaultyLog).expect("no other log"));
    *WATCHED.lock().expect("no panic while it is locked") = Some((faults, None));
}

/// Whether the checkpoint thread of the watched store has logged.
pub(crate) fn is_checkpoint_thread_known() -> bool {
    WATCHED.lock().expect("no panic while it is locked").as_ref().is_some_and(|(_, thread)| thread.is_some())
}

impl Subscriber for FaultyLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // What is logged about a failure, at a higher level, is not part of a checkpoint.
        metadata.target() == CHECKPOINT_THREAD && *metadata.level() == Level::DEBUG
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        let mut watched = WATCHED.lock().expect("no panic while it is locked");
        let Some((faults, thread)) = watched.as_mut() else { return };
        let present = thread::current().id();
        let faults = (*thread.get_or_insert(present) == present).then(|| faults.clone());
        drop(watched);
        if let Some(faults) = faults {
            faults.trip(Disturbance::Checkpoints);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
