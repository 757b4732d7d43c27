//! The end of an attempt: what has become of it is stored, its place is given back, and whoever has waited goes on.

use tokio::time::{Instant, sleep};

use super::{DeliveryWorker, Done, STORE_PAUSE};
use crate::domain::Timestamp;
use crate::store::{Attempt, AttemptRecord, Disposition, DueDelivery, QueueKey, StoreError};

impl DeliveryWorker {
    /// Stores what has become of an attempt. While the store cannot accept it the delivery keeps its place: it must not
    /// be sent again for that.
    pub(super) fn settle(&mut self, lane: QueueKey, due: DueDelivery, attempt: Attempt, fate: Disposition) {
        self.handle.log_attempt(&lane, &due, &attempt, fate);
        let store = self.handle.store.clone();
        self.work.push(Box::pin(async move {
            loop {
                let record = AttemptRecord {
                    queue: lane.clone(),
                    delivery: due.id,
                    attempt: Some(attempt.clone()),
                    disposition: fate,
                    now: Timestamp::now(),
                };
                match store.outbox.record_attempt(record).await {
                    Err(StoreError::Unavailable(_)) => sleep(STORE_PAUSE).await,
                    outcome => return Done::Settled(lane, due, fate, outcome),
                }
            }
        }));
    }

    pub(super) fn settled(
        &mut self,
        lane: QueueKey,
        due: &DueDelivery,
        fate: Disposition,
        outcome: Result<(), StoreError>,
    ) {
        let again = self.free(&lane, due);
        if let (Ok(()), Disposition::Retry(at)) = (&outcome, fate) {
            self.alarm_at(&lane, at);
        }
        if again && outcome.is_ok() && fate != Disposition::Delivered {
            let (store, client, id) = (self.handle.store.clone(), lane.client.clone(), due.id);
            self.work.push(Box::pin(async move {
                if let Err(error) = store.outbox.retry(&client, id, Timestamp::now()).await {
                    tracing::warn!(%error, delivery = id, "a delivery that was sent again by hand waits for its time");
                }
                Done::Revived
            }));
        }
        self.load(lane);
    }

    /// Gives back the place, and lets those go on that have waited for it. True for a delivery that was sent again by hand
    /// while it was under way.
    pub(super) fn free(&mut self, lane: &QueueKey, due: &DueDelivery) -> bool {
        let place = self.lanes.get_mut(lane);
        let again = place.is_some_and(|place| place.busy.remove(&due.id) && place.wanted_again.remove(&due.id));
        for holder in self.places.give_back(lane, due.failures > 0) {
            while let Some(waiting) = self.places.next_waiting(&holder) {
                let now = Instant::now();
                let Some(place) = self.lanes.get_mut(&waiting) else { continue };
                place.parked = false;
                let can_go = place.window.room(now) > 0 && !(place.first.is_empty() && place.again.is_empty());
                self.line_up(&waiting);
                if can_go {
                    break;
                }
            }
        }
        again
    }
}
