//! The test harness: a relay process, HTTP over raw sockets, a reader of event streams, an endpoint that receives
//! deliveries, a network that fails, programs for Node.js, and a browser. It uses the relay's public interfaces only
//! and shares no code with the relay.

pub(crate) mod admin;
pub(crate) mod child;
pub(crate) mod chromium;
pub(crate) mod client;
pub(crate) mod command;
pub(crate) mod connection;
pub(crate) mod disk;
pub(crate) mod fixture;
pub(crate) mod follower;
pub(crate) mod gate;
pub(crate) mod guide;
pub(crate) mod http2;
pub(crate) mod node;
mod port;
pub(crate) mod preload;
mod process;
pub(crate) mod proxy;
pub(crate) mod receiver;
mod relay;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod service_manager;
pub(crate) mod signature;
pub(crate) mod sse;
pub(crate) mod tls;
mod token;
pub(crate) mod tool;
pub(crate) mod vendor_bodies;
mod wait;

pub(crate) use process::resident_bytes;
pub(crate) use relay::TestRelay;
pub(crate) use wait::{TIMEOUT, delay, spawn_thread, wait_until};
