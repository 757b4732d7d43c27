//! What publishers, followers and the endpoint of one client have seen in a run, and the check of it. It knows no
//! sockets.

pub(crate) mod deliveries;
pub(crate) mod faults;

use std::collections::{HashMap, HashSet};
use std::io::Write;

use deliveries::{DeliveryAttempt, QueueCheck};
use faults::Fault;

/// The statuses of a document, in the order in which they are posted.
pub(crate) const STATUSES: [&str; 3] = ["PENDING", "COMPLETED", "ERROR"];

/// A document with its new status. It identifies an event of a run.
pub(crate) fn change(document: &str, status: &str) -> String {
    format!("{document} {status}")
}

/// An event that a node has acknowledged.
#[derive(Debug, Clone)]
pub(crate) struct Acknowledged {
    pub(crate) publisher: usize,
    pub(crate) change: String,
    pub(crate) event_id: String,
}

/// What a follower has received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// `message`, `reset` or `error`.
    pub(crate) name: String,
    pub(crate) event_id: String,
    /// The change of a `message`, otherwise the data.
    pub(crate) change: String,
    /// The node that has sent it.
    pub(crate) node: usize,
}

/// A complete run of one client.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Acknowledged changes; those of each publisher are in its order.
    pub(crate) acknowledged: Vec<Acknowledged>,
    /// Changes that were posted without an answer until the end.
    pub(crate) unanswered: Vec<String>,
    pub(crate) followers: Vec<Vec<Seen>>,
    /// `None` without a notification.
    pub(crate) attempts: Option<Vec<DeliveryAttempt>>,
    /// All faults of the run.
    pub(crate) faults: Vec<Fault>,
}

impl History {
    /// Everything that breaks a promise; empty for a good run.
    pub(crate) fn violations(&self) -> Vec<String> {
        let mut found: Vec<String> =
            self.unanswered.iter().map(|change| format!("{change} was not acknowledged by the end")).collect();
        for (number, seen) in self.followers.iter().enumerate() {
            self.check_follower(number, seen, &mut found);
        }
        if let Some(attempts) = &self.attempts {
            let queue = QueueCheck::new(attempts, &self.faults);
            found.extend(queue.violations());
            let accepted = queue.accepted();
            let lost = self.acknowledged.iter().filter(|event| !accepted.contains(&event.change));
            found.extend(lost.map(|event| format!("{} was not delivered", event.change)));
            let posted = self.posted();
            let foreign = attempts.iter().filter(|attempt| !posted.contains(&attempt.change()));
            found.extend(foreign.map(|attempt| format!("delivered without being posted: {}", attempt.line())));
        }
        found
    }

    /// The changes of this client.
    fn posted(&self) -> HashSet<String> {
        self.acknowledged.iter().map(|event| &event.change).chain(&self.unanswered).cloned().collect()
    }

    fn check_follower(&self, number: usize, seen: &[Seen], found: &mut Vec<String>) {
        let mut at: HashMap<&str, usize> = HashMap::new();
        let posted = self.posted();
        for (position, event) in seen.iter().enumerate() {
            let Seen { name, event_id, change, node } = event;
            if name != "message" {
                found.push(format!("follower {number} received {name} from node {node} at {position}: {change}"));
            } else if at.insert(change, position).is_some() {
                found.push(format!("follower {number} received {change} ({event_id}) twice, from node {node} again"));
            } else if !posted.contains(change) {
                found.push(format!("follower {number} received {change} from node {node}, which was not posted"));
            }
        }
        let mut last: HashMap<usize, (usize, &str)> = HashMap::new();
        for Acknowledged { publisher, change, event_id } in &self.acknowledged {
            let Some(position) = at.get(change.as_str()) else {
                found.push(format!("follower {number} has not received {change} ({event_id})"));
                continue;
            };
            if seen[*position].event_id != *event_id {
                let other = &seen[*position].event_id;
                found.push(format!("follower {number} received {change} as {other}, acknowledged as {event_id}"));
            }
            if let Some((before, earlier)) = last.insert(*publisher, (*position, change))
                && before > *position
            {
                found.push(format!("follower {number} received {change} before {earlier} of the same publisher"));
            }
        }
        let ids = |seen: &[Seen]| -> Vec<String> {
            seen.iter().filter(|event| event.name == "message").map(|event| event.event_id.clone()).collect()
        };
        let (ids, first) = (ids(seen), ids(&self.followers[0]));
        if let Some(position) = ids.iter().zip(&first).position(|(own, other)| own != other) {
            found.push(format!("follower {number} has another order than follower 0 from event {position} on"));
        }
    }

    /// Writes one line for each fact.
    pub(crate) fn write(&self, mut file: impl Write) {
        let mut write = |line: String| writeln!(file, "{line}").expect("the history");
        for Acknowledged { publisher, change, event_id } in &self.acknowledged {
            write(format!("acknowledged publisher={publisher} change={change} id={event_id}"));
        }
        self.unanswered.iter().for_each(|change| write(format!("unanswered change={change}")));
        for (number, seen) in self.followers.iter().enumerate() {
            for Seen { name, event_id, change, node } in seen {
                write(format!("seen follower={number} node={node} name={name} change={change} id={event_id}"));
            }
        }
        self.attempts.iter().flatten().for_each(|attempt| write(format!("attempt {}", attempt.line())));
    }
}

#[cfg(test)]
mod tests;
