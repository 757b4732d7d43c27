//! Tables of the scheduler's behaviour: given these events, when this one comes, then these actions follow.

mod bounds;
mod lost_queues;
mod model;
mod steps;
mod store;
mod text;

use text::Text;

/// Rows of: given these events, when this event comes, then these are the actions.
#[track_caller]
fn check(permits: usize, rows: &[[&str; 3]]) {
    for [given, when, then] in rows {
        let mut text = Text::new(permits);
        text.run(given);
        assert_eq!(text.run(when), *then, "given {given}, when {when}");
    }
}

#[test]
fn ready_queue_is_loaded_once_at_a_time() {
    check(
        256,
        &[
            ["", "ready a/x", "load a/x 64"],
            ["ready a/x", "ready a/x", ""],
            ["ready a/x", "ready a/y", "load a/y 64"],
            ["ready a/x; ready a/x", "page a/x", "load a/x 64"],
            ["ready a/x; page a/x", "ready a/x", "load a/x 64"],
        ],
    );
}

#[test]
fn page_starts_as_many_attempts_as_the_endpoint_takes() {
    check(
        256,
        &[
            ["ready a/x", "page a/x f1", "start a/x 1"],
            ["ready a/x", "page a/x f1-9", "start a/x 1; start a/x 2; start a/x 3; start a/x 4"],
            ["ready a/x; page a/x f1-9", "ok 1", "store 1; start a/x 5; start a/x 6"],
            ["ready a/x; page a/x f1-9", "4xx 1", "store 1; start a/x 5"],
            ["ready a/x; page a/x f1-9", "panic 1", "store 1; start a/x 5"],
            ["ready a/x; page a/x f1-9", "cancel 1", "start a/x 5"],
            ["ready a/x; page a/x f1-9", "fail 1", "store 1"],
            ["ready a/x; page a/x f1-9; fail 1; ok 2", "ok 3", "store 3; start a/x 6; start a/x 7"],
            ["ready a/x", "page a/x f1-3 single", "start a/x 1"],
            ["ready a/x; page a/x f1-3 single", "fail 1", "store 1; start a/x 2"],
        ],
    );
}

#[test]
fn next_page_is_loaded_below_the_low_water_mark() {
    check(
        256,
        &[
            ["ready a/x", "page a/x f1-20 cut", "start a/x 1; start a/x 2; start a/x 3; start a/x 4"],
            ["ready a/x; page a/x f1-20 cut", "ok 1", "store 1; start a/x 5; load a/x 64 without 1-20; start a/x 6"],
            ["ready a/x", "page a/x f1 cut", "load a/x 64 without 1; start a/x 1"],
            ["ready a/x", "page a/x f1", "start a/x 1"],
        ],
    );
}

#[test]
fn queues_are_reported_when_their_next_delivery_is_due() {
    check(
        256,
        &[
            ["ready a/x; page a/x next=30s", "wait 29.9s", ""],
            ["ready a/x; page a/x next=30s", "wait 30s", "wake"],
            ["ready a/x; page a/x next=30s; ready a/x; page a/x next=20s", "wait 20s", "wake"],
            [
                "ready a/x; page a/x next=30s; ready b/y; page b/y next=20s; wait 20s; woken next=10s",
                "wait 10s",
                "wake",
            ],
            ["ready a/x; page a/x f1; fail 1; stored 1", "wait 30s", "wake"],
            ["ready a/x; page a/x f1; fail 1; stored 1; wait 30s", "ready a/x", "load a/x 64"],
            ["ready a/x; page a/x next=30s; wait 30s", "wake-failed; wait 1s", "wake"],
            ["ready a/x; page a/x f1; fail 1", "stored 1", ""],
            // Not before its outcome is stored: the store would return it again.
            ["ready a/x; page a/x f1; fail 1", "wait 40s", ""],
            ["ready a/x; page a/x f1; ok 1; stored 1", "wait 999s", ""],
        ],
    );
}

#[test]
fn distant_due_time_is_checked_every_minute() {
    check(
        256,
        &[
            ["ready a/x; page a/x next=7200s", "wait 59s", ""],
            ["ready a/x; page a/x next=7200s", "wait 60s", "wake"],
            ["ready a/x; page a/x next=7200s; wait 60s; woken next=7140s", "wait 60s", "wake"],
            // One timer for all queues.
            ["ready a/x; page a/x next=7200s; ready a/y; page a/y next=7201s", "wait 60s", "wake"],
        ],
    );
}

