//! The transport: accepts connections, lets hyper read requests, and takes over the sockets of streams.

pub(in crate::http) mod attend;
pub(in crate::http) mod connection;
pub mod handoff;
pub mod server;
pub(in crate::http) mod watched;
