//! One open stream, apart from its connection: first the log after the start position, then live, without a gap and
//! without a duplicate. A follower subscribes before it reads the log. One that lags behind the ring reads the log
//! again from its own position, at its own pace: slowness costs a re-read, never an event.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::{Instant, Sleep, sleep_until};

use super::control::{self, IDLE_LINE};
use super::hub::{Fields, Filter, Framing, Lagged, Subscription, WriteBuffer};
use super::position::{Cursor, StartPosition};
use crate::domain::{ClientRef, EventId, Reloadable, Timestamp};
use crate::metrics::{Disconnect, GaugeGuard, Label, Metrics};
use crate::store::{LogPage, PageLimit, Store, StoreError};

/// Maximum bytes of one `collect`: it bounds how long one follower occupies its worker thread.
const MAX_COLLECT_BYTES: usize = 512 << 10;

/// What a follower asks for.
#[derive(Debug)]
pub struct FollowRequest {
    pub client: ClientRef,
    pub start: StartPosition,
    pub filter: Filter,
    pub fields: Fields,
    pub framing: Framing,
    /// When its token expires.
    pub expires: Timestamp,
    /// Set when its token becomes invalid before that. [`Hub::wake`](super::hub::Hub::wake) makes the stream look at
    /// it.
    pub revoked: Arc<AtomicBool>,
    pub now: Timestamp,
}

/// What the connection of a follower does next.
#[derive(Debug)]
pub enum StreamAction {
    /// Write this, then ask again.
    Write(WriteBuffer),
    /// Write this and close the connection.
    End { last: WriteBuffer, reason: Disconnect },
}

/// What all followers share.
pub(super) struct FollowerContext {
    pub(super) store: Store,
    pub(super) page: PageLimit,
    pub(super) idle_interval: Reloadable<Duration>,
    pub(super) metrics: Metrics,
}

/// A page of the log on its way from a reader.
type PageRead = BoxFuture<'static, Result<LogPage, StoreError>>;

/// One open stream. Small: while it is idle, most of the memory of a connection is this.
pub struct Follower {
    context: Arc<FollowerContext>,
    subscription: Subscription,
    _counted: GaugeGuard,
    /// The position in the opening. Boxed, because it is dropped with it.
    opening_id: Option<Box<EventId>>,
    /// The position that the client has been given by the opening, an event or an idle line.
    announced: u64,
    cursor: Cursor,
    /// The page of the log that is being read. It is kept while an idle line is written: readers serve in order of
    /// arrival. Never locked: the mutex makes a follower `Sync`.
    pending_page: Mutex<Option<PageRead>>,
    filter: Option<Box<Filter>>,
    fields: Fields,
    framing: Framing,
    /// What the end is counted as.
    reason: Disconnect,
    /// When something to write was last returned.
    last_write: Instant,
    expires: Instant,
    revoked: Arc<AtomicBool>,
    /// Fires at the idle time or at expiry, whichever is first. A write does not reset it: it is set again when it
    /// fires.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Follower {
    /// A follower that has just subscribed. The log's head is read here, after that: what is committed from here on is
    /// in the ring.
    pub(super) fn new(context: Arc<FollowerContext>, subscription: Subscription, request: FollowRequest) -> Self {
        let head = context.store.log.head();
        let epoch = context.store.log.epoch();
        let cursor = Cursor::new(request.start, epoch, head);
        subscription.record_position(cursor.sequence());
        context.metrics.followers_opened.inc();
        let now = Instant::now();
        Self {
            _counted: GaugeGuard::new(&context.metrics.followers),
            context,
            subscription,
            opening_id: request.start.opening_id(epoch, cursor.sequence()).map(Box::new),
            announced: cursor.sequence(),
            cursor,
            pending_page: Mutex::new(None),
            filter: (!request.filter.is_open()).then(|| Box::new(request.filter)),
            fields: request.fields,
            framing: request.framing,
            reason: Disconnect::Closed,
            last_write: now,
            revoked: request.revoked,
            expires: now + request.now.until(request.expires),
            timer: None,
        }
    }