// Rule 27: retries are spread and endpoints isolated.
#[test]
fn first_attempts_precede_retries_except_each_eighth_turn() {
    let full = "ready a/z; page a/z f90-91; ready b/x; page b/x r1-4; ready c/x; page c/x f11-20";
    check(
        8,
        &[
            // With both kinds waiting for permits, of nine turns the first is a retry's, and the ninth.
            ["", full, ORDER_OF_FULL],
        ],
    );
}

const ORDER_OF_FULL: &str = "load a/z 64; start a/z 90; start a/z 91; load b/x 64; start b/x 1; start b/x 2; \
    load c/x 64; start c/x 11; start c/x 12";

#[test]
fn queues_take_turns() {
    let given = "ready a/h; page a/h f1-2; ready a/x; page a/x f11-19; ready a/y; page a/y f21-29";
    check(
        8,
        &[
            // Two permits for the client.
            [given, "ok 1; stored 1", "store 1; start a/x 11"],
            [&format!("{given}; ok 1; stored 1"), "ok 2; stored 2", "store 2; start a/y 21"],
            [&format!("{given}; ok 1-2; stored 1-2"), "ok 11; stored 11", "store 11; start a/x 12"],
        ],
    );
}

#[test]
fn client_uses_at_most_a_quarter_of_the_permits() {
    check(
        8,
        &[
            ["ready a/x", "page a/x f1-4", "start a/x 1; start a/x 2"],
            ["ready a/x; page a/x f1-4; ready b/x", "page b/x f11-14", "start b/x 11; start b/x 12"],
            // The permit is released when the outcome is stored.
            ["ready a/x; page a/x f1-4", "ok 1", "store 1"],
            ["ready a/x; page a/x f1-4; ok 1", "stored 1", "start a/x 3"],
            ["ready a/x; page a/x f1-4", "cancel 1", "start a/x 3"],
            ["ready a/x; page a/x f1-4; ready a/y; page a/y f11", "cancel 1", "start a/x 3"],
            ["ready a/x; page a/x f1-2; ready a/y; page a/y f11", "cancel 1", "start a/y 11"],
        ],
    );
}

#[test]
fn permit_is_passed_on_by_a_blocked_queue_that_cannot_use_it() {
    let given = "ready a/h; page a/h f1-2; ready a/x; page a/x f11; ready a/y; page a/y f21";
    check(
        8,
        &[
            [given, "cancel 1", "start a/x 11"],
            // The deliveries of x were discarded while it was blocked.
            [&format!("{given}; remove a/x; page a/x"), "cancel 1", "start a/y 21"],
        ],
    );
    // Queue x is unblocked, but client e has the turn before it; then its deliveries are discarded.
    let given = "ready a/h; page a/h f1; ready a/x; page a/x f11; ready a/y; page a/y f21; \
        ready b/x; page b/x f31; ready c/x; page c/x f41; ready d/x; page d/x f51; ready e/x; page e/x f61";
    check(
        4,
        &[
            [given, "cancel 1", "start e/x 61"],
            [&format!("{given}; cancel 1; reset a/x; page a/x"), "cancel 31", "start a/y 21"],
        ],
    );
}

#[test]
fn ten_failures_open_the_breaker_and_discard_the_prefetched_deliveries() {
    check(
        256,
        &[
            [NINE_FAILURES, "fail 10", "store 10; open a/x 5s"],
            [NINE_FAILURES, "ok 10", "store 10; start a/x 11; start a/x 12"],
            [NINE_FAILURES, "4xx 10", "store 10; start a/x 11"],
            [NINE_FAILURES, "cancel 10", "start a/x 11"],
        ],
    );
}

/// Delivery 10 is in flight.
const NINE_FAILURES: &str = "ready a/x; page a/x f1-20; fail 1-9; stored 1-9";

