//! What the trouble of one client costs another: times and memory, compared within one run. Other load on the machine would
//! be measured too, so these tests run one at a time and after all others (`make isolation-tests`).

mod callbacks;
mod database;
mod document_lists;
mod endpoints;
mod floods;
mod log_output;
mod second_client;
mod storm;

use std::panic::{AssertUnwindSafe, catch_unwind};

use second_client::{Memory, SecondClient};

const ATTEMPTS: usize = 3;

/// Repeats a comparison that fails. Other programs on the machine spoil an attempt now and then, a fault of the relay spoils
/// all of them.
#[track_caller]
fn assert_in_some_attempt(comparison: impl Fn()) {
    for attempt in 1..ATTEMPTS {
        if catch_unwind(AssertUnwindSafe(&comparison)).is_ok() {
            return;
        }
        eprintln!("attempt {attempt} of {ATTEMPTS} has failed");
    }
    comparison();
}
