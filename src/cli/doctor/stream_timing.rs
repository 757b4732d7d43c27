//! The timing of one stream, for the findings about buffering, rewriting and disconnects.
//!
//! Blocks are parsed by `sse-stream`, as in `tail`. Three facts are below the level of blocks, so the bytes are counted
//! here too: when bytes arrive, the empty lines that are the keepalives, and the exact opening of the stream.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures::channel::mpsc;
use futures::{FutureExt, StreamExt, stream};
use sse_stream::{Sse, SseByteStream};
use tokio::time::Instant;

use super::WaitLimits;
use super::report::{Finding, duration_text};

/// How much of the beginning of a stream is kept; longer than any opening of a relay.
const MAX_OPENING_BYTES: usize = 200;

/// Why `doctor` stopped watching the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WatchEnd {
    /// The time to watch is over.
    TimeElapsed,
    /// The server or a proxy ended the stream, or the connection broke.
    Disconnected,
}

/// What a stream has sent so far, and when.
pub(super) struct StreamTiming {
    limits: WaitLimits,
    started: Instant,
    last_byte: Instant,
    first_byte: Option<Duration>,
    /// The longest time without a byte since the opening was complete.
    longest_gap: Duration,
    keepalives: usize,
    /// Several keepalives arrived at once after a gap: a proxy collected them.
    has_bursts: bool,
    lines: LineState,
    opening: Vec<u8>,
    blocks: ParsedBlocks,
}

/// The position in the line structure of the stream. Carriage returns belong to the line end.
#[derive(Default)]
struct LineState {
    has_text: bool,
    /// The previous line was empty, so one more empty line is a keepalive.
    after_empty_line: bool,
    has_block: bool,
    /// An empty line has ended the first block.
    is_open: bool,
    has_carriage_returns: bool,
}

impl StreamTiming {
    /// `now` is the time of the response's head.
    pub(super) fn new(now: Instant, limits: WaitLimits) -> Self {
        Self {
            limits,
            started: now,
            last_byte: now,
            first_byte: None,
            longest_gap: Duration::ZERO,
            keepalives: 0,
            has_bursts: false,
            lines: LineState::default(),
            opening: Vec::new(),
            blocks: ParsedBlocks::new(),
        }
    }

    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// The time from the head to the first byte.
    pub(super) fn first_byte(&self) -> Option<Duration> {
        self.first_byte
    }

    /// Whether the opening, or what replaces it, is complete.
    pub(super) fn is_open(&self) -> bool {
        self.lines.is_open
    }

    /// The code of an `error` event.
    pub(super) fn refusal(&self) -> Option<&str> {
        self.blocks.refusal.as_deref()
    }

    /// The reason of a relay that has no capacity: a comment instead of the opening.
    pub(super) fn capacity_comment(&self) -> Option<String> {
        let comment = self.opening.strip_prefix(b":")?;
        let line = comment.split(|byte| *byte == b'\n').next()?;
        Some(String::from_utf8_lossy(line).trim().to_owned())
    }

    /// Whether the stream differs from `"\nretry: …"`, which opens each stream of a relay.
    pub(super) fn is_rewritten(&self) -> bool {
        self.lines.has_carriage_returns || !self.opening.starts_with(b"\nretry:")
    }

    pub(super) fn receive(&mut self, bytes: Bytes, now: Instant) {
        self.first_byte.get_or_insert(now - self.started);
        let gap = now - self.last_byte;
        if self.is_open() {
            self.longest_gap = self.longest_gap.max(gap);
        }
        self.last_byte = now;
        let room = MAX_OPENING_BYTES.saturating_sub(self.opening.len());
        self.opening.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let empty_lines = bytes.iter().filter(|byte| self.lines.is_keepalive(**byte)).count();
        let keepalives = empty_lines + self.blocks.parse(bytes);
        self.keepalives += keepalives;
        self.has_bursts |= keepalives > 1 && gap > self.limits.network_delay;
    }

