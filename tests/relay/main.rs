//! The relay from outside: the built program, its own command line, and bytes on sockets. Nothing here looks inside.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "what goes wrong around a test fails that test, and shows what the relay said"
)]

mod away;
mod browser;
mod commands;
mod crash;
mod dashboard;
mod deliveries;
mod doctor;
mod documents;
mod guides;
mod handout;
mod hooks;
mod lifecycle;
mod meters;
mod notifications;
mod openapi;
mod passing;
mod play;
mod process;
mod rejects;
mod sdk;
mod streams;
#[allow(dead_code, reason = "a harness offers what the next test will need")]
mod support;
mod tickets;
mod tokens;
mod widget;
