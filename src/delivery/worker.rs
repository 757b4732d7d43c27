//! The one owner of all deliveries under way. It decides whose turn it is: every lane within its window and its client's
//! places, first attempts before retries, one after the other, so that no endpoint, slow or dead, holds up another.

mod command;
mod settle;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::DeliveryHandle;
use super::attempt::Ended;
use super::lane::Workplace;
use super::places::Places;
use super::window::Breaker;
use crate::domain::Timestamp;
use crate::metrics::GaugeGuard;
use crate::store::{Disposition, DueDelivery, DuePage, QueueKey, StoreError};

/// How long to wait when the store does not answer.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// A lane with something due later is looked at at least so often: its times are the system clock's, which may be set.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Of so many turns, one is for a retry first.
const RETRY_TURN: usize = 8;

/// Delivers until it is told to stop.
pub struct DeliveryWorker {
    handle: DeliveryHandle,
    lanes: HashMap<QueueKey, Workplace>,
    /// Lanes that have a first attempt to make, in turn.
    first: VecDeque<QueueKey>,
    /// Lanes that have a retry to make, in turn.
    again: VecDeque<QueueKey>,
    /// When lanes want to be looked at; each at most once.
    alarms: BTreeSet<(Instant, QueueKey)>,
    /// Reading, attempting and settling, all at the same time on this one task.
    work: FuturesUnordered<BoxFuture<'static, Done>>,
    /// Taken from the beginning of an attempt until it is settled.
    places: Places,
    turns: usize,
}

/// A piece of work that is done.
enum Done {
    Loaded(QueueKey, Result<DuePage, StoreError>),
    /// The number is the window's era in which it began.
    Ended(QueueKey, DueDelivery, u32, Ended),
    Settled(QueueKey, DueDelivery, Disposition, Result<(), StoreError>),
    Revived,
}

impl DeliveryWorker {
    /// One for all lanes; there must not be two over one store.
    pub fn new(handle: DeliveryHandle) -> Self {
        Self {
            places: Places::new(handle.options.concurrency),
            handle,
            lanes: HashMap::new(),
            first: VecDeque::new(),
            again: VecDeque::new(),
            alarms: BTreeSet::new(),
            work: FuturesUnordered::new(),
            turns: 0,
        }
    }

    /// Delivers. After `stop` nothing new begins, and it ends when what is under way has ended and is settled.
    pub async fn run(mut self, stop: CancellationToken) {
        let store = self.handle.store.clone();
        let mut commands = self.handle.commands.listen();
        while !stop.is_cancelled() {
            self.take_turns();
            let alarm = self.alarms.first().map(|(at, _)| *at);
            let ring = async { sleep_until(alarm.unwrap_or_else(Instant::now)).await };
            tokio::select! {
                () = stop.cancelled() => {}
                Some(commands) = commands.recv() => self.command(commands),
                Some(done) = self.work.next(), if !self.work.is_empty() => self.done(done),
                lanes = store.outbox.ready() => {
                    for lane in lanes {
                        self.look_into(lane);
                    }
                }
                () = ring, if alarm.is_some() => self.wake(),
            }
        }
        // Whoever tells something now must not wait for an answer that nobody gives.
        drop(commands);
        while let Some(done) = self.work.next().await {
            if let Done::Ended(lane, due, era, ended) = done {
                self.ended(lane, due, era, ended);
            }
        }
    }

    /// The store has, or may have, something for this lane.
    fn look_into(&mut self, lane: QueueKey) {
        self.lanes.entry(lane.clone()).or_insert_with(Workplace::new).more = true;
        self.load(lane);
    }

    /// The lanes whose time has come by now.
    fn wake(&mut self) {
        let now = Instant::now();
        let mut due = Vec::new();
        while self.alarms.first().is_some_and(|(at, _)| *at <= now) {
            due.extend(self.alarms.pop_first());
        }
        // Only then: a lane that wants to be woken at once is woken in the next round.
        for (_, lane) in due {
            if let Some(place) = self.lanes.get_mut(&lane) {
                place.alarm = None;
                place.more = true;
                self.line_up(&lane);
                self.load(lane);
            }
        }
    }

    /// Sets the lane's alarm, unless there is an earlier one.
    fn alarm(&mut self, lane: &QueueKey, at: Instant) {
        let Some(place) = self.lanes.get_mut(lane) else { return };
        if place.alarm.is_some_and(|before| before <= at) {
            return;
        }
        if let Some(before) = place.alarm.replace(at) {
            self.alarms.remove(&(before, lane.clone()));
        }
        self.alarms.insert((at, lane.clone()));
    }

    /// The same for a time of the system's clock.
    fn alarm_at(&mut self, lane: &QueueKey, at: Timestamp) {
        let wait = Timestamp::now().until(at).min(LOOK_AGAIN);
        self.alarm(lane, Instant::now() + wait);
    }