    /// The finding about the stream as a whole, at the end of the watch.
    pub(super) fn finding(&self, end: WatchEnd, now: Instant) -> Finding {
        let silence = now - self.last_byte;
        let open = duration_text(now - self.started);
        if end == WatchEnd::Disconnected {
            // The opening has one `retry:`; a relay that stops sends a second one.
            return if self.blocks.retries > 1 {
                Finding::warn(format!(
                    "the relay ended the stream after {open}, as it does when it stops: run the command again"
                ))
            } else if self.keepalives < 2 {
                Finding::fail(format!(
                    "disconnected: the idle stream was ended after {open}, {} after its last byte: a proxy has a timeout shorter than \
                     the relay's idle_interval; raise it (proxy_read_timeout in nginx), 60 s is usual",
                    duration_text(silence)
                ))
            } else {
                Finding::fail(format!(
                    "disconnected: the stream was ended after {open} although keepalives arrived: a proxy limits the total time of a response"
                ))
            };
        }
        if self.has_bursts {
            return Finding::fail(
                "buffered: keepalives arrive in bursts: a proxy collects bytes before it passes them on",
            );
        }
        let longest_gap = self.longest_gap.max(silence);
        if longest_gap > self.limits.keepalive_gap {
            return Finding::fail(format!(
                "late: no byte for {}, but a relay sends a keepalive every 15 s: a proxy delays it, or idle_interval is longer",
                duration_text(longest_gap)
            ));
        }
        let (keepalives, events) = (self.keepalives, self.blocks.events);
        if keepalives + events < 2 {
            return Finding::warn(format!(
                "the stream stayed open for {open}, which is too short to detect an idle timeout: use --idle 40s"
            ));
        }
        Finding::ok(format!("the stream stayed open for {open}, with {keepalives} keepalives and {events} events"))
    }
}

impl LineState {
    /// Advances by one byte. Returns whether it ends a keepalive: an empty line after the end of a block.
    fn is_keepalive(&mut self, byte: u8) -> bool {
        match byte {
            b'\r' => self.has_carriage_returns = true,
            b'\n' => {
                let is_empty = !self.has_text;
                let is_keepalive = is_empty && self.after_empty_line;
                // The very first line is empty and ends no block.
                self.is_open |= is_empty && self.has_block;
                self.has_block |= self.has_text;
                self.after_empty_line = is_empty;
                self.has_text = false;
                return is_keepalive;
            }
            _ => self.has_text = true,
        }
        false
    }
}

/// `sse-stream` over the chunks that have arrived.
struct ParsedBlocks {
    /// Holds one chunk: [`ParsedBlocks::parse`] consumes it before it returns.
    chunks: mpsc::Sender<Result<Bytes, Infallible>>,
    parser: SseByteStream<mpsc::Receiver<Result<Bytes, Infallible>>>,
    events: usize,
    retries: usize,
    refusal: Option<String>,
}

impl ParsedBlocks {
    fn new() -> Self {
        let (chunks, receiver) = mpsc::channel(1);
        Self { chunks, parser: SseByteStream::new(receiver), events: 0, retries: 0, refusal: None }
    }

    /// Returns the number of positions: a keepalive of a filtered stream may be a block with an id and nothing else.
    fn parse(&mut self, bytes: Bytes) -> usize {
        let mut positions = 0;
        // Full only after an error of the parser, which ends it.
        self.chunks.try_send(Ok(bytes)).ok();
        while let Some(Some(Ok(block))) = self.parser.next().now_or_never() {
            self.retries += usize::from(block.retry.is_some());
            if block.event.as_deref() == Some("error") {
                self.refusal = block.data;
            } else {
                self.events += usize::from(block.data.is_some());
                positions += usize::from(block.id.is_some() && block.data.is_none() && block.retry.is_none());
            }
        }
        positions
    }
}

