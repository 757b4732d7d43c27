//! What the deliverer does when those who manage notifications have changed something: its memory of a lane follows.

use super::Deliverer;
use crate::delivery::nudges::Nudge;
use crate::store::QueueKey;

impl Deliverer {
    pub(super) fn nudged(&mut self, nudge: Nudge) {
        match nudge {
            Nudge::Anew(lane) => {
                if let Some(place) = self.lanes.get_mut(&lane) {
                    place.window.renew();
                    place.show(&self.notify.metrics);
                    place.unstock();
                    // What is left was sent to the endpoint as it was.
                    place.wanted_again.extend(place.busy.iter().copied());
                    place.more = true;
                    self.load(lane);
                }
            }
            Nudge::Again(lane, id) => {
                if let Some(place) = self.lanes.get_mut(&lane) {
                    place.window.renew();
                    place.show(&self.notify.metrics);
                    if place.busy.contains(&id) {
                        place.wanted_again.insert(id);
                    }
                    self.line_up(&lane);
                }
            }
            Nudge::Gone(lane) => self.dismiss(&lane),
            Nudge::ClientGone(client) => {
                let mine: Vec<QueueKey> = self.lanes.keys().filter(|lane| lane.client == client).cloned().collect();
                for lane in mine {
                    self.dismiss(&lane);
                }
            }
        }
    }

    /// Forgets what is known of a lane, apart from what is under way, which is being called back.
    fn dismiss(&mut self, lane: &QueueKey) {
        if let Some(place) = self.lanes.get_mut(lane) {
            place.unstock();
            place.window.renew();
            place.show(&self.notify.metrics);
            place.more = true;
            self.load(lane.clone());
        }
    }
}
