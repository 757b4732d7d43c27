//! The log of a relay: lines go through a bounded queue to a thread that writes them to standard error. A line that
//! cannot be queued or written is dropped and counted, so that neither a full disk nor a reader that has stopped can
//! block or end another thread. Panics are logged on the same way.
//!
//! `tracing-appender` has such a queue, too. It does not count failed writes, bounds lines and not bytes, and prints
//! when it is stopped while its reader has stalled.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use anyhow::Context;
use tokio_util::sync::CancellationToken;
use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, reload};

use crate::config::LogFormat;
use crate::metrics::Counter;

/// Bounds of the queue. What does not fit is dropped.
const MAX_QUEUED_LINES: usize = 4096;
const MAX_QUEUED_BYTES: usize = 4 << 20;

/// How long [`LogFlush`] waits for the lines that are queued.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Starts logging to standard error, because standard output is reserved for the output of commands, and logs panics.
/// The lines that are dropped are counted in `dropped_lines`.
///
/// # Errors
/// A logger is installed already, or the thread cannot be started.
pub fn start(format: LogFormat, level: Level, dropped_lines: Counter) -> anyhow::Result<Logging> {
    let (log, writer) = LogQueue::new(dropped_lines);
    let thread_ended = CancellationToken::new();
    let end_signal = thread_ended.clone().drop_guard();
    std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || {
            // Dropped after the last write, also while a panic unwinds.
            let _end_signal = end_signal;
            writer.run(io::stderr());
        })
        .context("cannot start the thread of the log")?;
    let flush = LogFlush(log.clone());
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(log_directives(level)))
        .with_writer(log)
        // Reports go to standard error with a macro that panics when that fails.
        .log_internal_errors(false)
        .with_ansi(io::stderr().is_terminal());
    let (installed, level) = match format {
        LogFormat::Text => {
            let subscriber = subscriber.with_filter_reloading();
            let level = LogLevel::new(subscriber.reload_handle());
            (subscriber.finish().try_init(), level)
        }
        LogFormat::Json => {
            let subscriber = subscriber.json().flatten_event(true).with_current_span(false).with_filter_reloading();
            let level = LogLevel::new(subscriber.reload_handle());
            (subscriber.finish().try_init(), level)
        }
    };
    installed.context("cannot initialize logging")?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(Logging { level, flush, thread_ended })
}

/// The handles of the log.
pub struct Logging {
    pub level: LogLevel,
    pub flush: LogFlush,
    /// Cancelled when the thread of the log ends, which it does by a panic only. Lines are dropped from then on, so the
    /// relay must stop. A reader of standard error that has stopped does not end the thread.
    pub thread_ended: CancellationToken,
}

/// The lowest level that is logged. Cheap to clone.
#[derive(Clone)]
pub struct LogLevel(Arc<dyn Fn(Level) -> Result<(), reload::Error> + Send + Sync>);

impl LogLevel {
    fn new<S: 'static>(filter: reload::Handle<EnvFilter, S>) -> Self {
        Self(Arc::new(move |level| filter.reload(EnvFilter::new(log_directives(level)))))
    }

    /// Logs this level and those above it from now on.
    pub fn set(&self, level: Level) {
        // Fails when the logger is gone, which ends with the process, or after a panic within it.
        if let Err(error) = (self.0)(level) {
            tracing::error!(%error, "cannot change the level of the log");
        }
    }
}

/// The level applies to docrelay only: below `warn`, other crates log headers, and with them credentials. Of h2 only
/// errors: it warns of each connection that floods it, so a flood would fill the log.
fn log_directives(level: Level) -> String {
    let others = level.min(Level::WARN);
    format!("{others},h2=error,docrelay={level}").to_ascii_lowercase()
}

/// The panic hook. It writes to the queue only: a hook that waited for standard error, or panicked, would stop the
/// thread or the process.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let current = std::thread::current();
    let thread = current.name().unwrap_or("unnamed");
    let location = panic.location().map(tracing::field::display);
    let message = panic.payload_as_str().unwrap_or("a value that is not text");
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| tracing::field::display(backtrace));
    tracing::error!(thread, location, message, backtrace, "panic: please report this as a bug");
}

enum Message {
    Line(Vec<u8>),
    /// All lines before are written.
    Flush(SyncSender<()>),
}

/// The sending side of the queue. One write is one line.
#[derive(Clone)]
struct LogQueue {
    sender: SyncSender<Message>,
    queued_bytes: Arc<AtomicUsize>,
    dropped_lines: Counter,
}