    /// Waits until there is something to write. Cancellation safe: the position moves only when something is returned.
    pub async fn next_action(&mut self) -> StreamAction {
        loop {
            // Created before the first check, so that no change in between is missed.
            let mut changed = pin!(self.subscription.changed());
            if let Some(reason) = self.end_reason() {
                return self.end(reason);
            }
            let lags = match self.collect() {
                Ok(out) if !out.is_empty() => return self.emit(out),
                Ok(_) => false,
                Err(Lagged) => true,
            };
            if lags {
                // Boxed, because only a stream that reads the log needs the memory.
                match Box::pin(self.next_page()).await {
                    Some(Ok(page)) => {
                        let out = self.consume_page(&page);
                        if !out.is_empty() {
                            return self.emit(out);
                        }
                    }
                    // The client has just been removed, and the hub is about to be informed.
                    Some(Err(StoreError::NotFound(_))) => return self.end(Disconnect::Revoked),
                    Some(Err(error)) => {
                        tracing::warn!(client = %self.subscription.client(), %error, "cannot read log: ending stream");
                        return self.end(Disconnect::Store);
                    }
                    None => {}
                }
                // No reader yet, or a history of which the filter lets nothing through: proxies must not take it for a
                // dead stream.
                if Instant::now() >= self.idle_at() {
                    return self.emit_idle();
                }
                continue;
            }
            self.subscription.record_position(self.cursor.sequence());
            tokio::select! {
                () = &mut changed => {}
                () = self.timer() => {
                    let (now, idle_at) = (Instant::now(), self.idle_at());
                    let next_idle = if now >= idle_at { now + self.context.idle_interval.get() } else { idle_at };
                    let due = next_idle.min(self.expires);
                    self.timer().reset(due);
                    if now >= idle_at && now < self.expires {
                        return self.emit_idle();
                    }
                }
            }
        }
    }

    /// The text with which the stream begins. To be called once.
    pub fn opening(&mut self) -> String {
        control::opening(self.opening_id.take().map(|id| *id))
    }

    /// The framing of what this follower writes.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// The number of the thread that has to serve this follower.
    pub fn thread(&self) -> usize {
        self.subscription.thread()
    }

    /// Waits until the stream has to end, whatever there is to write. For a connection that is blocked in a write and
    /// cannot ask for the next action. Cancellation safe.
    pub async fn wait_for_end(&self) -> Disconnect {
        loop {
            let changed = self.subscription.changed();
            if let Some(reason) = self.end_reason() {
                return reason;
            }
            tokio::select! {
                () = changed => {}
                () = sleep_until(self.expires) => {}
            }
        }
    }

    /// Sets the reason that is counted and logged when this follower is dropped; [`Disconnect::Closed`] otherwise.
    pub fn set_end_reason(&mut self, reason: Disconnect) {
        self.reason = reason;
    }

    /// Counts bytes that the socket has accepted.
    pub fn record_bytes(&self, bytes: usize) {
        self.subscription.record_bytes(bytes);
        self.context.metrics.stream_bytes.inc_by(bytes as u64);
    }

    /// Counts events that the socket has accepted completely.
    pub fn record_events(&self, events: usize) {
        self.context.metrics.events_out.inc_by(events as u64);
    }

    /// Moves back to an event of the last action: the later ones were not written and are collected again.
    pub fn rewind(&mut self, sequence: u64) {
        self.cursor.move_to(sequence);
        self.announced = sequence;
        *self.pending_page() = None;
        self.subscription.record_position(sequence);
    }

    fn end_reason(&self) -> Option<Disconnect> {
        let expired = || (Instant::now() >= self.expires).then_some(Disconnect::Expired);
        let revoked = || self.revoked.load(Ordering::Relaxed).then_some(Disconnect::Revoked);
        self.subscription.end_reason().or_else(expired).or_else(revoked)
    }

    /// Collects from the ring, unless the log has to be read first.
    fn collect(&mut self) -> Result<WriteBuffer, Lagged> {
        if self.cursor.needs_log() {
            return Err(Lagged);
        }
        let mut out = WriteBuffer::new(self.framing, self.fields);
        let position = self.cursor.sequence();
        let reached = self.subscription.collect(position, self.filter.as_deref(), MAX_COLLECT_BYTES, &mut out)?;
        self.cursor.move_to(reached);
        Ok(out)
    }

