//! A replay that waits for a reader of the database keeps its stream alive. Symptom of the bug: proxies ended the
//! streams of followers that returned while all readers were busy.

use std::sync::Arc;
use std::time::Duration;

use docrelay::domain::{ClientRef, DocumentId, Epoch, SharedEvent, Status, Timestamp};
use docrelay::store::{
    AppendOutcome, Document, DocumentPage, DocumentQuery, EventCounts, ListPage, Log, LogChange, LogPage, NewEvent,
    PageLimit, RawRequest, Store, StoreFuture,
};
use docrelay::stream::hub::{Fields, Filter, Framing, WriteBuffer};
use docrelay::stream::{FollowRequest, Follower, StartPosition, StreamAction, StreamOptions, Streams};
use futures::stream::BoxStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::fixture::{CLIENTS, Fixture, client_ref, ids, text};

/// A log whose readers are busy: each page waits for a permit.
struct BusyLog {
    log: Arc<dyn Log>,
    readers: Arc<Semaphore>,
}

impl Log for BusyLog {
    fn events_after(&self, client: &ClientRef, sequence: u64, limit: PageLimit) -> StoreFuture<'_, LogPage> {
        let client = client.clone();
        Box::pin(async move {
            self.readers.acquire().await.expect("never closed").forget();
            self.log.events_after(&client, sequence, limit).await
        })
    }

    fn document_events_after(
        &self,
        client: &ClientRef,
        documents: Vec<DocumentId>,
        sequence: u64,
        limit: PageLimit,
    ) -> StoreFuture<'_, LogPage> {
        let client = client.clone();
        Box::pin(async move {
            self.readers.acquire().await.expect("never closed").forget();
            self.log.document_events_after(&client, documents, sequence, limit).await
        })
    }

    fn epoch(&self) -> Epoch {
        self.log.epoch()
    }

    fn head(&self) -> u64 {
        self.log.head()
    }

    fn append(&self, event: NewEvent) -> StoreFuture<'_, AppendOutcome> {
        self.log.append(event)
    }

    fn tail(&self) -> BoxStream<'static, LogChange> {
        self.log.tail()
    }

    fn raw_request(&self, client: &ClientRef, sequence: u64) -> StoreFuture<'_, Option<RawRequest>> {
        self.log.raw_request(client, sequence)
    }

    fn documents(&self, client: &ClientRef, query: DocumentQuery) -> StoreFuture<'_, DocumentPage> {
        self.log.documents(client, query)
    }

    fn document(&self, client: &ClientRef, id: DocumentId) -> StoreFuture<'_, Option<Document>> {
        self.log.document(client, id)
    }

    fn history(
        &self,
        client: &ClientRef,
        id: DocumentId,
        limit: usize,
        cursor: Option<u64>,
    ) -> StoreFuture<'_, ListPage<SharedEvent>> {
        self.log.history(client, id, limit, cursor)
    }

    fn event_counts(&self, client: &ClientRef, since: Timestamp, limit: usize) -> StoreFuture<'_, EventCounts> {
        self.log.event_counts(client, since, limit)
    }
}

async fn next_write(follower: &mut Follower) -> WriteBuffer {
    match timeout(Duration::from_secs(20), follower.next_action()).await {
        Ok(StreamAction::Write(out)) => out,
        Ok(StreamAction::End { reason, .. }) => panic!("the stream ended: {reason:?}"),
        Err(_) => panic!("nothing was written while the replay waited for a reader"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_that_waits_for_a_reader_writes_idle_lines() {
    let fixture = Fixture::open(8).await;
    let first = fixture.append(0, Status::Completed, "1").await;
    let second = fixture.append(0, Status::Error, "2").await;
    let readers = Arc::new(Semaphore::new(0));
    let log = Arc::new(BusyLog { log: fixture.store.log.clone(), readers: readers.clone() });
    let store = Store { log, ..fixture.store.clone() };
    let options = StreamOptions { idle_interval: Duration::from_millis(50), ..StreamOptions::default() };
    let relay = Streams::new(store, fixture.hub.clone(), options, fixture.metrics.clone());
    let filters = [Filter::default(), Filter { statuses: Some(vec![Status::Completed]), ..Filter::default() }];
    for (filter, expected) in filters.into_iter().zip([vec![first, second], vec![first]]) {
        let mut follower = relay
            .follow(FollowRequest {
                client: client_ref(CLIENTS[0]),
                start: StartPosition::Earliest,
                filter,
                fields: Fields::All,
                framing: Framing::Bare,
                expires: Timestamp::now().plus(Duration::from_secs(3600)),
                revoked: Arc::default(),
                now: Timestamp::now(),
            })
            .expect("room");
        for _ in 0..3 {
            assert_eq!(text(next_write(&mut follower).await), "\n", "no position before the history is read");
        }
        assert_eq!(fixture.metrics.replays_running.get(), 1, "the read keeps its place among those that wait");
        readers.add_permits(1);
        let mut seen = Vec::new();
        while seen.len() < expected.len() {
            seen.extend(ids(next_write(&mut follower).await));
        }
        assert_eq!(seen, expected);
    }
}
