//! One connection to the broker, shared by everything of a journal: options, reconnection, and the state of the
//! journal's stream with the check of its identity. Reconnects for ever; a call while disconnected fails at once.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{ClusterInfo, Info, PeerInfo};
use async_nats::jetstream::{self, Context, ErrorCode};
use async_nats::{Client, ConnectError, ConnectErrorKind, ConnectOptions, Event};
use tokio::sync::watch;

use super::{JetStreamOptions, address, failure};
use crate::journal::{JournalError, JournalIdentity, JournalRange};

/// How long a publish, and most requests, wait for the broker's response.
pub(super) const ACK_TIMEOUT: Duration = Duration::from_secs(5);
const STATE_TIMEOUT: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Two missing answers end a connection: a server that hangs is left after about three times this.
const PING_INTERVAL: Duration = Duration::from_secs(2);
const MAX_RECONNECT_DELAY: Duration = Duration::from_secs(1);
/// A journal counts as deleted if it is missing in two answers that are this far apart.
const CONFIRM_MISSING_AFTER: Duration = Duration::from_millis(500);
/// A replica that the leader has not heard for this long counts as offline: replicas answer every second.
const REPLICA_TIMEOUT: Duration = Duration::from_secs(4);

/// The body of a request without options: an empty JSON object.
const NO_OPTIONS: &BTreeMap<String, String> = &BTreeMap::new();

const FORMAT: u32 = 1;
const FORMAT_KEY: &str = "docrelay_format";
const EPOCH_KEY: &str = "docrelay_epoch";
const ID_KEY: &str = "docrelay_id";

/// Names on the broker. All but the stream's contain the journal's id, so that a message to a journal that was
/// re-created finds no stream, and its snapshots and records are not mistaken for those of its successor.
#[derive(Clone)]
pub(super) struct JournalNames {
    cluster: String,
    pub(super) stream: String,
}

impl JournalNames {
    fn new(cluster: &str) -> Self {
        Self { cluster: cluster.to_owned(), stream: format!("{cluster}_journal") }
    }

    pub(super) fn subject(&self, id: u64) -> String {
        format!("{}.journal.{id:016x}", self.cluster)
    }

    pub(super) fn records(&self, id: u64) -> String {
        format!("{}_records_{id:016x}", self.cluster)
    }

    pub(super) fn snapshots(&self, id: u64) -> String {
        format!("{}_snapshots_{id:016x}", self.cluster)
    }
}

#[derive(Clone)]
pub(super) struct BrokerConnection {
    pub(super) client: Client,
    pub(super) context: Context,
    pub(super) names: JournalNames,
    /// Counts the connections that were made: consumers are rebuilt after a new one.
    pub(super) connections: watch::Receiver<u64>,
}

/// The journal's stream as its leader reports it.
pub(super) struct StreamState {
    pub(super) range: JournalRange,
    pub(super) info: Info,
}

