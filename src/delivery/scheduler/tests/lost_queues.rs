//! A queue that another node of the cluster owns now, and that returns.

use super::check;
use super::text::Text;

#[test]
fn lost_queue_starts_no_attempt_and_records_those_in_flight() {
    check(
        256,
        &[
            ["ready a/x; page a/x f1-9", "lost a/x", ""],
            ["ready a/x; page a/x f1-9; lost a/x", "ok 1; stored 1", "store 1"],
            ["ready a/x; page a/x f1-9; lost a/x", "cancel 1-4", ""],
            ["ready a/x; page a/x f1; lost a/x; fail 1; stored 1", "wait 30s", "wake"],
            // A page that arrives after the loss is dropped.
            ["ready a/x; lost a/x", "page a/x f1", ""],
            ["ready a/x; lost a/x", "load-rejected a/x", ""],
            ["ready a/x; page a/x f1; lost a/x", "postpone 1; wait 1s", ""],
            ["ready a/x; page a/x f1-20; lost a/x; fail 1-4", "reset a/x", ""],
            ["", "lost a/x", ""],
        ],
    );
}

#[test]
fn lost_queue_is_loaded_when_it_is_reported_again() {
    check(
        256,
        &[
            ["ready a/x; lost a/x; page a/x f1", "ready a/x", "load a/x 64"],
            ["ready a/x; page a/x f1-9; lost a/x; ready a/x", "cancel 1", "load a/x 64 without 2-4"],
            [
                "ready a/x; page a/x f1-9; lost a/x; ok 1-4; stored 1-4",
                "ready a/x; page a/x f5",
                "load a/x 64; start a/x 5",
            ],
        ],
    );
}

#[test]
fn drained_lost_queue_leaves_memory() {
    let mut text = Text::new(256);
    text.run("ready a/x; page a/x f1-9; ready b/x; page b/x f11; lost a/x; fail 1-3; stored 1-3");
    assert_eq!((text.scheduler.present_queues().count(), text.scheduler.draining_queues().count()), (1, 1));
    text.run("fail 4; stored 4");
    assert_eq!((text.scheduler.queues.len(), text.scheduler.draining_queues().count()), (1, 0));
}