/// The code of a response that is one refusal and nothing else.
pub(super) async fn refusal(body: Vec<u8>) -> Option<String> {
    let body = stream::iter([Ok::<_, Infallible>(Bytes::from(body))]);
    let blocks: Vec<_> = SseByteStream::new(body).collect().await;
    match blocks.as_slice() {
        [Ok(Sse { event: Some(event), data, retry: Some(_), .. })] if event == "error" => data.clone(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::WAIT_LIMITS;
    use super::super::report::Severity;
    use super::*;

    fn timing_of(pieces: impl IntoIterator<Item = &'static [u8]>) -> StreamTiming {
        let mut timing = StreamTiming::new(Instant::now(), WAIT_LIMITS);
        pieces.into_iter().for_each(|piece| timing.receive(Bytes::from_static(piece), Instant::now()));
        timing
    }

    /// The finding about a stream that sends these bytes at these seconds and is watched until `end_seconds`.
    fn finding(bytes: &[(f64, &'static str)], end: WatchEnd, end_seconds: f64) -> Finding {
        let started = Instant::now();
        let at = |seconds: f64| started + Duration::from_secs_f64(seconds);
        let mut timing = StreamTiming::new(started, WAIT_LIMITS);
        timing.receive(Bytes::from_static(b"\nretry: 3000\nid: a.1\n\n"), started);
        for (seconds, text) in bytes {
            timing.receive(Bytes::from_static(text.as_bytes()), at(*seconds));
        }
        assert!(timing.is_open() && !timing.is_rewritten());
        timing.finding(end, at(end_seconds))
    }

    #[track_caller]
    fn assert_finding(finding: &Finding, severity: Severity, text: &str) {
        assert!(finding.severity == severity && finding.text.contains(text), "{finding:?}");
    }

    #[test]
    fn regular_keepalives_or_events_are_ok() {
        let keepalives = finding(&[(15.0, "\n"), (30.0, "\n")], WatchEnd::TimeElapsed, 40.0);
        assert_finding(&keepalives, Severity::Ok, "2 keepalives and 0 events");
        let positions = finding(&[(15.0, "id: a.4\n\n"), (30.0, "\n")], WatchEnd::TimeElapsed, 40.0);
        assert_finding(&positions, Severity::Ok, "2 keepalives and 0 events");
        let event = "id: a.1\ndata: {\"event\":1}\n\n";
        let events = [(1.0, event), (15.0, &event[..9]), (16.0, &event[9..])];
        assert_finding(&finding(&events, WatchEnd::TimeElapsed, 20.0), Severity::Ok, "2 events");
        assert_finding(&finding(&[(15.0, "\n")], WatchEnd::TimeElapsed, 20.0), Severity::Warn, "too short");
    }

    #[test]
    fn late_keepalives_and_bursts_fail() {
        let end = WatchEnd::TimeElapsed;
        assert_finding(&finding(&[], end, 40.0), Severity::Fail, "no byte for 40.0 s");
        assert_finding(&finding(&[(15.0, "\n"), (36.0, "\n")], end, 40.0), Severity::Fail, "no byte for 21.0 s");
        assert_finding(&finding(&[(30.0, "\n\n")], end, 40.0), Severity::Fail, "bursts");
    }

    #[test]
    fn disconnects_by_proxy_and_relay_are_distinguished() {
        let end = WatchEnd::Disconnected;
        assert_finding(&finding(&[], end, 10.0), Severity::Fail, "ended after 10.0 s, 10.0 s after its last byte");
        let keepalives = [(15.0, "\n"), (30.0, "\n")];
        assert_finding(&finding(&keepalives, end, 31.0), Severity::Fail, "the total time of a response");
        assert_finding(&finding(&[(9.0, "retry: 4000\n\n")], end, 9.0), Severity::Warn, "when it stops");
    }

    #[tokio::test]
    async fn refusal_is_found_in_chunks_of_any_size() {
        const BODY: &[u8] = b"\nretry: 1\n\nid: a.1\ndata: error\n\nretry: 30000\nevent: error\ndata: auth_failed\n\n";
        for size in 1..BODY.len() {
            let timing = timing_of(BODY.chunks(size));
            assert_eq!((timing.refusal(), timing.keepalives), (Some("auth_failed"), 0));
            assert_eq!((timing.blocks.retries, timing.blocks.events), (2, 1));
        }
        let code = refusal(b"retry: 1\nevent: error\ndata: auth_required\n\n".to_vec()).await;
        assert_eq!(code.as_deref(), Some("auth_required"));
        for other in ["", "event: error\ndata: x\n\n", "retry: 1\nevent: error\ndata: x\n\ndata: y\n\n", "<html>"] {
            assert_eq!(refusal(other.into()).await, None, "{other}");
        }
    }

    #[test]
    fn changed_opening_is_detected() {
        for (opening, is_rewritten) in [
            ("\nretry: 1\nid: a.1\n\n", false),
            ("retry: 1\n\n", true),
            ("\r\nretry: 1\r\n\r\n", true),
            (": hi\n\n", true),
        ] {
            let timing = timing_of([opening.as_bytes()]);
            assert_eq!((timing.is_open(), timing.is_rewritten()), (true, is_rewritten), "{opening:?}");
        }
    }
}
