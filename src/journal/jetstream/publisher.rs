//! Publishes messages in the order in which the calls are first polled, pipelined on the one connection.

use async_nats::header::{NATS_EXPECTED_STREAM, NATS_MESSAGE_ID};
use async_nats::jetstream::message::PublishMessage;
use async_nats::{HeaderMap, HeaderValue};
use bytes::Bytes;
use tokio::sync::Mutex;

use super::connection::{ACK_TIMEOUT, BrokerConnection, JournalNames};
use super::failure::{self, PublishFailure};
use crate::journal::JournalIdentity;

/// A message and its subject.
pub(super) struct OutgoingMessage {
    pub(super) subject: String,
    pub(super) headers: HeaderMap,
    pub(super) payload: Bytes,
}

/// Serialises the hand-over to the connection. tokio's lock is fair, while the client's own bounds let a call that has
/// just been made overtake one that waits.
#[derive(Default)]
pub(super) struct Publisher {
    order: Mutex<()>,
}

pub(super) fn entry(names: &JournalNames, identity: JournalIdentity, id: &str, payload: Bytes) -> OutgoingMessage {
    let mut headers = HeaderMap::new();
    headers.insert(NATS_MESSAGE_ID, HeaderValue::from(id));
    headers.insert(NATS_EXPECTED_STREAM, HeaderValue::from(names.stream.as_str()));
    OutgoingMessage { subject: names.subject(identity.id), headers, payload }
}

impl Publisher {
    /// Returns the sequence of the stored message.
    pub(super) async fn publish(
        &self,
        connection: &BrokerConnection,
        message: OutgoingMessage,
    ) -> Result<u64, PublishFailure> {
        let refused = |why: &str| PublishFailure::Refused(why.to_owned());
        let publish = PublishMessage::build().headers(message.headers).payload(message.payload);
        let mut connections = connection.connections.clone();
        let sent = {
            let order = tokio::time::timeout(ACK_TIMEOUT, self.order.lock()).await;
            let _order = order.map_err(|_| refused("too many messages wait for the connection"))?;
            connections.mark_unchanged();
            connection.check_connected().map_err(|_| refused("not connected"))?;
            // Has a time-out of its own.
            connection.context.send_publish(message.subject, publish).await
        };
        let acknowledgement = sent.map_err(|error| failure::unsent(&error))?;
        tokio::select! {
            biased;
            ack = acknowledgement.into_future() => {
                ack.map(|ack| ack.sequence).map_err(|error| failure::unacknowledged(&error))
            }
            // The answer may have been lost with the connection.
            _ = connections.changed() => Err(PublishFailure::Unknown("the connection was lost".into())),
        }
    }
}
