//! Made-up attempts: the check finds each fault of the owners of a queue, and excuses only what a fault explains.

use super::*;

fn at(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// An accepted attempt of a document's first status.
fn attempt(document: &str, node: usize, began: f64, ended: f64) -> DeliveryAttempt {
    let (began, ended) = (at(began), at(ended));
    DeliveryAttempt {
        document: document.to_owned(),
        step: 0,
        node: Some(node),
        began,
        ended,
        end: AttemptEnd::Accepted,
    }
}

fn step(step: usize, attempt: DeliveryAttempt) -> DeliveryAttempt {
    DeliveryAttempt { step, ..attempt }
}

fn fault(kind: FaultKind, node: Option<usize>, began: f64, ended: f64) -> Fault {
    Fault { kind, node, began: at(began), ended: at(ended) }
}

fn violations(attempts: &[DeliveryAttempt], faults: &[Fault]) -> Vec<String> {
    QueueCheck::new(attempts, faults).violations()
}

#[track_caller]
fn assert_found(expected: &str, attempts: &[DeliveryAttempt], faults: &[Fault]) {
    let found = violations(attempts, faults);
    assert!(!found.is_empty() && found.iter().all(|violation| violation.contains(expected)), "{expected}: {found:?}");
}

#[track_caller]
fn assert_good(attempts: &[DeliveryAttempt], faults: &[Fault]) {
    assert_eq!(violations(attempts, faults), [""; 0]);
}

#[test]
fn attempts_of_one_owner_after_the_other_are_good() {
    let attempts = [attempt("a", 0, 1.0, 1.5), attempt("b", 0, 1.2, 1.4), attempt("c", 1, 1.6, 1.7)];
    assert_good(&attempts, &[]);
    let unknown = attempts.map(|attempt| DeliveryAttempt { node: None, ..attempt });
    assert_good(&unknown, &[]);
}

#[test]
fn two_owners_at_the_same_time_are_found() {
    let attempts = [attempt("a", 0, 1.0, 1.5), attempt("b", 1, 1.4, 1.6)];
    assert_found("two nodes deliver at the same time", &attempts, &[]);
    // A lease ends before the next owner begins, whatever has ended it.
    for other in [
        fault(FaultKind::Killed, Some(0), 0.9, 1.3),
        fault(FaultKind::CutOff, Some(0), 0.0, 1.3),
        fault(FaultKind::BrokerLost, None, 0.0, 1.3),
        fault(FaultKind::Halted, Some(2), 0.0, 1.3),
        fault(FaultKind::Halted, Some(0), 5.0, 9.0),
    ] {
        assert_found("two nodes deliver at the same time", &attempts, &[other]);
    }
    assert_good(&attempts, &[fault(FaultKind::Halted, Some(0), 0.0, 0.9)]);
    assert_good(&attempts, &[fault(FaultKind::Halted, Some(1), 0.0, 1.3)]);
}

#[test]
fn more_late_attempts_than_were_in_flight_are_found() {
    let halted = [fault(FaultKind::Halted, Some(0), 0.0, 1.0)];
    let late = |count: usize| -> Vec<DeliveryAttempt> {
        let late = (0..count).map(|number| attempt(&format!("late {number}"), 0, 1.1, 1.2));
        std::iter::once(attempt("a", 1, 1.0, 1.5)).chain(late).collect()
    };
    assert_good(&late(MAX_IN_FLIGHT), &halted);
    assert_found("late attempts", &late(MAX_IN_FLIGHT + 1), &halted);
}

#[test]
fn repetition_without_a_fault_is_found() {
    for node in [0, 1] {
        let attempts = [attempt("a", 0, 1.0, 1.1), attempt("a", node, 7.0, 7.1)];
        assert_found("repeated without a fault", &attempts, &[]);
        assert_found("repeated without a fault", &attempts, &[fault(FaultKind::Killed, Some(2), 1.0, 7.0)]);
        assert_found("repeated without a fault", &attempts, &[fault(FaultKind::Killed, Some(0), 7.5, 8.0)]);
        assert_good(&attempts, &[fault(FaultKind::Killed, Some(0), 1.1, 3.0)]);
        assert_good(&attempts, &[fault(FaultKind::BrokerLost, None, 0.0, 0.5)]);
    }
    for end in [AttemptEnd::Refused, AttemptEnd::Cancelled] {
        let failed = DeliveryAttempt { end, ..attempt("a", 0, 1.0, 1.1) };
        assert_good(&[failed, attempt("a", 0, 7.0, 7.1)], &[]);
    }
}

#[test]
fn more_repetitions_than_were_in_flight_are_found() {
    let killed = [fault(FaultKind::Killed, Some(0), 2.0, 3.0)];
    let repeated = |count: usize| -> Vec<DeliveryAttempt> {
        let both = |number: usize| {
            let document = number.to_string();
            [attempt(&document, 0, 1.0, 1.1), attempt(&document, 1, 8.0, 8.1)]
        };
        (0..count).flat_map(both).collect()
    };
    assert_good(&repeated(MAX_IN_FLIGHT), &killed);
    assert_found("repeated more than was in flight", &repeated(MAX_IN_FLIGHT + 1), &killed);
}

#[test]
fn wrong_order_of_a_document_is_found() {
    let good = [attempt("a", 0, 1.0, 1.1), step(1, attempt("a", 0, 1.1, 1.2)), step(2, attempt("a", 1, 1.3, 1.4))];
    assert_good(&good, &[]);
    assert_found("before the previous change", &good[1..], &[]);
    let overlapping = [attempt("a", 0, 1.0, 1.1), step(1, attempt("a", 0, 1.05, 1.2))];
    assert_found("before the previous change", &overlapping, &[]);
    let failed = DeliveryAttempt { end: AttemptEnd::Refused, ..attempt("a", 0, 1.0, 1.1) };
    assert_found("before the previous change", &[failed, step(1, attempt("a", 0, 1.1, 1.2))], &[]);
    // A fault may repeat a change, but not behind the next one.
    let killed = fault(FaultKind::Killed, Some(0), 1.1, 2.0);
    let repeated = [attempt("a", 0, 1.0, 1.1), attempt("a", 1, 6.0, 6.1), step(1, attempt("a", 1, 6.1, 6.2))];
    assert_good(&repeated, &[killed]);
    let behind = [attempt("a", 0, 1.0, 1.1), step(1, attempt("a", 0, 1.1, 1.2)), attempt("a", 1, 6.0, 6.1)];
    assert_found("after a later change", &behind, &[killed]);
}