    /// Completes at the idle time or at expiry, as both were when it was set.
    fn timer(&mut self) -> Pin<&mut Sleep> {
        let due = self.idle_at().min(self.expires);
        self.timer.get_or_insert_with(|| Box::pin(sleep_until(due))).as_mut()
    }

    /// When an idle line is due.
    fn idle_at(&self) -> Instant {
        self.last_write + self.context.idle_interval.get()
    }

    /// The next page of the log; `None` when an idle line or the end of the stream is due first. The page is then still
    /// being read.
    async fn next_page(&mut self) -> Option<Result<LogPage, StoreError>> {
        let due = self.idle_at().min(self.expires);
        let pending = self.pending_page().take().unwrap_or_else(|| self.read_page());
        let page = tokio::select! {
            biased;
            page = self.pending_page().insert(pending) => page,
            () = sleep_until(due) => return None,
        };
        *self.pending_page() = None;
        Some(page)
    }

    fn pending_page(&mut self) -> &mut Option<PageRead> {
        self.pending_page.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_page(&self) -> PageRead {
        let FollowerContext { store, page, metrics, .. } = &*self.context;
        let (log, page, running) = (store.log.clone(), *page, GaugeGuard::new(&metrics.replays_running));
        let (client, position) = (self.subscription.client_ref(), self.cursor.sequence());
        let documents = self.filter.as_ref().and_then(|filter| filter.documents.as_ref());
        let documents: Option<Vec<_>> = documents.map(|documents| documents.iter().copied().collect());
        Box::pin(async move {
            let _running = running;
            match documents {
                Some(documents) => log.document_events_after(&client, documents, position, page).await,
                None => log.events_after(&client, position, page).await,
            }
        })
    }

    /// Moves over a page of the log. Returns its events, after a `reset` if events before them are missing.
    fn consume_page(&mut self, page: &LogPage) -> WriteBuffer {
        let FollowerContext { store, metrics, .. } = &*self.context;
        let mut out = WriteBuffer::new(self.framing, self.fields);
        if let Some(reason) = self.cursor.move_over(page) {
            let sequence = page.events.first().map_or(page.through, |event| event.id.sequence);
            out.push_control(&control::reset(reason, EventId { epoch: store.log.epoch(), sequence }));
            metrics.resets.inc(reason);
        }
        metrics.replay_events.inc_by(page.events.len() as u64);
        let filter = self.filter.as_deref();
        out.push_events(page.events.iter().filter(|e| filter.is_none_or(|f| f.matches(e.document, e.status))));
        out
    }

    fn emit(&mut self, out: WriteBuffer) -> StreamAction {
        self.last_write = Instant::now();
        self.announced = out.last_sequence().unwrap_or(self.announced);
        self.subscription.record_position(self.cursor.sequence());
        StreamAction::Write(out)
    }

    /// An idle line. If the position has moved over events that the filter holds back, the client gets the new
    /// position: it need not resume from before them.
    fn emit_idle(&mut self) -> StreamAction {
        let mut out = WriteBuffer::new(self.framing, self.fields);
        let sequence = self.cursor.sequence();
        // A position that still needs a `reset` is not announced.
        if self.filter.is_some() && sequence > self.announced && !self.cursor.needs_log() {
            let epoch = self.context.store.log.epoch();
            out.push_control(&control::idle_position(EventId { epoch, sequence }));
            self.announced = sequence;
        } else {
            out.push_control(IDLE_LINE);
        }
        self.emit(out)
    }

    fn end(&self, reason: Disconnect) -> StreamAction {
        let mut last = WriteBuffer::new(self.framing, self.fields);
        last.push_control(&control::closing(reason));
        last.push_last_chunk();
        StreamAction::End { last, reason }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.context.metrics.disconnects.inc(self.reason);
        let (client, reason) = (self.subscription.client(), self.reason.as_str());
        match self.reason {
            Disconnect::Stalled => tracing::info!(%client, reason, "stream ended"),
            // At debug level: thousands of followers may leave at once. The counter tells how many, and why.
            _ => tracing::debug!(%client, reason, "stream ended"),
        }
    }
}
