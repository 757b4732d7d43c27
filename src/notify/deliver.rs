//! The one owner of all deliveries under way. It decides whose turn it is: every lane within its window, first attempts
//! before retries, one after the other, so that no endpoint, slow or dead, holds up another.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Notify;
use super::attempt::Ended;
use super::lane::{CHUNK, Workplace};
use super::window::Breaker;
use crate::clock::Timestamp;
use crate::metrics::Held;
use crate::store::{Attempt, Due, DuePage, Fate, Lane, StoreError};

/// How long to wait when the store does not answer.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// Delivers until it is told to stop.
pub struct Deliverer {
    notify: Notify,
    lanes: HashMap<Lane, Workplace>,
    /// Lanes that have a first attempt to make, in turn.
    first: VecDeque<Lane>,
    /// Lanes that have a retry to make, in turn.
    again: VecDeque<Lane>,
    /// When lanes want to be looked at; each at most once.
    alarms: BTreeSet<(Instant, Lane)>,
    /// Reading, attempting and settling, all at the same time on this one task.
    work: FuturesUnordered<BoxFuture<'static, Done>>,
    /// Attempts that are not settled yet; the bound is on these.
    running: usize,
    /// Those of them that are retries.
    retrying: usize,
}

/// A piece of work that is done.
enum Done {
    Loaded(Lane, Result<DuePage, StoreError>),
    Ended(Lane, Due, Ended),
    Settled(Lane, Due, Fate, Result<(), StoreError>),
}

impl Deliverer {
    /// One for all lanes; there must not be two over one store.
    pub fn new(notify: Notify) -> Self {
        Self {
            notify,
            lanes: HashMap::new(),
            first: VecDeque::new(),
            again: VecDeque::new(),
            alarms: BTreeSet::new(),
            work: FuturesUnordered::new(),
            running: 0,
            retrying: 0,
        }
    }

    /// Delivers. After `stop` nothing new begins, and it ends when what is under way has ended and is settled.
    pub async fn run(mut self, stop: CancellationToken) {
        let store = self.notify.store.clone();
        while !stop.is_cancelled() {
            self.take_turns();
            let alarm = self.alarms.first().map(|(at, _)| *at);
            let ring = async { sleep_until(alarm.unwrap_or_else(Instant::now)).await };
            tokio::select! {
                () = stop.cancelled() => {}
                Some(done) = self.work.next(), if !self.work.is_empty() => self.done(done),
                lanes = store.outbox.stirred() => {
                    for lane in lanes {
                        self.look_into(lane);
                    }
                }
                () = ring, if alarm.is_some() => self.wake(),
            }
        }
        while let Some(done) = self.work.next().await {
            match done {
                Done::Loaded(..) | Done::Settled(..) => {}
                Done::Ended(lane, due, ended) => self.ended(lane, due, ended),
            }
        }
    }

    /// The store has, or may have, something for this lane.
    fn look_into(&mut self, lane: Lane) {
        self.lanes.entry(lane.clone()).or_insert_with(Workplace::new).more = true;
        self.load(lane);
    }

    /// The lanes whose time has come.
    fn wake(&mut self) {
        let now = Instant::now();
        while let Some((at, lane)) = self.alarms.pop_first() {
            if at > now {
                self.alarms.insert((at, lane));
                return;
            }
            if let Some(place) = self.lanes.get_mut(&lane) {
                place.alarm = None;
                place.more = true;
                self.line_up(&lane);
                self.load(lane);
            }
        }
    }

    /// Sets the lane's alarm, unless there is an earlier one.
    fn alarm(&mut self, lane: &Lane, at: Instant) {
        let Some(place) = self.lanes.get_mut(lane) else { return };
        if place.alarm.is_some_and(|before| before <= at) {
            return;
        }
        if let Some(before) = place.alarm.replace(at) {
            self.alarms.remove(&(before, lane.clone()));
        }
        self.alarms.insert((at, lane.clone()));
    }

