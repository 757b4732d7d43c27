//! The records: one message for each key in the stream of a key-value bucket. Written like entries, with the expected
//! sequence of the key's last message; watched with a consumer that begins with the last message of each key.

use std::time::Duration;

use async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use async_nats::{HeaderMap, HeaderValue};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::time::Instant;

use super::connection::BrokerConnection;
use super::consumer::{ConsumedMessage, ConsumerStart, MessageConsumer};
use super::entries::retry_delay;
use super::failure::PublishFailure;
use super::publisher::{OutgoingMessage, Publisher};
use crate::journal::{JournalError, JournalIdentity, Record};

/// The operation of a message that deletes its key; others have none.
const OPERATION: &str = "KV-Operation";
const DELETE: &str = "DEL";
/// The bucket outlives a journal that is deleted, so that the watch does not notice it.
const VERIFY_INTERVAL: Duration = Duration::from_secs(5);

/// A write; `value` is `None` to delete.
pub(super) struct Change {
    pub(super) key: String,
    pub(super) value: Option<Bytes>,
    pub(super) expected: Option<u64>,
}

/// Returns the revision.
pub(super) async fn change(
    connection: &BrokerConnection,
    publisher: &Publisher,
    identity: JournalIdentity,
    change: Change,
) -> Result<u64, JournalError> {
    if !is_key(&change.key) {
        return Err(JournalError::Unavailable(format!("{:?} cannot be the key of a record", change.key)));
    }
    let bucket = connection.names.records(identity.id);
    let subject = format!("$KV.{bucket}.{}", change.key);
    let message = |expected: Option<u64>| {
        let mut headers = HeaderMap::new();
        if change.value.is_none() {
            headers.insert(OPERATION, DELETE);
        }
        if let Some(expected) = expected {
            headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, HeaderValue::from(expected));
        }
        OutgoingMessage { subject: subject.clone(), headers, payload: change.value.clone().unwrap_or_default() }
    };
    match publisher.publish(connection, message(change.expected)).await {
        // The message that deleted the record is still there.
        Err(PublishFailure::WrongSequence) if change.expected == Some(0) => {
            let deleted = deleted_at(connection, &bucket, &subject).await?;
            Ok(publisher.publish(connection, message(Some(deleted))).await?)
        }
        published => Ok(published?),
    }
}

/// The present record of a key.
pub(super) async fn read(
    connection: &BrokerConnection,
    identity: JournalIdentity,
    key: String,
) -> Result<Option<Record>, JournalError> {
    let bucket = connection.names.records(identity.id);
    let message = last_message(connection, &bucket, &format!("$KV.{bucket}.{key}")).await?;
    let present = message.filter(|message| message.headers.get(OPERATION).is_none());
    Ok(present.map(|message| Record { key, value: Some(message.payload), revision: message.sequence }))
}

/// The revision with which a record was deleted.
async fn deleted_at(connection: &BrokerConnection, bucket: &str, subject: &str) -> Result<u64, JournalError> {
    match last_message(connection, bucket, subject).await? {
        Some(message) if message.headers.get(OPERATION).is_some() => Ok(message.sequence),
        _ => Err(JournalError::Conflict),
    }
}

/// # Errors
/// `Unavailable`: nothing was written.
async fn last_message(
    connection: &BrokerConnection,
    bucket: &str,
    subject: &str,
) -> Result<Option<StreamMessage>, JournalError> {
    let stream = connection.context.get_stream_no_info(format!("KV_{bucket}")).await;
    let stream = stream.map_err(|error| JournalError::Unavailable(error.to_string()))?;
    match stream.get_last_raw_message_by_subject(subject).await {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(JournalError::Unavailable(error.to_string())),
    }
}

fn is_key(key: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_/=.".contains(c);
    let has_empty_token = key.split('.').any(str::is_empty);
    key.len() <= 256 && !has_empty_token && key.chars().all(is_allowed)
}

struct RecordReader {
    connection: BrokerConnection,
    identity: JournalIdentity,
    consumer: Option<MessageConsumer>,
    /// Messages of the first consumer that were stored before it was opened; `None` before.
    initial: Option<u64>,
    failures: u32,
    verify_at: Instant,
}

pub(super) fn follow(
    connection: BrokerConnection,
    identity: JournalIdentity,
) -> BoxStream<'static, Result<Record, JournalError>> {
    let reader = RecordReader {
        connection,
        identity,
        consumer: None,
        initial: None,
        failures: 0,
        verify_at: Instant::now() + VERIFY_INTERVAL,
    };
    stream::unfold(Some(reader), |reader| async {
        let mut reader = reader?;
        match reader.next().await {
            Ok(record) => Some((Ok(record), Some(reader))),
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}

impl RecordReader {
    async fn next(&mut self) -> Result<Record, JournalError> {
        let prefix = format!("$KV.{}.", self.connection.names.records(self.identity.id));
        loop {
            let Some(consumer) = &mut self.consumer else {
                self.open(&prefix).await?;
                continue;
            };
            let message = match tokio::time::timeout_at(self.verify_at, consumer.next()).await {
                Ok(Some(message)) => message,
                Ok(None) => {
                    self.consumer = None;
                    continue;
                }
                Err(_) => {
                    self.verify_at = Instant::now() + VERIFY_INTERVAL;
                    if let Err(JournalError::Replaced) = self.connection.verify(self.identity).await {
                        return Err(JournalError::Replaced);
                    }
                    continue;
                }
            };
            self.failures = 0;
            let is_initial = self.initial.is_some_and(|initial| initial > 0);
            self.initial = self.initial.map(|initial| initial.saturating_sub(1));
            match record(&prefix, message) {
                // The caller has never seen it.
                Some(Record { value: None, .. }) if is_initial => {}
                Some(record) => return Ok(record),
                None => {}
            }
        }
    }

    async fn open(&mut self, prefix: &str) -> Result<(), JournalError> {
        let start = ConsumerStart {
            stream: format!("KV_{}", self.connection.names.records(self.identity.id)),
            subject: format!("{prefix}>"),
            deliver: DeliverPolicy::LastPerSubject,
        };
        let opened = MessageConsumer::open(&self.connection, start).await;
        let verified = self.connection.verify(self.identity).await;
        match (verified, opened) {
            (Err(JournalError::Replaced), _) => return Err(JournalError::Replaced),
            (Ok(()), Ok(consumer)) => {
                self.initial = Some(if self.initial.is_none() { consumer.initially_pending } else { 0 });
                self.consumer = Some(consumer);
            }
            (Err(error), _) | (_, Err(error)) => {
                tracing::debug!(%error, "cannot read the records of the cluster; retrying");
                tokio::time::sleep(retry_delay(self.failures)).await;
                self.failures = self.failures.saturating_add(1);
            }
        }
        Ok(())
    }
}

fn record(prefix: &str, message: ConsumedMessage) -> Option<Record> {
    let key = message.subject.strip_prefix(prefix)?.to_owned();
    let value = message.headers.get(OPERATION).is_none().then_some(message.payload);
    Some(Record { key, value, revision: message.sequence })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_with_wildcard_space_or_empty_token_is_refused() {
        assert!(is_key("members/node-1=a.b_c"));
        for key in ["", ".", "a.", ".a", "a..b", "a*", ">", "a b", "ä"] {
            assert!(!is_key(key), "{key}");
        }
    }
}