impl BrokerConnection {
    pub(super) async fn open(options: &JetStreamOptions) -> Result<Self, JournalError> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if options.name.is_empty() || options.name.len() > 64 || !options.name.chars().all(is_name) {
            return Err(JournalError::Unusable(
                "the name of a cluster has 1 to 64 letters, digits, `-` and `_`".into(),
            ));
        }
        let servers = address::parse(&options.servers)?;
        let (counter, mut connections) = watch::channel(0);
        let mut connect = ConnectOptions::new()
            .name(format!("docrelay {}", options.name))
            .connection_timeout(CONNECT_TIMEOUT)
            .ping_interval(PING_INTERVAL)
            .request_timeout(Some(ACK_TIMEOUT))
            .reconnect_delay_callback(reconnect_delay)
            .event_callback(move |event| {
                report(&event);
                if matches!(event, Event::Connected) {
                    counter.send_modify(|count| *count += 1);
                }
                std::future::ready(())
            });
        if let Some(user) = servers.user {
            if options.credentials.is_some() {
                return Err(JournalError::Unusable(
                    "the broker's servers have a user, and a credentials file is given: use one of both".into(),
                ));
            }
            connect = connect.user_and_password(user.user, user.password);
        }
        if let Some(path) = &options.credentials {
            let failed = |why: &str| {
                JournalError::Unusable(format!("cannot use the broker's credentials {}: {why}", path.display()))
            };
            let text = std::fs::read_to_string(path).map_err(|error| failed(&error.to_string()))?;
            connect = connect.credentials(&text).map_err(|_| failed("not a .creds file with a JWT and a key"))?;
        }
        if let Some(path) = &options.ca {
            std::fs::metadata(path).map_err(|error| {
                JournalError::Unusable(format!("cannot read the broker's authority {}: {error}", path.display()))
            })?;
            connect = connect.add_root_certificates(path.clone()).require_tls(true);
        }
        let client =
            connect.connect(servers.addresses).await.map_err(|error| connect_failure(&servers.text, &error))?;
        // The event comes a moment later, and must not be taken for a reconnection.
        tokio::time::timeout(CONNECT_TIMEOUT, connections.wait_for(|count| *count > 0)).await.ok();
        let context = jetstream::context::ContextBuilder::new().timeout(ACK_TIMEOUT).build(client.clone());
        Ok(Self { client, context, names: JournalNames::new(&options.name), connections })
    }

    /// Fails at once while there is no connection: what is sent then would be sent at an unknown later time.
    pub(super) fn check_connected(&self) -> Result<(), JournalError> {
        match self.client.connection_state() {
            State::Connected => Ok(()),
            State::Pending | State::Disconnected => Err(JournalError::Unavailable("not connected".into())),
        }
    }

    /// The journal's stream as its leader reports it; `None` if there is none, in two answers.
    pub(super) async fn find_stream(&self) -> Result<Option<Info>, JournalError> {
        if let Some(info) = self.stream_info().await? {
            return Ok(Some(info));
        }
        tokio::time::sleep(CONFIRM_MISSING_AFTER).await;
        self.stream_info().await
    }

    async fn stream_info(&self) -> Result<Option<Info>, JournalError> {
        self.check_connected()?;
        let subject = format!("STREAM.INFO.{}", self.names.stream);
        let request = self.context.request(subject, NO_OPTIONS);
        let timed_out = |_| JournalError::Unknown("the leader of the journal does not answer".into());
        let response = tokio::time::timeout(STATE_TIMEOUT, request).await.map_err(timed_out)?;
        match response.map_err(|error| failure::unanswered(&error))? {
            Response::Ok(info) => Ok(Some(info)),
            Response::Err { error } if error.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
            Response::Err { error } => Err(failure::refused(&error)),
        }
    }

    /// # Errors
    /// `Replaced`, `Unavailable`, `Unknown`.
    pub(super) async fn state(&self, identity: JournalIdentity) -> Result<StreamState, JournalError> {
        let info = self.find_stream().await?.ok_or(JournalError::Replaced)?;
        // A stream without our metadata has replaced the journal, too.
        if self.identity(&info).ok() != Some(identity) {
            return Err(JournalError::Replaced);
        }
        let end = info.state.last_sequence;
        let first = if info.state.messages == 0 { end + 1 } else { info.state.first_sequence };
        Ok(StreamState { range: JournalRange { first, end }, info })
    }

    pub(super) async fn verify(&self, identity: JournalIdentity) -> Result<(), JournalError> {
        self.state(identity).await.map(drop)
    }

    /// # Errors
    /// `Unusable`: a stream that is not a journal, or of a later version.
    pub(super) fn identity(&self, info: &Info) -> Result<JournalIdentity, JournalError> {
        let stream = &self.names.stream;
        let field = |key: &str| info.config.metadata.get(key);
        let parsed = || {
            let epoch = field(EPOCH_KEY)?.parse().ok()?;
            let id = u64::from_str_radix(field(ID_KEY)?, 16).ok()?;
            Some((field(FORMAT_KEY)?.parse::<u32>().ok()?, JournalIdentity { epoch, id }))
        };
        match parsed() {
            Some((FORMAT, identity)) => Ok(identity),
            Some((format, _)) => Err(JournalError::Unusable(format!(
                "the journal {stream} has format {format}, and this version of docrelay reads format {FORMAT}"
            ))),
            None => Err(JournalError::Unusable(format!(
                "the stream {stream} is not a journal of docrelay: choose another name for the cluster"
            ))),
        }
    }
}