    /// Reads on in a lane, when it wants that; forgets one that has nothing to do.
    fn load(&mut self, lane: Lane) {
        let now = Instant::now();
        let Some(place) = self.lanes.get_mut(&lane) else { return };
        if place.is_idle() {
            self.lanes.remove(&lane);
            return;
        }
        if !place.wants_load(now) {
            // Nobody else would wake a lane whose breaker is open and whose attempts have all ended.
            if let (true, Breaker::Open(until)) = (place.more, place.window.breaker()) {
                self.alarm(&lane, until);
            }
            return;
        }
        place.more = false;
        place.loading = true;
        let (store, except) = (self.notify.store.clone(), place.busy.iter().copied().collect());
        self.work.push(Box::pin(async move {
            let page = store.outbox.due(&lane, Timestamp::now(), CHUNK, except).await;
            if matches!(page, Err(StoreError::Unavailable(_))) {
                sleep(STORE_PAUSE).await;
            }
            Done::Loaded(lane, page)
        }));
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Loaded(lane, page) => self.loaded(lane, page),
            Done::Ended(lane, due, ended) => self.ended(lane, due, ended),
            Done::Settled(lane, due, fate, outcome) => self.settled(lane, &due, fate, outcome),
        }
    }

    fn loaded(&mut self, lane: Lane, page: Result<DuePage, StoreError>) {
        let Some(place) = self.lanes.get_mut(&lane) else { return };
        place.loading = false;
        match page {
            Ok(page) => {
                let next = page.next;
                place.stock(page);
                let now = Timestamp::now();
                match next {
                    Some(next) if next <= now => place.more = true,
                    Some(next) => self.alarm(&lane, Instant::now() + now.until(next)),
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
    fn line_up(&mut self, lane: &Lane) {
        let Some(place) = self.lanes.get_mut(lane) else { return };
        if !place.first.is_empty() && !place.in_first {
            place.in_first = true;
            self.first.push_back(lane.clone());
        }
        if !place.again.is_empty() && !place.in_again {
            place.in_again = true;
            self.again.push_back(lane.clone());
        }
    }

    /// Begins as many attempts as may run: first attempts, then retries, which leave a quarter of the places free.
    fn take_turns(&mut self) {
        let most = self.notify.options.concurrency.max(1);
        while self.running < most {
            if let Some(lane) = self.first.pop_front() {
                self.take_turn(lane, true);
            } else if self.retrying < (most - most / 4)
                && let Some(lane) = self.again.pop_front()
            {
                self.take_turn(lane, false);
            } else {
                return;
            }
        }
    }

    /// One attempt of a lane, when its window has room; it stands in line again when it has more. A lane without room
    /// comes back when one of its attempts ends or its breaker's pause is over.
    fn take_turn(&mut self, lane: Lane, first: bool) {
        let Some(place) = self.lanes.get_mut(&lane) else { return };
        *(if first { &mut place.in_first } else { &mut place.in_again }) = false;
        let room = place.window.room(Instant::now());
        place.show(&self.notify.metrics);
        if room == 0 {
            if let Breaker::Open(until) = place.window.breaker() {
                self.alarm(&lane, until);
            }
            return;
        }
        let line = if first { &mut place.first } else { &mut place.again };
        if let Some(due) = line.pop_front() {
            place.window.begin();
            self.running += 1;
            self.retrying += usize::from(due.tries > 0);
            self.begin(lane.clone(), due);
        }
        self.line_up(&lane);
        self.load(lane);
    }

    fn begin(&mut self, lane: Lane, due: Due) {
        let notify = self.notify.clone();
        let passage = notify.gates.enter(&lane);
        let running = Held::of(&notify.metrics.deliveries_running);
        self.work.push(Box::pin(async move {
            let ended = notify.attempt(&lane, &due, &passage).await;
            drop((passage, running));
            Done::Ended(lane, due, ended)
        }));
    }

    fn ended(&mut self, lane: Lane, due: Due, ended: Ended) {
        if let Some(place) = self.lanes.get_mut(&lane) {
            match ended.health {
                Some(health) => place.window.end(health, Instant::now()),
                None => place.window.cancel(),
            }
            place.show(&self.notify.metrics);
        }
        match ended.verdict {
            Some((attempt, fate)) => self.settle(lane.clone(), due, attempt, fate),
            None => self.free(&lane, &due),
        }
        self.line_up(&lane);
        self.load(lane);
    }

    /// Stores what has become of an attempt. While the store cannot accept it the delivery keeps its place: it must not
    /// be sent again for that.
    fn settle(&mut self, lane: Lane, due: Due, attempt: Attempt, fate: Fate) {
        self.notify.log_attempt(&lane, &due, &attempt, fate);
        let store = self.notify.store.clone();
        self.work.push(Box::pin(async move {
            loop {
                let attempt = Some(attempt.clone());
                match store.outbox.settle(&lane, due.id, attempt, fate, Timestamp::now()).await {
                    Err(StoreError::Unavailable(_)) => sleep(STORE_PAUSE).await,
                    outcome => return Done::Settled(lane, due, fate, outcome),
                }
            }
        }));
    }

    fn settled(&mut self, lane: Lane, due: &Due, fate: Fate, outcome: Result<(), StoreError>) {
        self.free(&lane, due);
        if let (Ok(()), Fate::Retry(at)) = (outcome, fate) {
            self.alarm(&lane, Instant::now() + Timestamp::now().until(at));
        }
        self.load(lane);
    }

    fn free(&mut self, lane: &Lane, due: &Due) {
        self.running = self.running.saturating_sub(1);
        self.retrying = self.retrying.saturating_sub(usize::from(due.tries > 0));
        if let Some(place) = self.lanes.get_mut(lane) {
            place.busy.remove(&due.id);
        }
    }
}
