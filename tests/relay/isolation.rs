//! What a disturbance by one client costs another: times and memory, compared within one run. Other load on the machine
//! would be measured too, so these tests run one at a time and after all others (`make isolation-tests`).

mod callbacks;
mod database;
mod document_lists;
mod endpoints;
mod floods;
mod log_output;
mod second_client;
mod storm;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};

use second_client::{Memory, SecondClient};

const ATTEMPTS: usize = 3;

/// The payload of a panic that ends all attempts.
struct MemoryExceeded;

/// Repeats a comparison of times that fails. Other programs on the machine spoil an attempt now and then, a fault of
/// the relay spoils all of them. They do not change the relay's memory: too much of it is not tried again.
#[track_caller]
fn assert_in_some_attempt(comparison: impl Fn()) {
    for attempt in 1..ATTEMPTS {
        match catch_unwind(AssertUnwindSafe(&comparison)) {
            Ok(()) => return,
            Err(cause) if cause.is::<MemoryExceeded>() => resume_unwind(cause),
            Err(_) => eprintln!("attempt {attempt} of {ATTEMPTS} has failed"),
        }
    }
    comparison();
}

/// Fails the test, and not only this attempt, if the relay has taken more than `max_growth` bytes.
#[track_caller]
fn assert_memory(when: &str, before: usize, after: usize, max_growth: usize) {
    if after > before + max_growth {
        eprintln!(
            "memory {when}: {} KiB, before {} KiB, allowed {} KiB more",
            after >> 10,
            before >> 10,
            max_growth >> 10
        );
        panic_any(MemoryExceeded);
    }
}

#[test]
fn exceeded_memory_is_not_tried_again() {
    let attempts = Cell::new(0);
    let growing = || {
        attempts.set(attempts.get() + 1);
        assert_memory("of no relay", 1, 3, 1);
    };
    let failed = catch_unwind(AssertUnwindSafe(|| assert_in_some_attempt(growing)));
    assert!(failed.is_err_and(|cause| cause.is::<MemoryExceeded>()));
    assert_eq!(attempts.get(), 1);
}