    /// Reads on in a lane, when it wants that; forgets one that has nothing to do.
    fn load(&mut self, lane: QueueKey) {
        let now = Instant::now();
        let Some(place) = self.lanes.get_mut(&lane) else { return };
        if place.is_idle() {
            self.lanes.remove(&lane);
            return;
        }
        let wanted = place.wanted(now);
        place.show(&self.handle.metrics);
        if wanted == 0 {
            // Nobody else would wake a lane whose breaker is open and whose attempts have all ended.
            if let (true, Breaker::Open(until)) = (place.more, place.window.breaker()) {
                self.alarm(&lane, until);
            }
            return;
        }
        place.more = false;
        place.loading = true;
        let (store, except) = (self.handle.store.clone(), place.busy.iter().copied().collect());
        self.work.push(Box::pin(async move {
            let page = store.outbox.due(&lane, Timestamp::now(), wanted, except).await;
            if matches!(page, Err(StoreError::Unavailable(_))) {
                sleep(STORE_PAUSE).await;
            }
            Done::Loaded(lane, page)
        }));
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Loaded(lane, page) => self.loaded(lane, page),
            Done::Ended(lane, due, era, ended) => self.ended(lane, due, era, ended),
            Done::Settled(lane, due, fate, outcome) => self.settled(lane, &due, fate, outcome),
            // What has become due is named by the store.
            Done::Revived => {}
        }
    }

    fn loaded(&mut self, lane: QueueKey, page: Result<DuePage, StoreError>) {
        let Some(place) = self.lanes.get_mut(&lane) else { return };
        place.loading = false;
        match page {
            Ok(page) => {
                let next = page.next;
                place.stock(page);
                match next {
                    Some(next) if next <= Timestamp::now() => place.more = true,
                    Some(next) => self.alarm_at(&lane, next),
                    None => {}
                }
            }
            Err(StoreError::Unavailable(error)) => {
                tracing::warn!(error, "due deliveries could not be read: trying again");
                place.more = true;
            }
            // The client is gone, and its deliveries with it; or the store is stopping.
            Err(_) => {}
        }
        self.line_up(&lane);
        self.load(lane);
    }

    /// Puts a lane into the lines in which it has something to do.
    fn line_up(&mut self, lane: &QueueKey) {
        let Some(place) = self.lanes.get_mut(lane).filter(|place| !place.parked) else { return };
        if !place.first.is_empty() && !place.in_first {
            place.in_first = true;
            self.first.push_back(lane.clone());
        }
        if !place.again.is_empty() && !place.in_again {
            place.in_again = true;
            self.again.push_back(lane.clone());
        }
    }

    /// Begins as many attempts as may run: first attempts before retries, of which each eighth turn lets one through, so
    /// that a backlog that never ends does not keep a failed document from its second attempt.
    fn take_turns(&mut self) {
        loop {
            let a_retrys_turn = self.turns.is_multiple_of(RETRY_TURN);
            let retry = self.places.are_free(true) && !self.again.is_empty();
            let first = self.places.are_free(false) && !self.first.is_empty();
            let (line, is_retry) = match (first, retry) {
                (true, false) => (&mut self.first, false),
                (true, true) if !a_retrys_turn => (&mut self.first, false),
                (_, true) => (&mut self.again, true),
                (false, false) => return,
            };
            if let Some(lane) = line.pop_front() {
                self.turns = self.turns.wrapping_add(1);
                self.take_turn(lane, is_retry);
            }
        }
    }

    /// One attempt of a lane, when its window has room and its client a place; it stands in line again when it has more. A
    /// lane without room comes back when one of its attempts ends or its breaker's pause is over.
    fn take_turn(&mut self, lane: QueueKey, retry: bool) {
        let unverified = self.handle.is_unverified(&lane);
        let Some(place) = self.lanes.get_mut(&lane) else { return };
        *(if retry { &mut place.in_again } else { &mut place.in_first }) = false;
        let line = if retry { &mut place.again } else { &mut place.first };
        if line.is_empty() {
            return;
        }
        let room = place.window.room(Instant::now());
        let breaker = place.window.breaker();
        if room == 0 || unverified && place.window.running() > 0 {
            place.show(&self.handle.metrics);
            if let Breaker::Open(until) = breaker {
                self.alarm(&lane, until);
            }
            return;
        }
        if !self.places.take(&lane, retry) {
            place.parked = true;
            return;
        }
        if let Some(due) = line.pop_front() {
            let era = place.window.begin();
            self.begin(lane.clone(), due, era);
        }
        self.line_up(&lane);
        self.load(lane);
    }

    fn begin(&mut self, lane: QueueKey, due: DueDelivery, era: u32) {
        let handle = self.handle.clone();
        let guard = handle.in_flight.enter(&lane);
        let running = GaugeGuard::new(&handle.metrics.deliveries_running);
        self.work.push(Box::pin(async move {
            // One that panics must not end all others with it, nor be tried again at once for ever.
            let attempt = AssertUnwindSafe(handle.attempt(&lane, &due, &guard)).catch_unwind().await;
            let ended = attempt.unwrap_or_else(|_| Ended::panicked(&due));
            drop((guard, running));
            Done::Ended(lane, due, era, ended)
        }));
    }

    fn ended(&mut self, lane: QueueKey, due: DueDelivery, era: u32, ended: Ended) {
        if let Some(place) = self.lanes.get_mut(&lane) {
            match ended.health {
                Some(health) => place.window.end(health, era, Instant::now()),
                None => place.window.cancel(),
            }
            if let Breaker::Open(_) = place.window.breaker() {
                place.unstock();
            }
            place.show(&self.handle.metrics);
        }
        match ended.verdict {
            Some((attempt, fate)) => self.settle(lane.clone(), due, attempt, fate),
            None => {
                self.free(&lane, &due);
            }
        }
        self.line_up(&lane);
        self.load(lane);
    }
}
