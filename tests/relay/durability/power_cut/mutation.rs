//! Proves that the power cuts can fail: when flushes are ignored, as with `synchronous = OFF`, the check finds the loss.

use super::{DATABASE, Death, Machine, WRITE_AHEAD_LOG};

/// Each cut keeps all unflushed bytes with a probability of about one third.
const MAX_CUTS: usize = 30;

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
