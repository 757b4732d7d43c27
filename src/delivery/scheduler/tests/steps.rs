//! Random steps of the model.

use proptest::prelude::*;

/// Two queues of callbacks to one origin, and notifications of three clients. The first one is not verified.
pub(super) const QUEUES: [&str; 8] = ["a/single", "a/x", "a/@app#1", "a/@app#2", "b/x", "b/y", "c/x", "c/y"];

pub(super) const CLIENTS: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Clone)]
pub(super) enum Step {
    /// An event is stored, with a delivery to the queue.
    Publish {
        queue: usize,
        document: u8,
    },
    /// The store reports its ready queues.
    Announce,
    /// One of the actions of the scheduler comes to its end, or half way.
    Complete {
        action: prop::sample::Index,
        result: ActionResult,
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
    prop_oneof![
        6 => (queue(), 0..3u8).prop_map(|(queue, document)| Step::Publish { queue, document }),
        6 => Just(Step::Announce),
        20 => (any::<prop::sample::Index>(), result()).prop_map(|(action, result)| Step::Complete { action, result }),
        3 => (0..70u64).prop_map(|seconds| Step::Wait { seconds }),
        1 => queue().prop_map(|queue| Step::Reset { queue }),
        1 => any::<prop::sample::Index>().prop_map(|delivery| Step::Retry { delivery }),
        1 => queue().prop_map(|queue| Step::RemoveQueue { queue }),
        1 => (0..CLIENTS.len()).prop_map(|client| Step::RemoveClient { client }),
    ]
}

fn result() -> impl Strategy<Value = ActionResult> {
    prop_oneof![
        4 => Just(ActionResult::Ok),
        1 => Just(ActionResult::ClientError),
        8 => Just(ActionResult::Failure),
        1 => Just(ActionResult::Dead),
        1 => Just(ActionResult::Panic),
        2 => Just(ActionResult::StoreUnavailable),
    ]
}
