//! Following a stream: first the log after the last id, then live, without a gap and without a repeat.
//! A follower takes its seat in the hub before it reads the past, and skips what it has seen. Whoever falls off the
//! hub's ring reads the log again from its own position, at its own pace: slowness costs a re-read, never an event.

use std::pin::Pin;

use tokio::time::{Instant, Sleep, sleep_until};

use super::Streams;
use super::hub::{Behind, Ending, Fields, Filter, Framing, Full, Outgoing, Seat};
use crate::domain::{ClientId, EventId, Timestamp};
use crate::metrics::{Disconnect, GaugeGuard, Label, Reset};
use crate::store::{LogPage, StoreError};

/// The most that one turn writes from the ring: a reader that has been away a little does not hold the thread.
const TURN_BYTES: usize = 512 << 10;

/// What somebody wants to follow.
#[derive(Debug)]
pub struct FollowRequest {
    /// Whose events.
    pub client: ClientId,
    /// `Last-Event-ID` as it came; `None` or empty for live only.
    pub last_event_id: Option<String>,
    /// Which events.
    pub filter: Filter,
    /// Which keys of them.
    pub fields: Fields,
    /// Whether the bytes are chunk-framed.
    pub framing: Framing,
    /// When the token expires.
    pub expires: Timestamp,
    /// The present time.
    pub now: Timestamp,
}

/// What to do next for a follower.
#[derive(Debug)]
pub enum Turn {
    /// Write this, then ask again.
    Write(Outgoing),
    /// Write this and end the stream.
    End(Outgoing, Disconnect),
}

/// One open stream, apart from its connection.
pub struct Follower {
    streams: Streams,
    seat: Seat,
    /// One on the gauge.
    _counted: GaugeGuard,
    /// Everything up to this sequence has been handed over or was not asked for.
    position: u64,
    /// How the next page of the log is to be understood.
    start: Start,
    filter: Option<Box<Filter>>,
    fields: Fields,
    framing: Framing,
    /// What the end is counted as, unless something else is said.
    reason: Disconnect,
    /// When something was last handed over.
    written: Instant,
    expires: Instant,
    /// Fires at the nearer of idle and expiry. It is not moved at every write, but looks again when it fires.
    alarm: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// The position is one that we gave out: what was deleted after it is a gap.
    Continue,
    /// All that is retained was asked for, so nothing is missing.
    Earliest,
    /// All that is retained, because the position given cannot be continued.
    Reset(Reset),
}

impl Streams {
    /// Begins a stream. From the moment this returns, no event of the client is missed.
    pub fn follow(&self, request: FollowRequest) -> Result<Follower, Full> {
        let seat = self.hub.join(&request.client, request.now)?;
        // The seat is taken: whatever is published from here on is in the ring. Only now look at the log's head.
        let head = self.store.log.head();
        let (position, start) = self.place(request.last_event_id.as_deref(), head);
        seat.reached(position);
        self.metrics.followers_opened.inc();
        let now = Instant::now();
        Ok(Follower {
            streams: self.clone(),
            seat,
            _counted: GaugeGuard::new(&self.metrics.followers),
            position,
            start,
            filter: (!request.filter.is_open()).then(|| Box::new(request.filter)),
            fields: request.fields,
            framing: request.framing,
            reason: Disconnect::Closed,
            written: now,
            expires: now + request.now.until(request.expires),
            alarm: None,
        })
    }

    fn place(&self, last_event_id: Option<&str>, head: u64) -> (u64, Start) {
        match last_event_id {
            None | Some("") => (head, Start::Continue),
            Some("earliest") => (0, Start::Earliest),
            Some(text) => match text.parse::<EventId>() {
                Err(_) => (0, Start::Reset(Reset::Unknown)),
                Ok(id) if id.epoch != self.store.log.epoch() => (0, Start::Reset(Reset::Epoch)),
                Ok(id) if id.sequence > head => (0, Start::Reset(Reset::Unknown)),
                Ok(id) => (id.sequence, Start::Continue),
            },
        }
    }
}

impl Follower {
    /// Waits for the next thing to write. Nothing is lost when this is dropped while it waits: the position moves
    /// only when something is returned.
    pub async fn next(&mut self) -> Turn {
        loop {
            // Made before anything is looked at, so that an ending or a push in between wakes it.
            let news = self.seat.news();
            if let Some(leaving) = self.leaving() {
                return self.end(leaving);
            }
            let mut out = Outgoing::new(self.framing, self.fields);
            let taken = match self.start {
                Start::Continue => self.seat.take(self.position, self.filter.as_deref(), TURN_BYTES, &mut out),
                Start::Earliest | Start::Reset(_) => Err(Behind),
            };
            match taken {
                Ok(reached) => self.position = reached,
                Err(Behind) => {
                    let log = self.streams.store.log.clone();
                    let client = self.seat.client().clone();
                    let running = GaugeGuard::new(&self.streams.metrics.replays_running);
                    let read = log.events_after(&client, self.position, self.streams.options.page).await;
                    drop(running);
                    match read {
                        Ok(page) => self.read(page, &mut out),
                        // The client was removed a moment ago, and the hub is about to hear of it.
                        Err(StoreError::NotFound(_)) => return self.end(Disconnect::Revoked),
                        Err(error) => {
                            tracing::warn!(%error, "a replay could not read the log: the stream ends");
                            return self.end(Disconnect::Store);
                        }
                    }
                }
            }
            if !out.is_empty() {
                return self.write(out);
            }
            let idle = self.written + self.streams.options.idle_interval;
            if taken.is_err() {
                // A long history of which the filter lets nothing through is silence to whoever is in between.
                if Instant::now() >= idle {
                    out.text("\n");
                    return self.write(out);
                }
                continue;
            }
            self.seat.reached(self.position);
            let due = idle.min(self.expires);
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
            tokio::select! {
                () = news => {}
                () = alarm.as_mut() => {
                    let now = Instant::now();
                    let after = if now >= idle { now + self.streams.options.idle_interval } else { idle };
                    alarm.as_mut().reset(after.min(self.expires));
                    if now >= idle && now < self.expires {
                        out.text("\n");
                        return self.write(out);
                    }
                }
            }
        }
    }

