//! The public server of a relay, for the streams of the disturbing clients: each replays the client's history, and
//! panics while it asks the log for the first page.

use std::sync::Arc;
use std::thread::Builder;
use std::time::Duration;

use docrelay::auth::{AdminToken, Authenticator, Issuers, Keys, QueryToken, Scope, Scopes};
use docrelay::delivery::DeliveryHandle;
use docrelay::domain::{ClientRef, DocumentId, Epoch, Reloadable, Secret, SharedEvent, Timestamp};
use docrelay::http::remote_address::connections::AddressConnections;
use docrelay::http::remote_address::failed_tokens::FailedTokenLimit;
use docrelay::http::transport::connection::ConnectionLimits;
use docrelay::http::transport::server::{Http2Requests, Permits, Server, ServerOptions};
use docrelay::http::transport::workers::{StreamWorker, StreamWorkers};
use docrelay::http::{Address, Context, HttpOptions, Origins, Parts, RequestLimits, RequestMiddleware};
use docrelay::ingest::Ingest;
use docrelay::manage::{Clients, Deliveries, Documents, Hooks, Notifications, Rejects};
use docrelay::metrics::Metrics;
use docrelay::store::{
    AppendOutcome, Document, DocumentPage, DocumentQuery, EventCounts, ListPage, Log, LogChange, LogPage, NewEvent,
    PageLimit, RawRequest, Store, StoreFuture,
};
use docrelay::stream::hub::{Hub, HubOptions};
use docrelay::stream::{StreamOptions, Streams, dispatch};
use futures::stream::BoxStream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::faults::{Disturbance, Faults, MARK};

const MINUTE: Duration = Duration::from_secs(60);
const MANY: std::num::NonZeroU32 = std::num::NonZeroU32::MAX;

/// A log whose pages of disturbing clients panic, in the task that asks for them.
struct FaultyLog {
    log: Arc<dyn Log>,
    faults: Arc<Faults>,
}

impl Log for FaultyLog {
    fn epoch(&self) -> Epoch {
        self.log.epoch()
    }

    fn head(&self) -> u64 {
        self.log.head()
    }

    fn append(&self, event: NewEvent) -> StoreFuture<'_, AppendOutcome> {
        self.log.append(event)
    }

    fn events_after(&self, client: &ClientRef, sequence: u64, limit: PageLimit) -> StoreFuture<'_, LogPage> {
        if client.id.as_str().contains(MARK) {
            self.faults.trip(Disturbance::Streams);
        }
        self.log.events_after(client, sequence, limit)
    }

    fn document_events_after(
        &self,
        client: &ClientRef,
        documents: Vec<DocumentId>,
        sequence: u64,
        limit: PageLimit,
    ) -> StoreFuture<'_, LogPage> {
        self.log.document_events_after(client, documents, sequence, limit)
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

/// A server with one stream worker, whose thread ends with the server.
pub(crate) struct StreamServer {
    store: Store,
    delivery: DeliveryHandle,
    metrics: Metrics,
    keys: Keys,
    listener: TcpListener,
    directory: tempfile::TempDir,
}

/// Opens streams at a [`StreamServer`].
pub(crate) struct StreamClient {
    address: std::net::SocketAddr,
    keys: Keys,
}

impl StreamServer {
    pub(crate) async fn new(store: &Store, faults: &Arc<Faults>, delivery: DeliveryHandle) -> Self {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let log = Arc::new(FaultyLog { log: store.log.clone(), faults: faults.clone() });
        Self {
            store: Store { log, ..store.clone() },
            delivery,
            metrics: Metrics::new("test"),
            keys: Keys::open_or_create(&directory.path().join("keys"), Timestamp::now()).expect("a key"),
            listener: TcpListener::bind("127.0.0.1:0").await.expect("a free port"),
            directory,
        }
    }

    pub(crate) fn client(&self) -> StreamClient {
        StreamClient { address: self.listener.local_addr().expect("bound"), keys: self.keys.clone() }
    }

