//! When the bytes of a stream come, and what kind of bytes: the opening, keep-alive lines, events, a refusal. Keeps
//! counts and the present line, not the stream.

use std::time::Duration;

use tokio::time::Instant;

use super::Patience;
use super::finding::{Finding, seconds};

/// What is kept of one line. Refusals are shorter; events are only counted.
const LINE: usize = 200;

/// Who ended the listening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The time was over.
    Ours,
    /// The stream was.
    Theirs,
}

/// One stream's bytes over time.
pub(super) struct Pulse {
    patience: Patience,
    began: Instant,
    /// When the last bytes came.
    last: Instant,
    first: Option<Duration>,
    /// The longest time without a byte since the stream was open.
    longest: Duration,
    /// Keep-alive lines, and blocks that are more than an empty line.
    beats: usize,
    blocks: usize,
    /// Several keep-alive lines came at once, after a silence.
    clumped: bool,
    line: Vec<u8>,
    lines: usize,
    /// The line before was empty, so that another empty one is a keep-alive line.
    between: bool,
    /// The first line was empty, as it should be.
    opened: bool,
    rewritten: bool,
    retries: usize,
    error: bool,
    refusal: Option<String>,
    comment: Option<String>,
}

impl Pulse {
    pub(super) fn new(now: Instant, patience: Patience) -> Self {
        Self {
            patience,
            began: now,
            last: now,
            first: None,
            longest: Duration::ZERO,
            beats: 0,
            blocks: 0,
            clumped: false,
            line: Vec::new(),
            lines: 0,
            between: true,
            opened: false,
            rewritten: false,
            retries: 0,
            error: false,
            refusal: None,
            comment: None,
        }
    }

    /// When the listening began: right after the head.
    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// How long after the head the first byte came.
    pub(super) fn first_byte(&self) -> Option<Duration> {
        self.first
    }

    /// Whether the whole opening has come, or what stands in its place.
    pub(super) fn is_open(&self) -> bool {
        self.blocks > 0
    }

    /// What an `error` event said.
    pub(super) fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    /// The words of a relay that has no room: a comment instead of the opening.
    pub(super) fn busy(&self) -> Option<&str> {
        self.comment.as_deref().filter(|_| !self.opened)
    }

    /// Whether the stream began with anything but an empty line and `retry:`, or its line ends were changed.
    pub(super) fn is_rewritten(&self) -> bool {
        self.rewritten || !self.opened || self.retries == 0
    }

    /// Some bytes have come.
    pub(super) fn take(&mut self, bytes: &[u8], now: Instant) {
        self.first.get_or_insert(now - self.began);
        let gap = now - self.last;
        if self.is_open() {
            self.longest = self.longest.max(gap);
        }
        self.last = now;
        let before = self.beats;
        for byte in bytes {
            match byte {
                b'\n' => self.end_line(),
                other if self.line.len() < LINE => self.line.push(*other),
                _ => {}
            }
        }
        self.clumped |= self.beats - before > 1 && gap > self.patience.lull;
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        let line = text.trim_end_matches('\r');
        self.rewritten |= line.len() < text.len();
        self.lines += 1;
        if line.is_empty() {
            match (self.lines, self.between) {
                (1, _) => self.opened = true,
                (_, true) => self.beats += 1,
                (_, false) => self.blocks += 1,
            }
            self.between = true;
            self.error = false;
            return;
        }
        self.between = false;
        match line.split_once(':').map(|(name, value)| (name, value.trim_start())) {
            Some(("retry", _)) => self.retries += 1,
            Some(("event", name)) => self.error = name == "error",
            Some(("data", word)) if self.error => self.refusal = Some(word.to_owned()),
            Some(("", words)) => self.comment = Some(words.to_owned()),
            _ => {}
        }
    }

    /// What is to be said of the stream's life, now that the listening has ended.
    pub(super) fn judge(&self, ending: Ending, now: Instant) -> Finding {
        let (open, silent) = (now - self.began, now - self.last);
        let longest = if ending == Ending::Ours { self.longest.max(silent) } else { self.longest };
        if ending == Ending::Theirs {
            // The opening has the first; a relay that stops says another.
            return if self.retries > 1 {
                Finding::warn(format!(
                    "the relay ended the stream after {}, as it does when it stops: try again",
                    seconds(open)
                ))
            } else if self.beats < 2 {
                Finding::fail(format!(
                    "cut: the idle stream was ended after {}, {} after its last byte: something in between has a shorter patience than \
                     the relay's idle_interval; raise it (proxy_read_timeout in nginx), 60 s is usual",
                    seconds(open),
                    seconds(silent)
                ))
            } else {
                Finding::fail(format!(
                    "cut: the stream was ended after {} although keep-alive lines came: something in between limits how long an answer may take",
                    seconds(open)
                ))
            };
        }
        if self.clumped {
            return Finding::fail(
                "buffered: keep-alive lines come in clumps: something in between collects bytes before it passes them on",
            );
        }
        if longest > self.patience.silence {
            return Finding::fail(format!(
                "late: nothing came for {}, and a relay sends a line every 15 s: something in between holds it back, or idle_interval is \
                 longer than that",
                seconds(longest)
            ));
        }
        let (beats, events) = (self.beats, self.blocks.saturating_sub(1));
        if beats + events < 2 {
            return Finding::warn(format!(
                "the stream stayed open for {}, which is too short to tell whether idle ones are cut: --idle 40s",
                seconds(open)
            ));
        }
        Finding::ok(format!(
            "the stream stayed open for {} with {beats} keep-alive lines and {events} events",
            seconds(open)
        ))
    }
}

