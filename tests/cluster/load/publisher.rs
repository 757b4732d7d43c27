//! A sender of webhooks, which repeats each until it is acknowledged.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{SETTLE_TIMEOUT, Shared};
use crate::harness::attempt::try_send;
use crate::harness::cluster::document;
use crate::harness::delay;
use crate::harness::request::Request;
use crate::history::{Acknowledged, STATUSES, change};

/// How long one attempt to post waits: longer than a node takes to give up.
const POST_TIMEOUT: Duration = Duration::from_secs(15);

/// The webhook of a document's status. A repetition is a duplicate whatever the document's status is by then, unlike
/// those of vendors whose webhooks have no identifier: a halted node may read the first one late.
fn webhook(hook: &str, document: &str, step: usize) -> Request {
    let code = ["TaskHandingNotify", "TaskSuccessNotify", "TaskFailNotify"][step];
    Request::post(hook).json(&format!(r#"{{"taskId":"{document}","code":"{code}","detail":null}}"#))
}

/// Posts one event after the other, each until it is acknowledged. Returns the change without an answer, too.
pub(super) fn publish(
    shared: &Shared,
    number: usize,
    mut random: fastrand::Rng,
) -> (Vec<Acknowledged>, Option<String>) {
    let mut acknowledged: Vec<Acknowledged> = Vec::new();
    while !shared.is_ending.load(Ordering::Relaxed) {
        let id = document(100 * shared.client + number + 1, acknowledged.len() / STATUSES.len());
        let step = acknowledged.len() % STATUSES.len();
        let (request, change) = (webhook(&shared.hook, &id, step), change(&id, STATUSES[step]));
        let deadline = Instant::now() + SETTLE_TIMEOUT;
        let event_id = loop {
            let (_, address) = shared.choose(&mut random);
            let response = try_send(address, &request, POST_TIMEOUT);
            match response.as_ref().map(|response| response.status) {
                Some(200) => break response.expect("a response").header("docrelay-event-id").map(str::to_owned),
                Some(503) | None => {}
                Some(_) => panic!("{response:?}"),
            }
            if Instant::now() >= deadline {
                return (acknowledged, Some(change));
            }
            delay(Duration::from_millis(random.u64(20..200)));
        };
        let event_id = event_id.expect("the event id");
        acknowledged.push(Acknowledged { publisher: number, change, event_id });
        shared.acknowledged.fetch_add(1, Ordering::Relaxed);
        delay(shared.pause.mul_f64(random.f64()));
    }
    (acknowledged, None)
}
