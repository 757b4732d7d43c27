//! The entries of the journal in order and without a gap, across restarts and changes of the leader.

use std::time::Duration;

use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::stream::PurgeErrorKind;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::time::Instant;

use super::connection::BrokerConnection;
use super::consumer::{ConsumedMessage, ConsumerStart, MessageConsumer};
use super::failure;
use crate::journal::{EntryRef, JournalEntry, JournalError, JournalIdentity};

const MAX_RETRY_DELAY: Duration = Duration::from_secs(1);
/// A new leader may need a moment until it has applied all that was acknowledged. A journal that ends before the
/// reader's position for longer has lost entries.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(10);
/// Consumers that miss the same entry, after which it is missing in the journal.
const MAX_GAPS: u32 = 3;

struct EntryReader {
    connection: BrokerConnection,
    identity: JournalIdentity,
    /// The last entry that was returned.
    last: EntryRef,
    consumer: Option<MessageConsumer>,
    /// Whether the journal of the open consumer holds `last`, as far as that can be told.
    is_continued: bool,
    /// Consecutive failures; each one doubles the delay.
    failures: u32,
    /// Consecutive consumers that have missed the next entry.
    gaps: u32,
    /// When the reader first saw that the journal ends before `last`; `None` while it does not.
    behind_since: Option<Instant>,
}

pub(super) fn follow(
    connection: BrokerConnection,
    identity: JournalIdentity,
    after: EntryRef,
) -> BoxStream<'static, Result<JournalEntry, JournalError>> {
    let reader = EntryReader {
        connection,
        identity,
        last: after,
        consumer: None,
        is_continued: false,
        failures: 0,
        gaps: 0,
        behind_since: None,
    };
    stream::unfold(Some(reader), |reader| async {
        let mut reader = reader?;
        match reader.next().await {
            Ok(entry) => Some((Ok(entry), Some(reader))),
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}

/// Removes the entries before a position. A position beyond the end removes all entries.
pub(super) async fn trim(
    connection: &BrokerConnection,
    identity: JournalIdentity,
    before: u64,
) -> Result<(), JournalError> {
    let range = connection.state(identity).await?.quorum()?.range;
    // The broker would continue with the position that it is given, if that is beyond the end.
    let before = before.min(range.end + 1);
    if before <= range.first {
        return Ok(());
    }
    let stream = connection.context.get_stream_no_info(&connection.names.stream).await;
    let stream = stream.map_err(|error| JournalError::Unavailable(error.to_string()))?;
    stream.purge().sequence(before).await.map(drop).map_err(|error| match error.kind() {
        PurgeErrorKind::TimedOut => JournalError::Unknown("the request timed out".into()),
        PurgeErrorKind::JetStream(error) => failure::refused(&error),
        PurgeErrorKind::Request => JournalError::Unknown(error.to_string()),
    })
}

impl EntryReader {
    async fn next(&mut self) -> Result<JournalEntry, JournalError> {
        loop {
            let Some(consumer) = &mut self.consumer else {
                self.open().await?;
                continue;
            };
            let Some(message) = consumer.next().await else {
                tracing::debug!(position = self.last.position, "consumer of the journal ended; opening another one");
                self.consumer = None;
                continue;
            };
            if message.sequence == self.last.position {
                self.compare(&message)?;
            } else if message.sequence == self.last.position + 1 && self.is_continued {
                let (position, id) = (message.sequence, id_of(&message));
                self.last = EntryRef { position, id: id.clone() };
                (self.failures, self.gaps) = (0, 0);
                return Ok(JournalEntry { position, id, payload: message.payload });
            } else if message.sequence > self.last.position {
                self.gap(message.sequence).await?;
            }
        }
    }

    /// Compares the entry that the journal holds at the last position with the one that was returned. Brokers that have
    /// lost entries assign their positions again: without this the reader would skip the first entries that came after.
    fn compare(&mut self, message: &ConsumedMessage) -> Result<(), JournalError> {
        if self.last.id.is_some() && self.last.id != id_of(message) {
            tracing::error!(
                position = self.last.position,
                "the journal has lost entries and holds others in their place"
            );
            return Err(JournalError::Replaced);
        }
        self.is_continued = true;
        Ok(())
    }

    /// Sets the consumer, or waits after a failure.
    async fn open(&mut self) -> Result<(), JournalError> {
        match self.try_open().await {
            Ok(consumer) => self.consumer = Some(consumer),
            Err(error @ (JournalError::Replaced | JournalError::Trimmed(_))) => return Err(error),
            Err(error) => self.wait(&error).await,
        }
        Ok(())
    }

    async fn try_open(&mut self) -> Result<MessageConsumer, JournalError> {
        let EntryRef { position, id } = &self.last;
        let (position, is_known) = (*position, id.is_some());
        let start = ConsumerStart {
            stream: self.connection.names.stream.clone(),
            subject: self.connection.names.subject(self.identity.id),
            // The last entry once more, to compare it.
            deliver: DeliverPolicy::ByStartSequence { start_sequence: position + u64::from(!is_known) },
        };
        let opened = MessageConsumer::open(&self.connection, start).await;
        // After the consumer was made: a journal that is re-created later takes the consumer with it.
        let range = self.connection.state(self.identity).await?.range;
        if range.first > position + 1 {
            return Err(JournalError::Trimmed(range.first));
        }
        if range.end < position {
            let since = *self.behind_since.get_or_insert_with(Instant::now);
            if since.elapsed() > CATCH_UP_TIMEOUT {
                tracing::error!(position, end = range.end, "the journal has lost entries");
                return Err(JournalError::Replaced);
            }
            return Err(JournalError::Unavailable("the journal ends before this position".into()));
        }
        self.behind_since = None;
        self.is_continued = !is_known || range.first > position;
        opened
    }

    /// An entry came that is not the next one: either a message was lost on the way, or the journal was trimmed.
    async fn gap(&mut self, position: u64) -> Result<(), JournalError> {
        self.consumer = None;
        self.gaps += 1;
        if self.gaps > MAX_GAPS {
            return Err(JournalError::Trimmed(position));
        }
        self.wait(&JournalError::Unavailable(format!("an entry before {position} is missing"))).await;
        Ok(())
    }

    async fn wait(&mut self, error: &JournalError) {
        tracing::debug!(position = self.last.position, %error, "cannot read the journal; retrying");
        tokio::time::sleep(retry_delay(self.failures)).await;
        self.failures = self.failures.saturating_add(1);
    }
}

/// The id with which an entry was published.
fn id_of(message: &ConsumedMessage) -> Option<String> {
    message.headers.get(NATS_MESSAGE_ID).map(|id| id.as_str().to_owned())
}

/// Doubles from 50 ms up to a second.
pub(super) fn retry_delay(failures: u32) -> Duration {
    Duration::from_millis(50).saturating_mul(1 << failures.min(10)).min(MAX_RETRY_DELAY)
}
