//! What the tests of a cluster share: the relay's harness, brokers, the network to them, a cluster of nodes, and calls
//! to nodes that may die or hang.

#[path = "../relay/harness/admin.rs"]
pub(crate) mod admin;
pub(crate) mod api;
pub(crate) mod attempt;
#[path = "../brokers/authority.rs"]
pub(crate) mod authority;
#[path = "../brokers/brokers.rs"]
pub(crate) mod brokers;
pub(crate) mod bucket;
#[path = "../relay/harness/child.rs"]
pub(crate) mod child;
#[path = "../relay/harness/client.rs"]
pub(crate) mod client;
pub(crate) mod cluster;
#[path = "../relay/harness/command.rs"]
pub(crate) mod command;
#[path = "../relay/harness/connection.rs"]
pub(crate) mod connection;
#[path = "../relay/harness/disk.rs"]
pub(crate) mod disk;
#[path = "../relay/harness/follower.rs"]
pub(crate) mod follower;
#[path = "../relay/harness/guide.rs"]
pub(crate) mod guide;
pub(crate) mod link;
pub(crate) mod nats_identity;
#[path = "../relay/harness/port.rs"]
pub(crate) mod port;
#[path = "../relay/harness/preload.rs"]
pub(crate) mod preload;
#[path = "../relay/harness/process.rs"]
mod process;
#[path = "../relay/harness/proxy.rs"]
pub(crate) mod proxy;
pub(crate) mod queues;
#[path = "../relay/harness/receiver.rs"]
pub(crate) mod receiver;
#[path = "../relay/harness/relay.rs"]
mod relay;
#[path = "../relay/harness/request.rs"]
pub(crate) mod request;
#[path = "../relay/harness/response.rs"]
pub(crate) mod response;
pub(crate) mod slot;
pub(crate) mod source_addresses;
#[path = "../relay/harness/sse.rs"]
pub(crate) mod sse;
#[path = "../relay/harness/tool.rs"]
pub(crate) mod tool;
#[path = "../relay/harness/wait.rs"]
mod wait;

pub(crate) use cluster::TestCluster;
pub(crate) use relay::TestRelay;
pub(crate) use wait::{TIMEOUT, delay, spawn_thread, wait_until};
