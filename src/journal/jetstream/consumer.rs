//! A consumer of one stream from some message on, that notices when messages are missing or when it has gone quiet:
//! then it ends, and its owner opens another one. Never waits longer than [`IDLE_TIMEOUT`] without a message or a
//! heartbeat.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, ReplayPolicy, push};
use async_nats::jetstream::{self, stream::ConsumerErrorKind};
use async_nats::{HeaderMap, StatusCode, Subject, Subscriber};
use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::watch;

use super::connection::BrokerConnection;
use super::failure;
use crate::journal::JournalError;

const HEARTBEAT: Duration = Duration::from_secs(1);
/// A consumer that gets neither a message nor a heartbeat for this long is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3);
const OPEN_TIMEOUT: Duration = Duration::from_secs(3);
/// The broker removes a consumer that has had no subscriber for this long.
const INACTIVE_THRESHOLD: Duration = Duration::from_secs(10);
/// Header of a heartbeat: the sequence of the last message that the broker has sent to this consumer.
const LAST_CONSUMER_HEADER: &str = "Nats-Last-Consumer";
/// Header of a heartbeat while the broker waits for a response to its flow control message; the value is the subject to
/// respond to.
const STALLED_HEADER: &str = "Nats-Consumer-Stalled";

/// What a consumer gets.
pub(super) struct ConsumerStart {
    pub(super) stream: String,
    pub(super) subject: String,
    pub(super) deliver: DeliverPolicy,
}

pub(super) struct MessageConsumer {
    connection: BrokerConnection,
    connections: watch::Receiver<u64>,
    messages: Subscriber,
    /// The broker's number of the last message for this consumer.
    consumer_sequence: u64,
    /// How many messages the stream had for this consumer when it was opened.
    pub(super) initially_pending: u64,
}

pub(super) struct ConsumedMessage {
    pub(super) subject: Subject,
    pub(super) sequence: u64,
    pub(super) headers: HeaderMap,
    pub(super) payload: Bytes,
}

impl MessageConsumer {
    pub(super) async fn open(connection: &BrokerConnection, start: ConsumerStart) -> Result<Self, JournalError> {
        connection.check_connected()?;
        let mut connections = connection.connections.clone();
        connections.mark_unchanged();
        let inbox = connection.client.new_inbox();
        let subscribed = connection.client.subscribe(inbox.clone()).await;
        let messages = subscribed.map_err(|error| JournalError::Unavailable(error.to_string()))?;
        let config = push::Config {
            deliver_subject: inbox,
            description: Some("a node of docrelay".into()),
            deliver_policy: start.deliver,
            ack_policy: AckPolicy::None,
            replay_policy: ReplayPolicy::Instant,
            max_deliver: 1,
            filter_subject: start.subject,
            flow_control: true,
            idle_heartbeat: HEARTBEAT,
            inactive_threshold: INACTIVE_THRESHOLD,
            num_replicas: 1,
            memory_storage: true,
            ..Default::default()
        };
        let creation = connection.context.create_consumer_on_stream(config, start.stream);
        let timed_out = |_| JournalError::Unknown("no answer to the request for a consumer".into());
        let created = tokio::time::timeout(OPEN_TIMEOUT, creation).await.map_err(timed_out)?;
        let consumer = created.map_err(|error| match error.kind() {
            ConsumerErrorKind::JetStream(error) => failure::refused(&error),
            _ => JournalError::Unavailable(error.to_string()),
        })?;
        let initially_pending = consumer.cached_info().num_pending;
        Ok(Self { connection: connection.clone(), connections, messages, consumer_sequence: 0, initially_pending })
    }

    /// The next message; `None` when the consumer has to be opened again.
    pub(super) async fn next(&mut self) -> Option<ConsumedMessage> {
        loop {
            let message = tokio::select! {
                message = tokio::time::timeout(IDLE_TIMEOUT, self.messages.next()) => message.ok()??,
                // A consumer in memory does not survive a restart, and the broker does not say so.
                _ = self.connections.changed() => return None,
            };
            match message.status {
                None => return self.accept(message),
                Some(StatusCode::IDLE_HEARTBEAT) => self.heartbeat(&message).await?,
                // Deleted, or moved away.
                Some(_) => return None,
            }
        }
    }

    fn accept(&mut self, message: async_nats::Message) -> Option<ConsumedMessage> {
        let message = jetstream::Message { message, context: self.connection.context.clone() };
        let info = message.info().ok()?;
        if info.consumer_sequence != self.consumer_sequence + 1 {
            tracing::debug!("a message to a consumer of the broker was lost");
            return None;
        }
        let (sequence, consumer_sequence) = (info.stream_sequence, info.consumer_sequence);
        self.consumer_sequence = consumer_sequence;
        let message = message.message;
        let headers = message.headers.unwrap_or_default();
        Some(ConsumedMessage { subject: message.subject, sequence, headers, payload: message.payload })
    }

    /// Answers flow control; `None` when the broker has sent more than has arrived.
    async fn heartbeat(&self, message: &async_nats::Message) -> Option<()> {
        let header = |name: &str| message.headers.as_ref().and_then(|headers| headers.get(name));
        let stalled = header(STALLED_HEADER).map(|subject| Subject::from(subject.as_str()));
        if let Some(subject) = message.reply.clone().or(stalled) {
            self.connection.client.publish(subject, Bytes::new()).await.ok()?;
        }
        match header(LAST_CONSUMER_HEADER).and_then(|last| last.as_str().parse::<u64>().ok()) {
            Some(last) if last > self.consumer_sequence => None,
            _ => Some(()),
        }
    }
}