/// What a whole body says that is one refusal and nothing else.
pub(super) fn refusal(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?.replace('\r', "");
    let (retry, word) = text.split_once("event: error\ndata: ")?;
    let word = word.strip_suffix("\n\n")?;
    (retry.starts_with("retry: ") && !word.contains('\n')).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::PATIENCE;
    use super::super::finding::Grade;
    use super::*;

    /// Bytes at these seconds, and what is made of them.
    fn judged(bytes: &[(f64, &str)], ending: Ending, after: f64) -> Finding {
        let began = Instant::now();
        let at = |seconds: f64| began + Duration::from_secs_f64(seconds);
        let mut pulse = Pulse::new(began, PATIENCE);
        pulse.take(b"\nretry: 3000\n\n", began);
        for (seconds, text) in bytes {
            pulse.take(text.as_bytes(), at(*seconds));
        }
        assert!(pulse.is_open() && !pulse.is_rewritten());
        pulse.judge(ending, at(after))
    }

    #[track_caller]
    fn says(finding: &Finding, grade: Grade, words: &str) {
        assert!(finding.grade == grade && finding.text.contains(words), "{finding:?}");
    }

    #[test]
    fn a_stream_with_a_steady_pulse_is_well() {
        says(&judged(&[(15.0, "\n"), (30.0, "\n")], Ending::Ours, 40.0), Grade::Ok, "2 keep-alive lines and 0 events");
        let event = "id: a.1\ndata: {\"event\":1}\n\n";
        says(
            &judged(&[(1.0, event), (15.0, &event[..9]), (16.0, &event[9..])], Ending::Ours, 20.0),
            Grade::Ok,
            "2 events",
        );
        says(&judged(&[(15.0, "\n")], Ending::Ours, 20.0), Grade::Warn, "too short");
    }

    #[test]
    fn lines_that_come_late_or_in_clumps_are_held_back_by_something() {
        says(&judged(&[], Ending::Ours, 40.0), Grade::Fail, "nothing came for 40.0 s");
        says(&judged(&[(15.0, "\n"), (36.0, "\n")], Ending::Ours, 40.0), Grade::Fail, "nothing came for 21.0 s");
        says(&judged(&[(30.0, "\n\n")], Ending::Ours, 40.0), Grade::Fail, "clumps");
    }

    #[test]
    fn who_ended_a_stream_is_told_apart() {
        says(&judged(&[], Ending::Theirs, 10.0), Grade::Fail, "ended after 10.0 s, 10.0 s after its last byte");
        says(&judged(&[(15.0, "\n"), (30.0, "\n")], Ending::Theirs, 31.0), Grade::Fail, "how long an answer may take");
        says(&judged(&[(9.0, "retry: 4000\n\n")], Ending::Theirs, 9.0), Grade::Warn, "when it stops");
    }

    #[test]
    fn a_refusal_in_the_middle_is_heard_in_whatever_pieces_it_comes() {
        let body = "\nretry: 1\n\nid: a.1\ndata: error\n\nretry: 30000\nevent: error\ndata: auth_failed\n\n";
        for size in 1..body.len() {
            let mut pulse = Pulse::new(Instant::now(), PATIENCE);
            body.as_bytes().chunks(size).for_each(|piece| pulse.take(piece, Instant::now()));
            assert_eq!((pulse.refusal(), pulse.beats, pulse.blocks), (Some("auth_failed"), 0, 3));
        }
        assert_eq!(refusal(b"retry: 1\nevent: error\ndata: auth_required\n\n").as_deref(), Some("auth_required"));
        for other in ["", "event: error\ndata: x\n\n", "retry: 1\nevent: error\ndata: x\n\ndata: y\n\n", "<html>"] {
            assert_eq!(refusal(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn an_opening_that_was_changed_is_seen() {
        for (opening, rewritten) in
            [("\nretry: 1\n\n", false), ("retry: 1\n\n", true), ("\r\nretry: 1\r\n\r\n", true), (": hi\n\n", true)]
        {
            let mut pulse = Pulse::new(Instant::now(), PATIENCE);
            pulse.take(opening.as_bytes(), Instant::now());
            assert_eq!((pulse.is_open(), pulse.is_rewritten()), (true, rewritten), "{opening:?}");
        }
    }
}
