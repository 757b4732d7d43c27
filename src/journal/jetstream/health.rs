//! State of the broker and of the journal's replicas, for the operator.

use super::connection::BrokerConnection;
use serde::Serialize;

use crate::journal::{JournalError, JournalIdentity, JournalRange};

/// What the leader of the journal reports, and the server of this connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JournalHealth {
    /// Name of the server that this node is connected to.
    pub server_name: String,
    /// Its version.
    pub server_version: String,
    /// How many replicas the journal has by its configuration.
    pub replicas: usize,
    /// Name of the server that leads the journal; `None` if the broker is a single server.
    pub leader: Option<String>,
    /// The replicas on other servers than the leader.
    pub followers: Vec<ReplicaHealth>,
    /// The present positions.
    pub range: JournalRange,
    /// Bytes of the stored entries.
    pub bytes: u64,
    /// The bound of `bytes`; none if it is not positive.
    pub max_bytes: i64,
}

/// A replica as the leader sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaHealth {
    /// Name of the server.
    pub name: String,
    /// Whether it has all that was acknowledged.
    pub is_current: bool,
    /// Whether the leader considers it unreachable.
    pub is_offline: bool,
    /// Operations that it is behind.
    pub lag: u64,
    /// Milliseconds since the leader has heard from it.
    pub silent_ms: u64,
}

pub(super) async fn read(
    connection: &BrokerConnection,
    identity: JournalIdentity,
) -> Result<JournalHealth, JournalError> {
    let state = connection.state(identity).await?;
    let (server, cluster) = (connection.client.server_info(), state.info.cluster);
    let (leader, peers) = cluster.map(|cluster| (cluster.leader, cluster.replicas)).unwrap_or_default();
    let followers = peers.into_iter().map(|peer| ReplicaHealth {
        name: peer.name,
        is_current: peer.current,
        is_offline: peer.offline,
        lag: peer.lag.unwrap_or(0),
        silent_ms: u64::try_from(peer.active.as_millis()).unwrap_or(u64::MAX),
    });
    Ok(JournalHealth {
        server_name: server.server_name,
        server_version: server.version,
        replicas: state.info.config.num_replicas,
        leader,
        followers: followers.collect(),
        range: state.range,
        bytes: state.info.state.bytes,
        max_bytes: state.info.config.max_bytes,
    })
}
