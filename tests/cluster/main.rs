//! Relays as nodes of a cluster, from outside: real brokers, real processes, sockets. No test uses the relay's code.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failure around a test fails that test; standard error shows seeds and skipped tests"
)]

mod broker_access;
mod broker_loss;
mod chaos;
mod clocks;
mod deleted_journal;
mod divergence;
mod epochs;
mod full_disk;
#[allow(dead_code, reason = "shared with the relay's tests, which use more of it")]
mod harness;
mod history;
mod joining;
mod load;
mod lost_end;
mod moving;
mod node_loss;
mod partition;
mod proxied_load;
mod proxies;
mod receivers;
mod refusals;
mod sealing;
mod sharing;
mod slow_broker;
mod starting;
mod status;
mod trimming;
