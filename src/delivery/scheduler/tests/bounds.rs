//! Tables of the bounds and of what is remembered of an endpoint: queues in memory, bytes, health, probes.

use super::text::Text;
use super::{NINE_FAILURES, check};
use crate::delivery::scheduler::SchedulerLimits;

/// Rows as in [`check`], with four queues in memory.
#[track_caller]
fn check_with_four_queues(rows: &[[&str; 3]]) {
    for [given, when, then] in rows {
        let mut text = Text::with_limits(SchedulerLimits { permits: 64, queues: 4, content_bytes: 1 << 40 });
        text.run(given);
        assert_eq!(text.run(when), *then, "given {given}, when {when}");
        assert!(text.scheduler.queues.len() <= 4);
    }
}

#[test]
fn full_memory_evicts_a_queue_of_the_client_with_most_queues() {
    // Queue x of client a has an attempt in flight, the others wait for a page.
    let loading = "ready a/x; page a/x f1; ready a/y; ready a/z; ready b/x";
    check_with_four_queues(&[
        // Nothing can be evicted: the newcomer is reported again.
        [loading, "ready c/x", ""],
        [&format!("{loading}; ready c/x"), "wait 5s", "rescan"],
        [loading, "page a/y; ready c/x", "load c/x 64"],
    ]);
    let mut text = Text::with_limits(SchedulerLimits { permits: 4, queues: 4, content_bytes: 1 << 40 });
    // Queues y and z wait for the one permit of their client.
    text.run("ready b/x; page b/x f11; ready a/x; page a/x f1; ready a/y; page a/y f2; ready a/z; page a/z f3");
    assert_eq!(text.run("ready c/x"), "load c/x 64");
    let clients: Vec<_> = text.scheduler.queues.keys().map(|key| key.client.as_str()).collect();
    assert_eq!(clients.iter().filter(|client| **client == "a").count(), 2, "{clients:?}");
    assert!(text.run("cancel 1").starts_with("start a/"), "the other one gets the permit");
}

#[test]
fn client_uses_at_most_a_quarter_of_the_memory() {
    let limits = SchedulerLimits { permits: 256, queues: 64, content_bytes: 8 << 20 };
    let check = |given: &str, when: &str, then: &str| {
        let mut text = Text::with_limits(limits);
        text.run(given);
        assert_eq!(text.run(when), then, "given {given}, when {when}");
    };
    // The second attempt exceeds 2 MiB.
    check("ready a/x", "page a/x size=2000000 f1-4", "start a/x 1; start a/x 2");
    let given = "ready a/x; page a/x size=2000000 f1-4";
    check(given, "ready b/x; page b/x size=2000000 f11", "load b/x 64; start b/x 11");
    check(given, "ok 1", "store 1");
    check(&format!("{given}; ok 1"), "stored 1", "start a/x 3");
    // The attempt that exceeds all memory is the last.
    check(
        given,
        "ready b/x; page b/x size=9000000 f11; ready c/x; page c/x f21",
        "load b/x 64; start b/x 11; load c/x 64",
    );
}

#[test]
fn queue_that_waits_for_its_breaker_is_evicted_first() {
    let open = format!("{NINE_FAILURES}; fail 10; stored 10");
    let full = format!("{open}; ready a/y; page a/y f21 single; ready b/x; page b/x f31; ready c/x; page c/x f41");
    check_with_four_queues(&[
        [&full, "ready d/x", "closed a/x; load d/x 64"],
        [&format!("{full}; ready d/x"), "wait 5s", "rescan"],
        // It is found again, without its health.
        [&format!("{full}; ready d/x; page d/x; wait 5s"), "ready a/x", "load a/x 64"],
    ]);
}

