//! Streams: from the committed log to the followers. The dispatcher publishes committed events to the hub; a follower
//! reads the log after its start position, then the hub. Knows the ports of the store, neither HTTP nor SQL.

pub mod control;
mod dispatch;
mod follower;
pub mod hub;
mod position;

pub use dispatch::dispatch;
pub use follower::{FollowRequest, Follower, Options, StreamAction, Streams};
pub use position::StartPosition;