#[test]
fn open_breaker_is_probed_with_one_attempt_when_its_time_has_passed() {
    let open = format!("{NINE_FAILURES}; fail 10; stored 10");
    check(
        256,
        &[
            [&open, "wait 4.9s", ""],
            [&open, "ready a/x", ""],
            [&open, "wait 5s", "load a/x 2; half-open a/x"],
            [&format!("{open}; wait 5s"), "page a/x f11 cut", "start a/x 11"],
            [&format!("{open}; wait 5s; page a/x f11 cut"), "ok 11", "store 11; load a/x 64 without 11; closed a/x"],
            [&format!("{open}; wait 5s; page a/x f11 cut"), "fail 11", "store 11; open a/x 10s"],
            [&format!("{open}; wait 5s; page a/x f11 cut; fail 11; stored 11"), "wait 9.9s", ""],
            [
                &format!("{open}; wait 5s; page a/x f11 cut; fail 11; stored 11"),
                "wait 10s",
                "load a/x 2; half-open a/x",
            ],
        ],
    );
}

#[test]
fn probe_waits_for_attempts_that_started_before_the_breaker_opened() {
    let open = "ready a/x; page a/x f1-40; ok 1-8; stored 1-8; fail 9-18; stored 9-18";
    check(
        256,
        &[
            [open, "wait 5s", "half-open a/x"],
            [&format!("{open}; wait 5s"), "fail 19", "store 19"],
            [&format!("{open}; wait 5s; fail 19"), "fail 20", "store 20; load a/x 2 without 19-20"],
            [&format!("{open}; wait 5s; fail 19"), "ok 20", "store 20; load a/x 64 without 19-20; closed a/x"],
        ],
    );
}

#[test]
fn page_that_arrives_after_the_breaker_opened_is_kept_for_the_probe() {
    // Nothing is prefetched when it opens.
    let open = "ready a/x; page a/x f1-10 cut; fail 1-10; stored 1-10";
    check(
        256,
        &[
            [open, "page a/x f21-22", ""],
            [&format!("{open}; page a/x f21-22"), "wait 4.9s", ""],
            [&format!("{open}; page a/x f21-22"), "wait 5s", "half-open a/x; start a/x 21"],
        ],
    );
}

#[test]
fn open_breaker_does_not_delay_other_queues() {
    let open = format!("{NINE_FAILURES}; fail 10; stored 10");
    check(
        256,
        &[
            [&open, "ready a/y; page a/y f101", "load a/y 64; start a/y 101"],
            [&open, "ready b/x; page b/x f101", "load b/x 64; start b/x 101"],
        ],
    );
}

#[test]
fn endpoints_that_never_respond_do_not_delay_other_clients() {
    let mut text = Text::new(64);
    for (number, client) in (0u64..).zip(["a", "b", "c"]) {
        for queue in 0..100 {
            let first = (number * 100 + queue) * 64;
            let (name, last) = (format!("{client}/q{queue}"), first + 63);
            text.run(&format!("ready {name}; page {name} f{first}-{last} cut"));
        }
    }
    assert_eq!(text.scheduler.attempts.len(), 3 * 16);
    assert_eq!(text.run("ready d/x; page d/x f999999"), "load d/x 64; start d/x 999999");
}

#[test]
fn reset_closes_the_breaker_and_loads_the_queue() {
    let open = format!("{NINE_FAILURES}; fail 10; stored 10");
    check(
        256,
        &[
            [&open, "reset a/x", "load a/x 64; closed a/x"],
            ["ready a/x; page a/x f1-2", "reset a/x", "load a/x 64 without 1-2"],
            ["ready a/x; page a/x f1-9", "reset a/x", ""],
            ["ready a/x; page a/x f1-9; reset a/x", "ok 1", "store 1; load a/x 64 without 1-4"],
            // Attempts in flight use the old endpoint: their failures are repeated at once and do not count.
            ["ready a/x; page a/x f1; reset a/x; page a/x; fail 1", "stored 1", "requeue a/x 1"],
            ["ready a/x; page a/x f1; reset a/x; page a/x; ok 1", "stored 1", ""],
            [&format!("{NINE_FAILURES}; reset a/x"), "fail 10", "store 10"],
            ["", "reset a/x", ""],
        ],
    );
}

