//! The journal on real brokers: what it promises to the nodes of a cluster, also while servers are killed, halted, and
//! started again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failure around a test fails that test")]
#![allow(clippy::disallowed_methods, reason = "a test spawns its writers and joins them")]

mod access;
mod coordination;
mod entries;
mod harness;
mod interruptions;
mod records;
mod snapshots;