impl StreamState {
    /// Fails if the leader has not heard from a majority of the replicas: it may be cut off, and its successor may have
    /// acknowledged entries that it does not know.
    pub(super) fn quorum(self) -> Result<Self, JournalError> {
        match &self.info.cluster {
            Some(cluster) if !has_quorum(cluster, self.info.config.num_replicas) => {
                Err(JournalError::Unavailable("the leader of the journal does not reach a majority of replicas".into()))
            }
            _ => Ok(self),
        }
    }
}

/// `replicas` by the configuration: a server that has lost its cluster may list none. Without a leader any replica
/// answers, and lists itself among the others.
fn has_quorum(cluster: &ClusterInfo, replicas: usize) -> bool {
    if cluster.leader.as_deref().is_none_or(str::is_empty) {
        return false;
    }
    // A peer that the leader has never heard from is `active` for no time, and not current.
    let is_reached =
        |peer: &&PeerInfo| !peer.offline && peer.active < REPLICA_TIMEOUT && (peer.current || !peer.active.is_zero());
    let reached = cluster.replicas.iter().filter(is_reached).count();
    (reached + 1) * 2 > replicas.max(cluster.replicas.len() + 1)
}

/// What distinguishes a journal, in the form in which its stream stores it.
pub(super) fn metadata(identity: JournalIdentity) -> [(String, String); 3] {
    [
        (FORMAT_KEY.into(), FORMAT.to_string()),
        (EPOCH_KEY.into(), identity.epoch.to_string()),
        (ID_KEY.into(), format!("{:016x}", identity.id)),
    ]
}

fn reconnect_delay(attempts: usize) -> Duration {
    let attempts = u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
    Duration::from_millis(20).saturating_mul(attempts).min(MAX_RECONNECT_DELAY)
}

fn report(event: &Event) {
    match event {
        Event::Connected => tracing::info!("connected to the cluster's broker"),
        Event::Disconnected => tracing::warn!("connection to the cluster's broker lost; reconnecting"),
        Event::ClientError(error) => tracing::debug!(%error, "cannot connect to the cluster's broker"),
        // This program has dropped its connection: it exits with a reason of its own.
        Event::Closed => tracing::debug!("connection to the cluster's broker closed"),
        event => tracing::warn!(%event, "the cluster's broker reports"),
    }
}

fn connect_failure(servers: &str, error: &ConnectError) -> JournalError {
    let why = match error.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
            return JournalError::Unusable(format!("the broker at {servers} refuses the user or its credentials"));
        }
        ConnectErrorKind::TimedOut => "no answer in time".to_owned(),
        // The text of the others ends with their cause.
        _ => error.to_string(),
    };
    JournalError::Unavailable(format!("cannot connect to the broker at {servers}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quorum_needs_majority_heard_from_recently() {
        let cluster = |ages: &[u64]| {
            let peers = ages.iter().map(|age| {
                serde_json::json!({ "name": "n", "current": true, "active": age * 1_000_000_000, "offline": false })
            });
            serde_json::from_value::<ClusterInfo>(
                serde_json::json!({ "leader": "n0", "replicas": peers.collect::<Vec<_>>() }),
            )
            .unwrap()
        };
        assert!(has_quorum(&cluster(&[]), 1));
        assert!(!has_quorum(&cluster(&[]), 3), "the peers are not known");
        assert!(has_quorum(&cluster(&[0, 60]), 3));
        assert!(!has_quorum(&cluster(&[60, 60]), 3));
        assert!(has_quorum(&cluster(&[0, 1, 60, 60]), 5));
        assert!(!has_quorum(&cluster(&[0, 60, 60, 60]), 5));
        let leaderless = ClusterInfo { leader: None, ..cluster(&[0, 1]) };
        assert!(!has_quorum(&leaderless, 3), "one of the replicas is the server that answers");
    }

    #[test]
    fn reconnect_delay_grows_to_one_second() {
        assert_eq!(reconnect_delay(1), Duration::ZERO);
        assert_eq!(reconnect_delay(6), Duration::from_millis(100));
        assert_eq!(reconnect_delay(usize::MAX), MAX_RECONNECT_DELAY);
    }
}
