//! Who has how many of the places there are: a bound for all together, for each client, and for each origin of a client's
//! callbacks. Lanes that found theirs taken wait here until one is given back.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::domain::{ClientId, Target};
use crate::store::QueueKey;

/// Attempts at the same time to one origin's callbacks: each of their addresses is a lane of its own.
const PER_ORIGIN: usize = 64;

/// All places.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    taken: usize,
    retrying: usize,
    holders: HashMap<Holder, Holding>,
}

/// Who is counted for itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Holder {
    /// One client's deliveries.
    Client(ClientId),
    /// Those of them that are callbacks to one origin.
    Origin(ClientId, Arc<str>),
}

#[derive(Debug, Default)]
struct Holding {
    taken: usize,
    waiting: VecDeque<QueueKey>,
}

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), taken: 0, retrying: 0, holders: HashMap::new() }
    }

    /// Whether anybody may take one; retries leave a quarter to first attempts.
    pub(super) fn are_free(&self, retry: bool) -> bool {
        self.taken < self.most && (!retry || self.retrying < self.most - self.most / 4)
    }

    /// Takes one. False when the lane's client or origin has all of its own: then the lane waits.
    pub(super) fn take(&mut self, lane: &QueueKey, retry: bool) -> bool {
        let holders = holders(lane);
        for holder in &holders {
            let bound = self.bound(holder);
            let holding = self.holders.entry(holder.clone()).or_default();
            if holding.taken >= bound {
                holding.waiting.push_back(lane.clone());
                return false;
            }
        }
        for holder in holders {
            self.holders.entry(holder).or_default().taken += 1;
        }
        self.taken += 1;
        self.retrying += usize::from(retry);
        true
    }

    /// Gives one back, and says whose bound has room again.
    pub(super) fn give_back(&mut self, lane: &QueueKey, retry: bool) -> Vec<Holder> {
        self.taken = self.taken.saturating_sub(1);
        self.retrying = self.retrying.saturating_sub(usize::from(retry));
        let holders = holders(lane);
        for holder in &holders {
            if let Some(holding) = self.holders.get_mut(holder) {
                holding.taken = holding.taken.saturating_sub(1);
                if holding.taken == 0 && holding.waiting.is_empty() {
                    self.holders.remove(holder);
                }
            }
        }
        holders
    }

    /// The lane that has waited longest for one of this holder's places.
    pub(super) fn next_waiting(&mut self, holder: &Holder) -> Option<QueueKey> {
        let holding = self.holders.get_mut(holder)?;
        let lane = holding.waiting.pop_front();
        if lane.is_none() && holding.taken == 0 {
            self.holders.remove(holder);
        }
        lane
    }

    /// A quarter of all for one client, so that none can take them from the others.
    fn bound(&self, holder: &Holder) -> usize {
        match holder {
            Holder::Client(_) => (self.most / 4).max(1),
            Holder::Origin(..) => PER_ORIGIN,
        }
    }
}

fn holders(lane: &QueueKey) -> Vec<Holder> {
    let client = Holder::Client(lane.client.clone());
    match &lane.target {
        Target::Notification(_) => vec![client],
        Target::Callback { origin, .. } => vec![client, Holder::Origin(lane.client.clone(), origin.clone())],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(client: &str, target: &str) -> QueueKey {
        QueueKey { client: client.parse().expect("good"), target: Target::from_key(target).expect("good") }
    }

    #[test]
    fn one_client_has_a_quarter_and_its_lanes_wait_for_what_is_given_back() {
        let mut places = Places::new(8);
        let (mine, next, other) = (lane("a", "x"), lane("a", "y"), lane("b", "x"));
        assert!(places.take(&mine, false) && places.take(&mine, false));
        assert!(!places.take(&next, false), "two of eight");
        assert!(places.take(&other, false), "others are not held up");
        let freed = places.give_back(&mine, false);
        assert_eq!(freed.iter().find_map(|holder| places.next_waiting(holder)), Some(next.clone()));
        assert!(places.take(&next, false));
        for lane in [&mine, &next, &other] {
            for holder in places.give_back(lane, false) {
                assert_eq!(places.next_waiting(&holder), None);
            }
        }
        assert!(places.holders.is_empty() && places.taken == 0, "nothing is kept of who is gone");
    }

    #[test]
    fn retries_leave_a_quarter_to_first_attempts() {
        let mut places = Places::new(8);
        for n in 0..6 {
            assert!(places.are_free(true) && places.take(&lane(&format!("c{n}"), "x"), true));
        }
        assert!(!places.are_free(true) && places.are_free(false));
    }

    #[test]
    fn one_origins_callbacks_have_a_bound_of_their_own() {
        let mut places = Places::new(1024);
        for n in 0..PER_ORIGIN {
            assert!(places.take(&lane("a", &format!("@https://app.example#{n:016x}")), false));
        }
        assert!(!places.take(&lane("a", "@https://app.example#ffffffffffffffff"), false));
        assert!(places.take(&lane("a", "@https://other.example#0000000000000000"), false));
    }
}
