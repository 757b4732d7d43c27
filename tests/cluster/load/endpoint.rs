//! The endpoint of a load: how it answers, and what it has seen of each attempt.

use std::time::Duration;

use crate::harness::receiver::{Ended, Received, Reply};
use crate::harness::source_addresses::SourceAddresses;
use crate::history::STATUSES;
use crate::history::deliveries::{AttemptEnd, DeliveryAttempt};

/// How long an endpoint of varying pace takes for an answer at most, and one of how many of its answers is a 503.
const MAX_ANSWER_TIME: Duration = Duration::from_millis(150);
const REFUSES_ONE_OF: usize = 200;

/// How the endpoint of deliveries answers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum EndpointPace {
    /// At once, with 200.
    Prompt,
    /// After a random time, and at times with 503.
    Varying,
}

impl EndpointPace {
    /// The answer to the request of this number.
    pub(super) fn answer(self, seed: u64, number: usize) -> Reply {
        let mut random = fastrand::Rng::with_seed(seed ^ (number as u64).wrapping_mul(0x51_7cc1));
        match self {
            Self::Prompt => Reply::status(200),
            Self::Varying => Reply {
                after: MAX_ANSWER_TIME.mul_f64(random.f64()),
                ..Reply::status(if random.usize(..REFUSES_ONE_OF) == 0 { 503 } else { 200 })
            },
        }
    }
}

/// An attempt that has ended. `origin` is when the receiver started.
pub(super) fn attempt(received: &Received, origin: Duration) -> Option<DeliveryAttempt> {
    let Ended { at, status } = received.ended?;
    let (json, node) = (received.json(), SourceAddresses::node_of(received.peer));
    let step = STATUSES.iter().position(|status| json["status"] == **status).expect("a status of a load");
    let end = match status {
        Some(200) => AttemptEnd::Accepted,
        Some(_) => AttemptEnd::Refused,
        None => AttemptEnd::Cancelled,
    };
    let document = json["documentId"].as_str().expect("a document").to_owned();
    Some(DeliveryAttempt { document, step, node, began: origin + received.at, ended: origin + at, end })
}
