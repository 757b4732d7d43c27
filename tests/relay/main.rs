//! The relay from outside: the built program, its command line, and bytes on sockets. No test uses the relay's code.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failure around a test fails that test; standard error shows measurements and skipped tests"
)]

mod auth;
mod cli;
mod deliveries;
mod documents;
mod durability;
mod foreign;
mod guides;
mod harness;
mod hooks;
mod http2;
mod isolation;
mod limits;
mod metrics;
mod notifications;
mod openapi;
mod rejects;
mod reload;
mod sdk;
mod streams;
mod systemd;
mod tls;
mod ui;