impl LogQueue {
    fn new(dropped_lines: Counter) -> (Self, LogWriter) {
        let (sender, receiver) = sync_channel(MAX_QUEUED_LINES);
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let writer = LogWriter { receiver, queued_bytes: queued_bytes.clone(), dropped_lines: dropped_lines.clone() };
        (Self { sender, queued_bytes, dropped_lines }, writer)
    }
}

impl Write for LogQueue {
    /// Never fails and never waits.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let size = line.len();
        let fits = self.queued_bytes.fetch_add(size, Ordering::Relaxed).saturating_add(size) <= MAX_QUEUED_BYTES;
        if !fits || self.sender.try_send(Message::Line(line.to_vec())).is_err() {
            self.queued_bytes.fetch_sub(size, Ordering::Relaxed);
            self.dropped_lines.inc();
        }
        Ok(size)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for LogQueue {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// The receiving side of the queue.
struct LogWriter {
    receiver: Receiver<Message>,
    queued_bytes: Arc<AtomicUsize>,
    dropped_lines: Counter,
}

impl LogWriter {
    fn run(self, mut out: impl Write) {
        for message in self.receiver {
            match message {
                Message::Line(line) => {
                    if out.write_all(&line).is_err() {
                        self.dropped_lines.inc();
                    }
                    self.queued_bytes.fetch_sub(line.len(), Ordering::Relaxed);
                }
                // Fails if the waiting side has given up.
                Message::Flush(written) => written.try_send(()).unwrap_or(()),
            }
        }
    }
}

/// Waits on drop, for a bounded time, until the lines so far are written.
pub struct LogFlush(LogQueue);

impl Drop for LogFlush {
    fn drop(&mut self) {
        let (sender, written) = sync_channel(1);
        // A queue that is full has a reader that has stopped: there is nothing to wait for.
        if self.0.sender.try_send(Message::Flush(sender)).is_ok() {
            written.recv_timeout(FLUSH_TIMEOUT).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails every second write.
    struct Flaky(Vec<u8>, bool);

    impl Write for Flaky {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if !self.1 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.0.extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn other_crates_stay_quiet_at_every_level() {
        assert_eq!(log_directives(Level::TRACE), "warn,h2=error,docrelay=trace");
        assert_eq!(log_directives(Level::INFO), "warn,h2=error,docrelay=info");
        assert_eq!(log_directives(Level::ERROR), "error,h2=error,docrelay=error");
    }

    #[test]
    fn full_queue_drops_and_counts_lines_by_number_and_bytes() {
        let dropped = Counter::default();
        let (mut queue, writer) = LogQueue::new(dropped.clone());
        for _ in 0..MAX_QUEUED_LINES + 10 {
            queue.write_all(b"line\n").expect("never fails");
        }
        assert_eq!(dropped.get(), 10);
        let (mut queue, _writer) = LogQueue::new(dropped.clone());
        for _ in 0..5 {
            queue.write_all(&vec![b'x'; MAX_QUEUED_BYTES / 4]).expect("never fails");
        }
        assert_eq!(dropped.get(), 11);
        drop(writer);
    }

    #[test]
    fn failed_write_drops_its_line_only() {
        let dropped = Counter::default();
        let (mut queue, writer) = LogQueue::new(dropped.clone());
        for line in ["one\n", "two\n", "three\n"] {
            queue.write_all(line.as_bytes()).expect("never fails");
        }
        let bytes = queue.queued_bytes.clone();
        drop(queue);
        let mut out = Flaky(Vec::new(), false);
        writer.run(&mut out);
        assert_eq!((out.0.as_slice(), dropped.get()), (&b"one\nthree\n"[..], 1));
        assert_eq!(bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn panic_is_logged_with_thread_location_and_message() {
        let dropped = Counter::default();
        let (queue, writer) = LogQueue::new(dropped);
        let subscriber = tracing_subscriber::fmt().with_writer(queue).with_ansi(false).finish();
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(log_panic));
        let panicking = std::thread::Builder::new().name("streams-7".to_owned()).spawn(move || {
            let _logged = tracing::subscriber::set_default(subscriber);
            panic!("index {} is out of range", 7);
        });
        panicking.expect("a thread").join().expect_err("it panics");
        std::panic::set_hook(before);
        let mut out = Vec::new();
        writer.run(&mut out);
        let line = String::from_utf8(out).expect("UTF-8");
        for part in ["ERROR", "streams-7", "src/app/logging.rs:", "index 7 is out of range"] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
}