    /// Whether what it writes is chunk-framed.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Waits until the stream has to end whatever there is to write, and says why. For a connection that is stuck in a
    /// write and cannot ask for the next turn.
    pub async fn has_to_end(&self) -> Disconnect {
        loop {
            let news = self.seat.news();
            if let Some(leaving) = self.leaving() {
                return leaving;
            }
            tokio::select! {
                () = news => {}
                () = sleep_until(self.expires) => {}
            }
        }
    }

    /// Says why the stream ended; without a word it was the follower who closed it. Counted and logged when this
    /// follower is dropped, however that comes about.
    pub fn ended(&mut self, reason: Disconnect) {
        self.reason = reason;
    }

    /// Notes that the connection has accepted so many bytes, and with them so many events.
    pub fn wrote(&self, bytes: usize, events: usize) {
        self.seat.wrote(bytes);
        self.streams.metrics.stream_bytes.inc_by(bytes as u64);
        self.streams.metrics.events_out.inc_by(events as u64);
    }

    /// Goes back to an event of the last turn: what came after it was not written, and is read again.
    pub fn go_back(&mut self, through: u64) {
        self.position = through;
        self.seat.reached(through);
    }

    fn leaving(&self) -> Option<Disconnect> {
        match self.seat.ending() {
            Some(Ending::Revoked) => Some(Disconnect::Revoked),
            Some(Ending::Dismissed) => Some(Disconnect::Removed),
            Some(Ending::Stopping) => Some(Disconnect::Stopping),
            None => (Instant::now() >= self.expires).then_some(Disconnect::Expired),
        }
    }

    /// Moves over a page of the log, and says first when something is missing before it.
    fn read(&mut self, page: LogPage, out: &mut Outgoing) {
        let reason = match self.start {
            Start::Continue => (self.position < page.pruned_through).then_some(Reset::Expired),
            Start::Earliest => None,
            Start::Reset(reason) => Some(reason),
        };
        if let Some(reason) = reason {
            let sequence = page.events.first().map_or(page.through, |e| e.id.sequence);
            let earliest = EventId { epoch: self.streams.store.log.epoch(), sequence };
            out.text(&format!(
                "event: reset\ndata: {{\"reason\":\"{}\",\"earliest\":\"{earliest}\"}}\n\n",
                reason.as_str()
            ));
            self.streams.metrics.resets.inc(reason);
        }
        self.start = Start::Continue;
        self.position = page.through;
        self.streams.metrics.replay_events.inc_by(page.events.len() as u64);
        let filter = self.filter.as_deref();
        out.events(page.events.iter().filter(|e| filter.is_none_or(|f| f.passes(e.document, e.status))));
    }

    fn write(&mut self, out: Outgoing) -> Turn {
        self.written = Instant::now();
        self.seat.reached(self.position);
        Turn::Write(out)
    }

    fn end(&self, leaving: Disconnect) -> Turn {
        let mut out = Outgoing::new(self.framing, self.fields);
        match leaving {
            // The other side's doing: nobody is there to hear more.
            Disconnect::Closed | Disconnect::Stalled => {}
            Disconnect::Expired | Disconnect::Revoked => out.text(&refused("auth_failed")),
            Disconnect::Removed => {
                out.text(&format!(": ended by the administrator\nretry: {}\n\n", retry(5_000..15_000)))
            }
            // Spread over some seconds, so that a restarted relay is not met by everybody at once.
            Disconnect::Stopping => out.text(&format!("retry: {}\n\n", retry(1_000..8_000))),
            Disconnect::Store => out.text(&format!(": the log cannot be read\nretry: {}\n\n", retry(3_000..9_000))),
        }
        Turn::End(out, leaving)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.streams.metrics.disconnects.inc(self.reason);
        tracing::info!(client = %self.seat.client(), reason = self.reason.as_str(), "a stream ended");
    }
}

/// The opening of every stream: an empty line at once, then when to come back.
pub fn opening() -> String {
    format!("\nretry: {}\n\n", retry(2_000..4_001))
}

/// The whole body of a stream that is refused for a reason that the client must mend: at least 30 s, so that an
/// EventSource, which comes back by itself, does not hammer.
pub fn refused(code: &str) -> String {
    format!("retry: {}\nevent: error\ndata: {code}\n\n", retry(30_000..40_000))
}

/// The whole body of a stream that is refused because there is no room.
pub fn busy(why: Full) -> String {
    format!(": {why}\nretry: {}\n\n", retry(5_000..20_000))
}

fn retry(range: std::ops::Range<u64>) -> u64 {
    fastrand::u64(range)
}
