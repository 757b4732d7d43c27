//! A follower that moves from node to node with `Last-Event-ID`.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{SETTLE_TIMEOUT, Shared};
use crate::harness::attempt::Stream;
use crate::harness::delay;
use crate::harness::request::Request;
use crate::harness::sse::Block;
use crate::history::{Seen, change};

/// How long an attempt to open a stream waits. A halted node does not answer.
const OPEN_TIMEOUT: Duration = Duration::from_secs(3);

/// Follows from the earliest event on, on one node after the other, until all expected changes have arrived.
pub(super) fn follow(shared: &Shared, number: usize, mut random: fastrand::Rng) -> Vec<Seen> {
    let (mut seen, mut changes, mut position) = (Vec::new(), HashSet::new(), "earliest".to_owned());
    let mut deadline = None;
    loop {
        let (node, address) = shared.choose(&mut random);
        let request = Request::get("/events/client").bearer(&shared.token).header("Last-Event-ID", &position);
        let leave_at = Instant::now() + Duration::from_millis(random.u64(200..3_000));
        let mut stream = Stream::try_open(address, &request, OPEN_TIMEOUT);
        while let Some(blocks) = stream.as_mut().and_then(|stream| stream.next(Duration::from_millis(100))) {
            for block in blocks {
                position = block.id.clone().unwrap_or(position);
                if let Some(event) = event(block, node) {
                    changes.insert(event.change.clone());
                    seen.push(event);
                }
            }
            if Instant::now() >= leave_at {
                break;
            }
        }
        if let Some(expected) = shared.expected.get() {
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + SETTLE_TIMEOUT);
            if expected.is_subset(&changes) || Instant::now() >= deadline {
                return seen;
            }
        }
        delay(Duration::from_millis(random.u64(5..50) + number as u64));
    }
}

/// What a block of a stream says; `None` for a block without data.
pub(crate) fn event(block: Block, node: usize) -> Option<Seen> {
    let (name, data) = (block.event.unwrap_or_else(|| "message".to_owned()), block.data?);
    let json: Value = serde_json::from_str(&data).unwrap_or_default();
    let change = match (json["documentId"].as_str(), json["status"].as_str()) {
        (Some(document), Some(status)) => change(document, status),
        _ => data,
    };
    Some(Seen { name, event_id: block.id.unwrap_or_default(), change, node })
}
