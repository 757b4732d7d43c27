//! The check of the attempts that the endpoint of one delivery queue has received: one owner at a time, no repetition
//! without a fault, order per document.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use super::faults::{Fault, FaultKind};
use super::{STATUSES, change};

/// An attempt that a halted node had begun may arrive this long after the node continues.
const LATE: Duration = Duration::from_secs(2);

/// A fault of the brokers, or of the way to them, may delay the record of an outcome for this long after its end.
const RECOVERY: Duration = Duration::from_secs(10);

/// Attempts of one queue that a node has in flight at most: the limit of an endpoint.
const MAX_IN_FLIGHT: usize = 64;

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttemptEnd {
    /// The endpoint has answered 200.
    Accepted,
    /// The endpoint has answered otherwise.
    Refused,
    /// The node has closed the connection before the answer.
    Cancelled,
}

/// One attempt, as the endpoint has seen it. Times count from the start of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeliveryAttempt {
    pub(crate) document: String,
    /// Index of the status in [`STATUSES`].
    pub(crate) step: usize,
    /// `None` if the nodes have no addresses of their own.
    pub(crate) node: Option<usize>,
    pub(crate) began: Duration,
    pub(crate) ended: Duration,
    pub(crate) end: AttemptEnd,
}

impl DeliveryAttempt {
    pub(crate) fn change(&self) -> String {
        change(&self.document, STATUSES[self.step])
    }

    /// One line for messages and the written history.
    pub(crate) fn line(&self) -> String {
        let node = self.node.map_or_else(|| "?".to_owned(), |node| node.to_string());
        let (began, ended) = (self.began.as_secs_f64(), self.ended.as_secs_f64());
        format!("{} by node {node} from {began:.3} to {ended:.3} ({:?})", self.change(), self.end)
    }

    /// Whether its node was just halted: an attempt between the check of the lease and its request arrives when the
    /// node continues.
    fn late_after(&self, faults: &[Fault]) -> Option<usize> {
        let halted = |fault: &Fault| {
            fault.kind == FaultKind::Halted
                && fault.node == self.node
                && fault.ended <= self.began + LATE
                && self.began <= fault.ended + LATE
        };
        faults.iter().position(halted)
    }
}

/// The attempts of one queue and the faults of the whole run.
pub(super) struct QueueCheck<'a> {
    attempts: Vec<&'a DeliveryAttempt>,
    faults: &'a [Fault],
}

impl<'a> QueueCheck<'a> {
    pub(super) fn new(attempts: &'a [DeliveryAttempt], faults: &'a [Fault]) -> Self {
        let mut attempts: Vec<_> = attempts.iter().collect();
        attempts.sort_by_key(|attempt| attempt.began);
        Self { attempts, faults }
    }

    pub(super) fn violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.check_order(&mut found);
        // A test that does not know the nodes records no faults either.
        if self.attempts.iter().all(|attempt| attempt.node.is_some()) {
            self.check_owners(&mut found);
            self.check_repetitions(&mut found);
            self.check_returns(&mut found);
        }
        found
    }

    /// Changes that the endpoint has accepted.
    pub(super) fn accepted(&self) -> HashSet<String> {
        let accepted = self.attempts.iter().filter(|attempt| attempt.end == AttemptEnd::Accepted);
        accepted.map(|attempt| attempt.change()).collect()
    }

    /// No two nodes have attempts in flight at the same time. A lease ends before the next owner begins, so only a node
    /// that was halted can be late, with as many attempts as it had in flight.
    fn check_owners(&self, found: &mut Vec<String>) {
        let mut late: HashMap<usize, HashSet<usize>> = HashMap::new();
        let mut running: Vec<usize> = Vec::new();
        for (number, attempt) in self.attempts.iter().enumerate() {
            running.retain(|earlier| self.attempts[*earlier].ended > attempt.began);
            for earlier in running.iter().filter(|earlier| self.attempts[**earlier].node != attempt.node) {
                let excuse = [*earlier, number]
                    .into_iter()
                    .find_map(|attempt| self.attempts[attempt].late_after(self.faults).map(|fault| (fault, attempt)));
                match excuse {
                    Some((fault, attempt)) => drop(late.entry(fault).or_default().insert(attempt)),
                    None => found.push(format!(
                        "two nodes deliver at the same time: {} and {}",
                        self.attempts[*earlier].line(),
                        attempt.line()
                    )),
                }
            }
            running.push(number);
        }
        for (fault, attempts) in late.into_iter().filter(|(_, attempts)| attempts.len() > MAX_IN_FLIGHT) {
            let (fault, count) = (self.faults[fault], attempts.len());
            found.push(format!("two nodes deliver at the same time: {count} late attempts after {fault:?}"));
        }
    }

    /// What the endpoint has accepted is sent again only if a fault could hide the outcome.
    fn check_repetitions(&self, found: &mut Vec<String>) {
        let mut accepted: HashMap<String, &DeliveryAttempt> = HashMap::new();
        let mut repeated: HashMap<usize, usize> = HashMap::new();
        for attempt in &self.attempts {
            if let Some(earlier) = accepted.get(&attempt.change()) {
                let could_hide = |fault: &Fault| {
                    let is_of_node = fault.node.is_none() || fault.node == earlier.node || fault.node == attempt.node;
                    is_of_node && fault.began <= attempt.began && fault.ended + RECOVERY >= earlier.began
                };
                match self.faults.iter().rposition(could_hide) {
                    Some(fault) => *repeated.entry(fault).or_default() += 1,
                    None => {
                        found.push(format!("repeated without a fault: {} after {}", attempt.line(), earlier.line()))
                    }
                }
            }
            if attempt.end == AttemptEnd::Accepted {
                accepted.insert(attempt.change(), attempt);
            }
        }
        for (fault, count) in repeated.into_iter().filter(|(_, count)| *count > MAX_IN_FLIGHT) {
            let fault = self.faults[fault];
            found.push(format!("repeated more than was in flight: {count} attempts after {fault:?}"));
        }
    }

    /// A document's next change is sent after its last one was accepted.
    fn check_order(&self, found: &mut Vec<String>) {
        for attempts in self.by_document().values() {
            for (number, attempt) in attempts.iter().enumerate().filter(|(_, attempt)| attempt.step > 0) {
                let is_previous = |earlier: &DeliveryAttempt| {
                    earlier.step + 1 == attempt.step
                        && earlier.end == AttemptEnd::Accepted
                        && earlier.ended <= attempt.began
                };
                if !attempts[..number].iter().any(|earlier| is_previous(earlier)) {
                    found.push(format!("delivered before the previous change of its document: {}", attempt.line()));
                }
            }
        }
    }

    /// An earlier change of a document is not sent after a later one, unless by a node that was halted meanwhile.
    fn check_returns(&self, found: &mut Vec<String>) {
        for attempts in self.by_document().values() {
            for (number, attempt) in attempts.iter().enumerate() {
                let later = attempts[..number].iter().find(|earlier| earlier.step > attempt.step);
                if let Some(later) = later
                    && attempt.late_after(self.faults).is_none()
                {
                    found.push(format!("delivered after a later change: {} after {}", attempt.line(), later.line()));
                }
            }
        }
    }

    fn by_document(&self) -> BTreeMap<&str, Vec<&DeliveryAttempt>> {
        let mut documents: BTreeMap<&str, Vec<&DeliveryAttempt>> = BTreeMap::new();
        for attempt in &self.attempts {
            documents.entry(&attempt.document).or_default().push(attempt);
        }
        documents
    }
}

mod tests;