    /// Serves until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let hub = Hub::new(HubOptions::default(), self.store.log.head());
        let dispatcher = dispatch(hub.clone(), self.metrics.clone(), self.store.log.tail());
        let (workers, threads) = StreamWorkers::new(hub.wake_queues(), Reloadable::new(MINUTE));
        let start =
            |worker: StreamWorker| Builder::new().name("streams".into()).spawn(|| worker.run()).expect("a thread");
        let threads: Vec<_> = threads.into_iter().map(start).collect();
        let context = self.context(&hub);
        let routes = Address::Public.filter(&context);
        let service = RequestMiddleware::new(routes, Reloadable::new(Origins::Any), self.metrics.clone());
        let connection = ConnectionLimits {
            max_header_bytes: 16 << 10,
            header_timeout: MINUTE,
            keep_alive_timeout: MINUTE,
            write_timeout: MINUTE,
            response_timeout: MINUTE,
            max_concurrent_streams: 1,
        };
        let options = ServerOptions {
            permits: Permits::new(1_000),
            http2_requests: Http2Requests::without_shares(1, self.metrics.clone()),
            addresses: AddressConnections::unlimited(),
            proxy_protocol: None,
            connection: Reloadable::new(connection),
        };
        let server = Server { options, tls: None, workers, stop: stop.clone(), metrics: self.metrics.clone() };
        let serving = async {
            tokio::select! {
                () = server.run(self.listener, service) => {}
                () = dispatcher => panic!("the log has ended"),
            }
        };
        serving.await;
        hub.stop();
        // The tasks of connections, which run here, hold the workers.
        let mut interval = tokio::time::interval(Duration::from_millis(5));
        while threads.iter().any(|thread| !thread.is_finished()) {
            interval.tick().await;
        }
        for thread in threads {
            thread.join().expect("a worker outlives its streams").expect("a runtime");
        }
        assert_eq!(self.metrics.followers.get(), 0, "a stream that panics is not counted any more");
        drop(self.directory);
    }

    fn context(&self, hub: &Hub) -> Arc<Context> {
        let Self { store, delivery, metrics, keys, .. } = self;
        let streams = Streams::new(store.clone(), hub.clone(), StreamOptions::default(), metrics.clone());
        let ingest = Ingest::new(store.clone(), metrics.clone());
        let notifications = Notifications::new(store.registry.clone(), delivery.clone());
        let issuers = Issuers::open(Vec::new()).expect("no issuer");
        let admin = AdminToken::open_or_create(Some(Secret::new("admin")), self.directory.path()).expect("a token");
        let parts = Parts {
            clients: Clients::new(store.registry.clone(), hub.clone(), delivery.clone()),
            hooks: Hooks::new(store.registry.clone()),
            documents: Documents::new(store.log.clone(), ingest.clone(), notifications.clone()),
            rejects: Rejects::new(store.rejects.clone(), store.registry.clone(), ingest.clone()),
            notifications,
            deliveries: Deliveries::new(store.outbox.clone(), store.registry.clone(), delivery.clone()),
            ingest,
            streams,
            hub: hub.clone(),
            auth: Authenticator::new(keys.clone(), issuers, store.registry.clone()),
            keys: keys.clone(),
            admin,
            metrics: metrics.clone(),
            cluster: None,
            reload: None,
        };
        let limits = RequestLimits {
            max_body_bytes: 1 << 10,
            body_timeout: MINUTE,
            token_ttl: MINUTE,
            query_token: QueryToken::Off,
            hook_rate: MANY,
            event_rate_per_client: MANY,
        };
        let failed_tokens = FailedTokenLimit { per_address: MANY, window: MINUTE };
        Context::new(parts, HttpOptions { public_url: String::new(), limits, failed_tokens })
    }
}

impl StreamClient {
    /// Opens a stream from the first event on. Reads until the first event, or the end that a panic causes.
    pub(crate) async fn follow(&self, client: &ClientRef) {
        let scopes = Scopes::from(Scope::Events);
        let token = self.keys.issue(client, &scopes, MINUTE * 10, Timestamp::now()).expect("a token");
        let mut stream = TcpStream::connect(self.address).await.expect("a server");
        let head =
            "GET /events/client HTTP/1.1\r\nHost: relay.test\r\nLast-Event-ID: earliest\r\nAuthorization: Bearer";
        stream.write_all(format!("{head} {token}\r\n\r\n").as_bytes()).await.expect("an open connection");
        let mut read = Vec::new();
        // A panic may reset the connection.
        while let Ok(1..) = stream.read_buf(&mut read).await {
            let text = String::from_utf8_lossy(&read);
            assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
            if text.contains("data: {") {
                return;
            }
        }
    }
}
