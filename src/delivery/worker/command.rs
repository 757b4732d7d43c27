//! What the deliverer does when those who manage notifications have changed something: its memory of a lane follows.

use super::DeliveryWorker;
use crate::delivery::commands::SchedulerCommand;
use crate::store::QueueKey;

impl DeliveryWorker {
    pub(super) fn command(&mut self, commands: SchedulerCommand) {
        match commands {
            SchedulerCommand::Reset(lane) => {
                if let Some(place) = self.lanes.get_mut(&lane) {
                    place.window.renew();
                    place.show(&self.handle.metrics);
                    place.unstock();
                    // What is left was sent to the endpoint as it was.
                    place.wanted_again.extend(place.busy.iter().copied());
                    place.more = true;
                    self.load(lane);
                }
            }
            SchedulerCommand::RetryNow(lane, id) => {
                if let Some(place) = self.lanes.get_mut(&lane) {
                    place.window.renew();
                    place.show(&self.handle.metrics);
                    if place.busy.contains(&id) {
                        place.wanted_again.insert(id);
                    }
                    self.line_up(&lane);
                }
            }
            SchedulerCommand::QueueRemoved(lane) => self.dismiss(&lane),
            SchedulerCommand::ClientRemoved(client) => {
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
            place.show(&self.handle.metrics);
            place.more = true;
            self.load(lane.clone());
        }
    }
}