#[test]
fn requested_retry_closes_the_breaker_and_loads_a_delivery_whose_attempt_fails() {
    let open = format!("{NINE_FAILURES}; fail 10; stored 10");
    check(
        256,
        &[
            [&open, "retry a/x", "load a/x 64; closed a/x"],
            // The store has kept it due. Pages that were loaded during the attempt did not contain it.
            ["ready a/x; page a/x f1; retry a/x; fail 1", "superseded 1", "load a/x 64"],
            ["ready a/x; page a/x f1; retry a/x; ready a/x; page a/x; dead 1", "superseded 1", "load a/x 64"],
            ["ready a/x; page a/x f1; retry a/x; fail 1; superseded 1; page a/x", "wait 30s", ""],
            ["ready a/x; page a/x f1; retry a/x; ok 1", "stored 1", ""],
            ["ready a/x; page a/x f1; retry a/x; fail 1", "stored 1", ""],
            ["ready a/x; page a/x f1; reset a/x; page a/x; fail 1", "superseded 1", "requeue a/x 1; load a/x 64"],
        ],
    );
}

#[test]
fn removed_queue_discards_its_deliveries_and_its_breaker() {
    let open = format!("{NINE_FAILURES}; fail 10; stored 10");
    check(
        256,
        &[
            ["ready a/x; page a/x f1-9", "remove a/x", ""],
            ["ready a/x; page a/x f1-9; remove a/x", "cancel 1-4", "load a/x 64 without 2-4"],
            [&open, "remove a/x", "load a/x 64; closed a/x"],
            ["ready a/x; page a/x f1-9; ready b/x; page b/x f11-19", "remove-client a", ""],
            [
                "ready a/x; page a/x f1-9; ready b/x; page b/x f11-19; remove-client a",
                "cancel 1",
                "load a/x 64 without 2-4",
            ],
            ["", "remove a/x", ""],
        ],
    );
}

#[test]
fn queue_that_cannot_be_loaded_is_loaded_again_after_a_second() {
    check(
        256,
        &[
            ["ready a/x", "load-unavailable a/x", ""],
            ["ready a/x; load-unavailable a/x", "ready a/x", ""],
            ["ready a/x; load-unavailable a/x", "wait 1s", "load a/x 64"],
            ["ready a/x", "load-rejected a/x", ""],
            ["ready a/x; load-rejected a/x", "wait 99s", ""],
            ["ready a/x; ready a/x", "load-rejected a/x", "load a/x 64"],
        ],
    );
}

#[test]
fn outcome_that_cannot_be_stored_is_stored_again_and_keeps_its_permit() {
    let given = "ready a/x; page a/x f1-3; ok 1; store-unavailable 1";
    check(
        8,
        &[
            [given, "", ""],
            [given, "wait 1s", "store 1"],
            [&format!("{given}; wait 1s; store-unavailable 1"), "wait 1s", "store 1"],
            [&format!("{given}; wait 1s"), "stored 1", "start a/x 3"],
            ["ready a/x; page a/x f1-3; ok 1", "store-rejected 1", "start a/x 3"],
        ],
    );
}

#[test]
fn stop_finishes_attempts_and_starts_nothing() {
    let given = "ready a/x; page a/x f1-9 cut; ready b/x; stop";
    check(
        256,
        &[
            [given, "ready c/x", ""],
            [given, "page b/x f11", ""],
            [given, "ok 1; stored 1", "store 1"],
            [given, "fail 1; store-unavailable 1; wait 1s", "store 1; store 1"],
            [given, "cancel 1; wait 99s", ""],
        ],
    );
    let mut text = Text::new(256);
    text.run(given);
    assert!(!text.scheduler.is_drained());
    text.run("ok 1-4; stored 1-3");
    assert!(!text.scheduler.is_drained());
    text.run("stored 4");
    assert!(text.scheduler.is_drained());
}

#[test]
fn idle_queue_is_forgotten() {
    let mut text = Text::new(256);
    text.run("ready a/x; page a/x f1-3; ok 1-3; stored 1-3; ready b/x; page b/x");
    assert!(text.scheduler.queues.is_empty() && text.scheduler.next_alarm().is_none());
    let open = format!("{NINE_FAILURES}; fail 10; stored 10; wait 5s");
    text.run(&open);
    assert_eq!(text.run("page a/x"), "closed a/x");
    assert!(text.scheduler.queues.is_empty());
    assert_eq!(text.run("wait 30s; woken"), "wake", "the timer of all queues");
    assert_eq!(text.scheduler.next_alarm(), None);
}
