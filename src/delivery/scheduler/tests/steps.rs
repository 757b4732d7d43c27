//! Random steps of the model.

use proptest::prelude::*;

/// Two queues of callbacks, and notifications of five clients. The first one is not verified.
pub(super) const QUEUES: [&str; 10] =
    ["a/single", "a/x", "a/@app", "a/@other", "b/x", "b/y", "c/x", "c/y", "d/x", "e/x"];

pub(super) const CLIENTS: [&str; 5] = ["a", "b", "c", "d", "e"];

#[derive(Debug, Clone)]
pub(super) enum Step {
    /// An event is stored, with a delivery to the queue.
    Publish {
        queue: usize,
        document: u32,
    },
    /// The store reports its ready queues.
    Announce,
    /// Actions of the scheduler come to their end, or half way, one after the other.
    Complete {
        action: prop::sample::Index,
        result: ActionResult,
        count: usize,
    },
    /// An endpoint stops responding, or responds again.
    Toggle {
        queue: usize,
    },
    Wait {
        seconds: u64,
    },
    Reset {
        queue: usize,
    },
    Retry {
        delivery: prop::sample::Index,
    },
    /// Another node of the cluster owns the queue for a moment.
    Lose {
        queue: usize,
    },
    RemoveQueue {
        queue: usize,
    },
    RemoveClient {
        client: usize,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ActionResult {
    Ok,
    ClientError,
    Failure,
    Dead,
    Panic,
    StoreUnavailable,
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let queue = || 0..QUEUES.len();
    // Commands are rare: they reset the health of an endpoint.
    prop_oneof![
        30 => (queue(), 0..16u32).prop_map(|(queue, document)| Step::Publish { queue, document }),
        20 => Just(Step::Announce),
        120 => (any::<prop::sample::Index>(), result(), 1..8usize)
            .prop_map(|(action, result, count)| Step::Complete { action, result, count }),
        2 => queue().prop_map(|queue| Step::Toggle { queue }),
        10 => (0..70u64).prop_map(|seconds| Step::Wait { seconds }),
        1 => queue().prop_map(|queue| Step::Reset { queue }),
        2 => any::<prop::sample::Index>().prop_map(|delivery| Step::Retry { delivery }),
        3 => queue().prop_map(|queue| Step::Lose { queue }),
        1 => queue().prop_map(|queue| Step::RemoveQueue { queue }),
        1 => (0..CLIENTS.len()).prop_map(|client| Step::RemoveClient { client }),
    ]
}

fn result() -> impl Strategy<Value = ActionResult> {
    prop_oneof![
        16 => Just(ActionResult::Ok),
        1 => Just(ActionResult::ClientError),
        2 => Just(ActionResult::Failure),
        1 => Just(ActionResult::Dead),
        1 => Just(ActionResult::Panic),
        2 => Just(ActionResult::StoreUnavailable),
    ]
}
