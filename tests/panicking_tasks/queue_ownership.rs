//! The delivery worker of a node of a cluster: it attempts the deliveries of its own queues only.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use docrelay::delivery::{
    DeliveryHandle, DeliveryOptions, DeliveryWorker, ForbiddenEndpoint, HttpClient, HttpExchange, HttpResponse,
    QueueOwnership,
};
use docrelay::domain::{OwnershipVersion, QueueKey, Timestamp};
use docrelay::metrics::Metrics;
use docrelay::store::{DeliveryState, Store};
use docrelay::vendor::OutgoingRequest;
use futures::future::BoxFuture;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::commands::with_callback;
use crate::{acme, add_client, append, deliveries, new_event, open_store};

/// Owns all queues or none.
#[derive(Default)]
struct Switch {
    is_owner: AtomicBool,
    version: watch::Sender<OwnershipVersion>,
    released: watch::Sender<u64>,
}

impl QueueOwnership for Switch {
    fn owns(&self, _: &QueueKey) -> bool {
        self.is_owner.load(Ordering::SeqCst)
    }

    fn changes(&self) -> watch::Receiver<OwnershipVersion> {
        self.version.subscribe()
    }

    fn release(&self, generation: u64) {
        self.released.send_replace(generation);
    }
}

impl Switch {
    fn change(&self, is_owner: bool, change: impl FnOnce(&mut OwnershipVersion)) -> u64 {
        self.is_owner.store(is_owner, Ordering::SeqCst);
        self.version.send_modify(|version| {
            version.generation += 1;
            change(version);
        });
        self.version.borrow().generation
    }

    fn gain(&self) -> u64 {
        self.change(true, |version| version.gains += 1)
    }

    fn lose(&self) -> u64 {
        self.change(false, |_| ())
    }

    fn lapse(&self) -> u64 {
        self.change(false, |version| version.lapses += 1)
    }

    async fn wait_for_release(&self, generation: u64) {
        self.released.subscribe().wait_for(|released| *released >= generation).await.expect("a sender");
    }
}

/// Responds when it gets a permit.
struct WaitingClient {
    status: AtomicU16,
    requests: watch::Sender<usize>,
    permits: Semaphore,
    unanswered: AtomicUsize,
}

impl HttpClient for WaitingClient {
    fn check<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), ForbiddenEndpoint>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn check_url(&self, _: &str) -> Result<(), ForbiddenEndpoint> {
        Ok(())
    }

    fn exchange(&self, _: OutgoingRequest) -> BoxFuture<'_, HttpExchange> {
        Box::pin(async {
            self.unanswered.fetch_add(1, Ordering::SeqCst);
            self.requests.send_modify(|requests| *requests += 1);
            self.permits.acquire().await.expect("an open semaphore").forget();
            self.unanswered.fetch_sub(1, Ordering::SeqCst);
            let status = self.status.load(Ordering::SeqCst);
            let response = HttpResponse { status, body: Bytes::new(), retry_after: None };
            HttpExchange { duration: Duration::ZERO, result: Ok(response) }
        })
    }
}

impl WaitingClient {
    async fn wait_for_requests(&self, count: usize) {
        self.requests.subscribe().wait_for(|requests| *requests == count).await.expect("a sender");
    }
}

/// Runs a worker beside a scenario, and stops it after that. Returns its metrics.
async fn run<F: Future<Output = ()>>(scenario: impl FnOnce(Store, Arc<Switch>, Arc<WaitingClient>) -> F) -> Metrics {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open_store(directory.path().join("docrelay.db"));
    add_client(&store, &acme()).await;
    let client = Arc::new(WaitingClient {
        status: AtomicU16::new(200),
        requests: watch::Sender::new(0),
        permits: Semaphore::new(0),
        unanswered: AtomicUsize::new(0),
    });
    let options = DeliveryOptions { concurrency: 4, memory_bytes: 1 << 20 };
    let metrics = Metrics::new("test");
    let handle = DeliveryHandle::new(store.clone(), client.clone(), options, metrics.clone());
    let (switch, stop) = (Arc::new(Switch::default()), CancellationToken::new());
    let worker = DeliveryWorker::with_ownership(handle, switch.clone()).run(stop.clone());
    let scenario = scenario(store.clone(), switch.clone(), client);
    let both = async {
        tokio::join!(worker, async {
            scenario.await;
            stop.cancel();
        })
    };
    tokio::time::timeout(Duration::from_secs(30), both).await.expect("an end in time");
    assert_eq!(*switch.released.borrow(), u64::MAX, "an ended worker has released everything");
    store.maintenance.close().await;
    metrics
}

#[tokio::test]
async fn queue_is_attempted_only_while_it_is_owned() {
    run(async |store, switch, client| {
        append(&store, acme(), 0).await;
        switch.wait_for_release(switch.lose()).await;
        assert_eq!(*client.requests.borrow(), 0);
        switch.gain();
        client.wait_for_requests(1).await;
        // The attempt in flight ends and is recorded before the queue is released.
        let lost = switch.lose();
        append(&store, acme(), 1).await;
        client.permits.add_permits(1);
        switch.wait_for_release(lost).await;
        let states: Vec<_> = deliveries(&store).await.into_iter().map(|delivery| delivery.state).collect();
        assert_eq!(states.iter().filter(|state| **state == DeliveryState::Delivered).count(), 1, "{states:?}");
        switch.wait_for_release(switch.lose()).await;
        assert_eq!(*client.requests.borrow(), 1, "the second event waits for an owner");
        switch.gain();
        client.wait_for_requests(2).await;
        client.permits.add_permits(1);
    })
    .await;
}

#[tokio::test]
async fn attempt_in_flight_is_cancelled_when_the_lease_has_ended() {
    run(async |store, switch, client| {
        append(&store, acme(), 0).await;
        switch.gain();
        client.wait_for_requests(1).await;
        switch.wait_for_release(switch.lapse()).await;
        let all = deliveries(&store).await;
        assert_eq!((all[0].state, all[0].attempts.len()), (DeliveryState::Pending, 0));
        assert_eq!(client.unanswered.load(Ordering::SeqCst), 1);
        // The next owner attempts it again.
        switch.gain();
        client.wait_for_requests(2).await;
        client.permits.add_permits(1);
    })
    .await;
}

// The other node has the request of the owner, so this one knows it from the store alone.
#[tokio::test]
async fn failure_after_retry_at_another_node_is_no_dead_letter() {
    let metrics = run(async |store, switch, client| {
        // A callback that answers with 410 ends its delivery, and disables nothing.
        client.status.store(410, Ordering::SeqCst);
        store.registry.remove_notification(&acme(), "main").await.expect("removed");
        store.log.append(with_callback(new_event(acme(), 0))).await.expect("a stored event");
        switch.gain();
        client.wait_for_requests(1).await;
        let id = deliveries(&store).await[0].id;
        store.outbox.retry(&acme(), id, Timestamp::now()).await.expect("a retry");
        client.permits.add_permits(1);
        while deliveries(&store).await[0].attempts.is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(deliveries(&store).await[0].state, DeliveryState::Pending);
        client.wait_for_requests(2).await;
        client.status.store(200, Ordering::SeqCst);
        client.permits.add_permits(1);
    })
    .await;
    assert_eq!(metrics.deliveries_dead.get(), 0);
}
