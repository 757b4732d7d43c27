//! Proves that the power cuts can fail: when flushes are ignored, as with `synchronous = OFF`, the check finds the
//! loss.

use std::collections::HashSet;

use super::{DATABASE, Death, Machine, WRITE_AHEAD_LOG};

/// Each cut keeps all unflushed bytes with a probability of about one third.
const MAX_CUTS: usize = 30;

/// Cuts during changes. A few cuts lose one kind and not another, and each kind must be lost once.
const MAX_CUTS_OF_CHANGES: usize = 300;

/// The first error of the rounds in which the flushes of this file are ignored.
#[track_caller]
fn first_loss(ignored: &str, death: impl Fn(&mut Machine) -> Death) -> String {
    let mut machine = Machine::start(&[]);
    machine.disk.ignore_flushes(ignored);
    for cut in 1..=MAX_CUTS {
        let death = death(&mut machine);
        if let Err(error) = machine.cut_under_load(death) {
            eprintln!("cut {cut}: {error}");
            return error;
        }
    }
    panic!("{MAX_CUTS} power cuts without flushes of {ignored} lost nothing: the test proves nothing");
}

#[test]
fn loss_without_any_flush_is_detected() {
    let error = first_loss("*", |machine| Death::Responses(machine.disk.rng.usize(50..150)));
    assert!(!error.is_empty());
}

#[test]
fn loss_without_flush_of_the_log_is_detected() {
    let error = first_loss(WRITE_AHEAD_LOG, |machine| Death::Responses(machine.disk.rng.usize(50..150)));
    assert!(error.contains("is lost"), "{error}");
}

#[test]
fn loss_without_flush_of_the_database_is_detected() {
    let error = first_loss(DATABASE, |_| Death::Stop);
    assert!(!error.is_empty());
}

#[test]
fn loss_without_flush_before_log_restart_is_detected() {
    let error = first_loss(DATABASE, |machine| {
        machine.padding = 16_000;
        Death::LogRestart
    });
    assert!(!error.is_empty());
}

/// Without webhooks: their loss would be found first.
#[test]
fn loss_of_each_kind_of_change_without_flush_of_the_log_is_detected() {
    let mut kinds = HashSet::from(["client", "notification", "document", "hook", "reject"]);
    for _ in 0..MAX_CUTS_OF_CHANGES {
        let mut machine = Machine::with_changes();
        // What was added so far is flushed.
        machine.relay.restart();
        machine.disk.ignore_flushes(WRITE_AHEAD_LOG);
        let changes = machine.changes.as_mut().expect("a machine with changes");
        changes.add(changes.sender(&machine.relay, &machine.token, 1).run());
        machine.relay.kill();
        machine.cut();
        // Some cuts damage the database.
        if machine.relay.try_start().is_err() {
            continue;
        }
        let lost = machine.changes.as_ref().map(|changes| changes.lost(&machine.relay, &machine.token));
        let lost = lost.unwrap_or_default();
        kinds.retain(|kind| !lost.iter().any(|error| error.contains(&format!("of a {kind} is lost"))));
        if kinds.is_empty() {
            return;
        }
    }
    panic!("{MAX_CUTS_OF_CHANGES} power cuts without flushes of the log lost no {kinds:?}: the test proves nothing");
}
