//! What the tests of a cluster share: the relay's harness, brokers, a cluster of nodes, and calls to nodes that may die or
//! hang.

#[path = "../relay/harness/admin.rs"]
pub(crate) mod admin;
pub(crate) mod attempt;
#[path = "../brokers/brokers.rs"]
pub(crate) mod brokers;
#[path = "../relay/harness/client.rs"]
pub(crate) mod client;
pub(crate) mod cluster;
#[path = "../relay/harness/command.rs"]
pub(crate) mod command;
#[path = "../relay/harness/connection.rs"]
pub(crate) mod connection;
#[path = "../relay/harness/follower.rs"]
pub(crate) mod follower;
#[path = "../relay/harness/process.rs"]
mod process;
#[path = "../relay/harness/receiver.rs"]
pub(crate) mod receiver;
#[path = "../relay/harness/relay.rs"]
mod relay;
#[path = "../relay/harness/request.rs"]
pub(crate) mod request;
#[path = "../relay/harness/response.rs"]
pub(crate) mod response;
#[path = "../relay/harness/sse.rs"]
pub(crate) mod sse;
#[path = "../relay/harness/tool.rs"]
mod tool;
#[path = "../relay/harness/wait.rs"]
mod wait;

pub(crate) use cluster::TestCluster;
pub(crate) use relay::TestRelay;
pub(crate) use wait::{TIMEOUT, delay, spawn_thread, wait_until};
