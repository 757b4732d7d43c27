//! What the tests of the journal share: brokers, a journal on them, and readers with a deadline.

#[path = "../brokers/authority.rs"]
pub(crate) mod authority;
#[allow(dead_code, reason = "shared with the cluster's tests, which use more of it")]
#[path = "../brokers/brokers.rs"]
pub(crate) mod brokers;
#[path = "../relay/harness/port.rs"]
mod port;
#[allow(dead_code, reason = "shared with the relay's tests, which use more of it")]
#[path = "../relay/harness/tool.rs"]
mod tool;
#[allow(dead_code, reason = "shared with the relay's tests, which use more of it")]
#[path = "../relay/harness/wait.rs"]
mod wait;

use bytes::Bytes;
use docrelay::journal::jetstream::{JetStream, JetStreamOptions};
use docrelay::journal::{EntryRef, Journal, JournalEntry, JournalError, JournalIdentity};
use futures::StreamExt;
use futures::stream::BoxStream;

pub(crate) use wait::{TIMEOUT, delay};

pub(crate) const EPOCH: u64 = 77;

/// The path of nats-server, or a visible skip.
pub(crate) fn nats_server() -> Option<String> {
    tool::find_tool("DOCRELAY_NATS_SERVER")
}

pub(crate) fn options(servers: Vec<String>, replicas: usize) -> JetStreamOptions {
    let (name, max_bytes) = ("relays".to_owned(), 64 * 1024 * 1024);
    JetStreamOptions { servers, name, replicas, credentials: None, ca: None, max_bytes }
}

/// Makes a journal. A new cluster may need some time until it can place a stream, and may have placed one whose request
/// got no answer in time.
pub(crate) async fn create(options: JetStreamOptions) -> JetStream {
    let deadline = tokio::time::Instant::now() + TIMEOUT;
    loop {
        match find_or_create(options.clone()).await {
            Ok(journal) => return journal,
            Err(error) => assert!(tokio::time::Instant::now() < deadline, "{error}"),
        }
        tokio::task::yield_now().await;
    }
}

async fn find_or_create(options: JetStreamOptions) -> Result<JetStream, JournalError> {
    let connected = JetStream::connect(options).await?;
    match connected.find().await? {
        Some(journal) => Ok(journal),
        None => connected.create(identity(EPOCH)).await,
    }
}

/// The identity of a new journal.
pub(crate) fn identity(epoch: u64) -> JournalIdentity {
    JournalIdentity::draw(epoch).expect("a random number")
}

/// Opens the journal that [`create`] has made, on a connection of its own.
pub(crate) async fn open(options: JetStreamOptions) -> JetStream {
    JetStream::connect(options).await.expect("a broker").find().await.expect("an answer").expect("a journal")
}

/// Publishes until the broker acknowledges; repeats with the same id.
pub(crate) async fn publish_until_stored(journal: &impl Journal, text: &str) -> u64 {
    let publishing = async {
        loop {
            match journal.publish(text.to_owned(), Bytes::from(text.to_owned())).await {
                Ok(position) => return position,
                Err(JournalError::Unavailable(_) | JournalError::Unknown(_)) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    tokio::time::timeout(TIMEOUT, publishing).await.expect("an acknowledgement")
}

/// Entries of a journal with a deadline for each.
pub(crate) struct Entries(BoxStream<'static, Result<JournalEntry, JournalError>>);

impl Entries {
    pub(crate) fn after(journal: &impl Journal, position: u64) -> Self {
        Self::after_entry(journal, EntryRef::at(position))
    }

    pub(crate) fn after_entry(journal: &impl Journal, last: EntryRef) -> Self {
        Self(journal.entries(last))
    }

    pub(crate) async fn next(&mut self) -> Result<JournalEntry, JournalError> {
        tokio::time::timeout(TIMEOUT, self.0.next()).await.expect("an entry in time").expect("no end without an error")
    }

    /// The texts of the next entries, whose positions follow each other.
    pub(crate) async fn texts(&mut self, after: u64, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        for position in (after + 1..).take(count) {
            let entry = self.next().await.expect("an entry");
            assert_eq!(entry.position, position);
            texts.push(String::from_utf8(entry.payload.to_vec()).expect("UTF-8"));
        }
        texts
    }

    pub(crate) async fn error(&mut self) -> JournalError {
        let error = self.next().await.expect_err("an error");
        assert!(self.0.next().await.is_none(), "the stream ends after an error");
        error
    }
}
