//! The transport: accepts connections, lets hyper serve requests on them, and takes over the sockets of streams.

pub mod connection;
mod permit;
pub mod server;
mod stall_timeout;
pub(in crate::http) mod takeover;
pub mod workers;
mod write_loop;