#[test]
fn eviction_refuses_further_queues_of_its_client_for_a_second() {
    let mut text = Text::with_limits(SchedulerLimits { permits: 4, queues: 16, content_bytes: 1 << 40 });
    for queue in 1..=16 {
        text.run(&format!("ready a/@h{queue}; page a/@h{queue} f{queue}"));
    }
    // One of them has the permit of the client; two of the others are evicted.
    assert_eq!(text.run("ready b/x"), "load b/x 64");
    assert_eq!(text.run("ready a/@h17"), "", "although there is room");
    assert_eq!(text.run("ready c/x"), "load c/x 64", "queues of other clients do not wait");
    assert_eq!(text.run("page b/x f31"), "start b/x 31");
    assert!(text.scheduler.accepts_queues());
    text.run("wait 0.9s");
    assert_eq!(text.run("ready a/@h17"), "");
    text.run("wait 0.1s; remove b/x");
    assert_eq!(text.run("ready a/@h17"), "load a/@h17 64");
    assert_eq!(text.run("wait 4s"), "rescan", "the evicted and the refused ones are reported again");
}

#[test]
fn no_queues_are_accepted_for_a_second_if_none_can_be_evicted() {
    let mut text = Text::with_limits(SchedulerLimits { permits: 64, queues: 4, content_bytes: 1 << 40 });
    text.run("ready a/w; ready a/x; ready a/y; ready a/z");
    assert_eq!(text.run("ready b/x"), "");
    assert!(!text.scheduler.accepts_queues());
    text.run("wait 1s");
    assert!(text.scheduler.accepts_queues());
}

#[test]
fn no_queues_are_accepted_while_the_store_cannot_report_them() {
    let mut text = Text::new(64);
    text.run("ready-failed; wait 0.9s");
    assert!(!text.scheduler.accepts_queues());
    text.run("wait 0.1s");
    assert!(text.scheduler.accepts_queues());
}

#[test]
fn health_is_remembered_for_ten_minutes_without_due_deliveries() {
    // The ten deliveries are due again in 30 s, and no other one.
    let open = "ready a/x; page a/x f1-10; fail 1-10; stored 1-10";
    check(
        256,
        &[
            [open, "wait 30s", "wake"],
            [&format!("{open}; wait 30s; woken"), "ready a/x", "load a/x 2; half-open a/x"],
            [&format!("{open}; wait 30s; woken next=7200s"), "wait 569s", "wake"],
            [&format!("{open}; wait 30s; woken"), "wait 569s", ""],
            [&format!("{open}; wait 30s; woken"), "wait 570s", "closed a/x"],
            [&format!("{open}; wait 30s; woken; wait 570s"), "ready a/x", "load a/x 64"],
            // A healthy endpoint is forgotten at once.
            ["ready a/x; page a/x f1; ok 1", "stored 1; ready a/x", "load a/x 64"],
        ],
    );
}

#[test]
fn delivery_that_cannot_be_read_is_loaded_again_after_a_second() {
    let given = "ready a/x; page a/x f1-2";
    check(
        256,
        &[
            [given, "postpone 1", ""],
            [&format!("{given}; postpone 1"), "wait 1s", "load a/x 64 without 2"],
            [&format!("{given}; postpone 1-2"), "wait 1s", "load a/x 64"],
            [&format!("{given}; postpone 1-2; wait 1s"), "page a/x f1-2", "start a/x 1; start a/x 2"],
        ],
    );
}

#[test]
fn half_open_probes_alternate_between_retries_and_first_attempts() {
    let open = format!("{NINE_FAILURES}; fail 10; stored 10; wait 5s");
    let second = format!("{open}; page a/x f11 r1 cut; fail 1; stored 1; wait 10s");
    let third = format!("{second}; page a/x f11 r2 cut; fail 11; stored 11; woken; wait 20s");
    check(
        256,
        &[
            [&open, "page a/x f11 r1 cut", "start a/x 1"],
            [&second, "page a/x f11 r2 cut", "start a/x 11"],
            [&third, "page a/x f12 r2 cut", "start a/x 2"],
            // Only one kind is due.
            [&open, "page a/x f11-12 cut", "start a/x 11"],
            [&second, "page a/x r2-3 cut", "start a/x 2"],
            // The breaker closes.
            [
                &format!("{open}; page a/x f11 r1 cut"),
                "ok 1",
                "store 1; load a/x 64 without 1,11; closed a/x; start a/x 11",
            ],
        ],
    );
}
