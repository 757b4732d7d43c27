//! Requests at a node that lacks what another node of the cluster has just made. The other node's entries arrive when
//! this node catches up.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ::http::{Method, StatusCode};
use futures::future::BoxFuture;

use super::*;
use crate::auth::{Keys, Scopes};
use crate::domain::{EventId, Secret};
use crate::http::Context;
use crate::store::{Maintenance, PrunedRows, Retention, StoreError};
use crate::stream::hub::Hub;
use crate::stream::{StartPosition, StreamOptions, Streams};

const ADMIN_TOKEN: &str = "admin-token-of-this-test-0123456789";
const SECRET: &str = "secret-of-the-client-of-this-test";
const HOOK_KEY: &str = "key-of-the-hook-of-this-test";

/// A store that gets the entries of another node when it catches up.
struct LateMaintenance {
    inner: Arc<dyn Maintenance>,
    /// Applies the entries of the other node.
    arrival: Mutex<Option<BoxFuture<'static, ()>>>,
    is_unreachable: bool,
    calls: AtomicUsize,
}

impl Maintenance for LateMaintenance {
    fn probe(&self) -> StoreFuture<'_, ()> {
        self.inner.probe()
    }
    fn warning(&self) -> Option<&'static str> {
        self.inner.warning()
    }
    fn prune(&self, now: Timestamp) -> StoreFuture<'_, PrunedRows> {
        self.inner.prune(now)
    }
    fn set_retention(&self, retention: Retention) -> StoreFuture<'_, ()> {
        self.inner.set_retention(retention)
    }
    fn catch_up(&self) -> StoreFuture<'_, bool> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let arrival = self.arrival.lock().unwrap_or_else(PoisonError::into_inner).take();
        Box::pin(async move {
            if self.is_unreachable {
                return Err(StoreError::Unavailable("the broker has not answered".to_owned()));
            }
            match arrival {
                Some(arrival) => {
                    arrival.await;
                    Ok(true)
                }
                None => Ok(false),
            }
        })
    }
    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}

/// What the other node has made: a client with a hook and a notification.
#[derive(Clone)]
struct Made {
    client: Client,
    hook: Hook,
    notification: Notification,
}

impl Made {
    fn new() -> Self {
        let now = Timestamp::now();
        let hook = Hook {
            id: "0b7f3c52-6a51-4f0a-9a43-5f3b0c1d2e3f".to_owned(),
            key: Secret::new(HOOK_KEY),
            vendor: Vendor::Gini,
            name: None,
            labels: Default::default(),
            label_cookies: Vec::new(),
            verify: Verify::None {},
            mapping: None,
            created: now,
        };
        let notification = Notification {
            id: "1".to_owned(),
            name: "main".parse().expect("a name"),
            endpoint: "https://example.com/events".to_owned(),
            format: "standard".parse().expect("a format"),
            is_default: false,
            secrets: Vec::new(),
            previous: None,
            credential: None,
            state: NotificationState::Active,
            created: now,
        };
        let id: ClientId = "acme".parse().expect("an id");
        let client = Client { id, created: now, secret: Secret::new(SECRET), previous: None };
        Self { client, hook, notification }
    }

    async fn store(self, registry: Arc<dyn Registry>) {
        let client = self.client.reference();
        registry.add_client(self.client).await.expect("added");
        registry.add_hook(&client, self.hook).await.expect("added");
        registry.add_notification(&client, self.notification).await.expect("added");
    }
}

/// A node of a cluster under test.
struct Node {
    context: Arc<Context>,
    keys: Keys,
    hub: Hub,
    store: Store,
    maintenance: Arc<LateMaintenance>,
    made: Made,
    _home: tempfile::TempDir,
}

#[derive(Clone, Copy, PartialEq)]
enum Cluster {
    /// The items arrive when the node catches up.
    Late,
    /// The items are there already.
    Current,
    /// Nothing arrives.
    Unreachable,
    /// The relay is no node of a cluster.
    None,
}

impl Node {
    async fn new(cluster: Cluster) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let directory = DataDirectory::create(home.path()).expect("made");
        let admin = |name: &str| (name == "DOCRELAY_ADMIN_TOKEN").then(|| ADMIN_TOKEN.to_owned());
        let config = Config::load(&Flags::default(), admin, 65_536).expect("the defaults");
        let options = parts::bare_store_options(&config, &directory).expect("options");
        let store = SqliteStore::open(options).expect("a new database");
        let made = Made::new();
        let arrival: BoxFuture<'static, ()> = Box::pin(made.clone().store(store.registry.clone()));
        let arrival = match cluster {
            Cluster::Current => {
                arrival.await;
                None
            }
            Cluster::Late | Cluster::Unreachable | Cluster::None => Some(arrival),
        };
        let maintenance = Arc::new(LateMaintenance {
            inner: store.maintenance.clone(),
            arrival: Mutex::new(arrival.filter(|_| cluster != Cluster::None)),
            is_unreachable: cluster == Cluster::Unreachable,
            calls: AtomicUsize::new(0),
        });
        let store = Store { maintenance: maintenance.clone(), ..store };
        let view = crate::http::ClusterView {
            state: Arc::new(|| Box::pin(async { serde_json::Value::Null })),
            fault: Arc::new(|| None),
            unready: Arc::new(|| None),
        };
        let metrics = Metrics::new("");
        let cluster = (cluster != Cluster::None).then_some(view);
        let opened = Opened { store: &store, metrics: &metrics, public_url: String::new(), cluster, reload: None };
        let RelayParts { context, keys, hub, .. } = parts::build(&config, &directory, opened).expect("parts");
        Self { context, keys, hub, store, maintenance, made, _home: home }
    }

    async fn call(&self, address: Address, request: &Request) -> StatusCode {
        let mut call = ::http::Request::builder().method(request.method.clone()).uri(&request.path);
        if let Some(authorization) = &request.authorization {
            call = call.header("authorization", authorization).header("host", "relay.example");
        }
        let call = call.body(Bytes::from_static(request.body)).expect("a request");
        address.call(&self.context, call).await.expect("a response").status()
    }

    fn token(&self) -> String {
        let ttl = Duration::from_secs(60);
        let client = self.made.client.reference();
        self.keys.issue(&client, &Scopes::ALL, ttl, Timestamp::now()).map(|t| format!("Bearer {t}")).expect("a token")
    }

    /// Replaces what arrives.
    fn arrives(&self, arrival: BoxFuture<'static, ()>) {
        *self.maintenance.arrival.lock().unwrap_or_else(PoisonError::into_inner) = Some(arrival);
    }

    fn calls(&self) -> usize {
        self.maintenance.calls.load(Ordering::Relaxed)
    }
}

struct Request {
    method: Method,
    path: String,
    authorization: Option<String>,
    body: &'static [u8],
}

fn webhook() -> Request {
    let body = br#"{"documentId":"a","status":"COMPLETED"}"#;
    Request { method: Method::POST, path: format!("/in/{HOOK_KEY}"), authorization: None, body }
}

fn get(path: &str, authorization: Option<String>) -> Request {
    Request { method: Method::GET, path: path.to_owned(), authorization, body: b"" }
}

#[tokio::test]
async fn hook_made_on_another_node_is_found_at_once() {
    let node = Node::new(Cluster::Late).await;
    assert_eq!(node.call(Address::Public, &webhook()).await, StatusCode::OK);
    assert_eq!(node.call(Address::Public, &webhook()).await, StatusCode::OK);
    assert_eq!(node.calls(), 1, "only before the refusal");
}

#[tokio::test]
async fn unknown_hook_is_unavailable_while_node_cannot_catch_up() {
    let node = Node::new(Cluster::Unreachable).await;
    assert_eq!(node.call(Address::Public, &webhook()).await, StatusCode::SERVICE_UNAVAILABLE);
    let alone = Node::new(Cluster::None).await;
    assert_eq!(alone.call(Address::Public, &webhook()).await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn token_of_client_made_on_another_node_is_accepted_at_once() {
    for path in ["/hooks", "/v1/notification"] {
        let node = Node::new(Cluster::Late).await;
        let token = node.token();
        assert_eq!(node.call(Address::Public, &get(path, Some(token.clone()))).await, StatusCode::OK, "{path}");
        assert_eq!(node.call(Address::Public, &get(path, Some(token))).await, StatusCode::OK, "{path}");
        assert_eq!(node.calls(), 1, "{path}");
    }
}

#[tokio::test]
async fn credentials_of_client_made_on_another_node_are_accepted_at_once() {
    let node = Node::new(Cluster::Late).await;
    let basic = data_encoding::BASE64.encode(format!("acme:{SECRET}").as_bytes());
    let request = get("/oauth/token?grant_type=client_credentials", Some(format!("Basic {basic}")));
    assert_eq!(node.call(Address::Public, &request).await, StatusCode::OK);
    assert_eq!(node.calls(), 1);
}

#[tokio::test]
async fn access_key_made_on_another_node_is_known_at_once() {
    let node = Node::new(Cluster::Late).await;
    let now = Timestamp::now().to_string();
    let now = now.split('.').next().unwrap_or_default();
    let authorization = format!("bce-auth-v1/acme/{now}Z/1800//{}", "0".repeat(64));
    // The signature is wrong. An unknown access key is answered 403.
    let status = node.call(Address::Public, &get("/v1/notification", Some(authorization))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(node.calls(), 1);
}

#[tokio::test]
async fn item_made_on_another_node_is_found_by_id_at_once() {
    let admin = Some(format!("Bearer {ADMIN_TOKEN}"));
    for (address, path, method, body) in [
        (Address::Public, "/hooks/{hook}", Method::GET, &b""[..]),
        (Address::Public, "/hooks/{hook}", Method::PATCH, br#"{"name":"new"}"#),
        (Address::Public, "/v2/notification/main", Method::GET, b""),
        (Address::Admin, "/admin/clients/acme", Method::GET, b""),
        (Address::Admin, "/admin/clients/acme/secret", Method::POST, b""),
    ] {
        let node = Node::new(Cluster::Late).await;
        let mut authorization = admin.clone();
        if address == Address::Public {
            // Only the client is there.
            authorization = Some(node.token());
            let Made { client, hook, notification } = node.made.clone();
            let registry = node.store.registry.clone();
            registry.add_client(client.clone()).await.expect("added");
            let arrival: BoxFuture<'static, ()> = Box::pin(async move {
                registry.add_hook(&client.reference(), hook).await.expect("added");
                registry.add_notification(&client.reference(), notification).await.expect("added");
            });
            node.arrives(arrival);
        }
        let path = path.replace("{hook}", &node.made.hook.id);
        let request = Request { method, path, authorization, body };
        assert_eq!(node.call(address, &request).await, StatusCode::OK, "{} {}", request.method, request.path);
        assert_eq!(node.calls(), 1, "{} {}", request.method, request.path);
    }
}

#[tokio::test]
async fn document_names_notification_of_another_node_at_once() {
    let node = Node::new(Cluster::Late).await;
    let Made { client, notification, .. } = node.made.clone();
    let registry = node.store.registry.clone();
    registry.add_client(client.clone()).await.expect("added");
    let arrival: BoxFuture<'static, ()> = Box::pin(async move {
        registry.add_notification(&client.reference(), notification).await.expect("added");
    });
    node.arrives(arrival);
    let body = br#"{"vendor":"gini","vendorId":"a","notification":"main"}"#;
    let request =
        Request { method: Method::POST, path: "/documents".to_owned(), authorization: Some(node.token()), body };
    assert_eq!(node.call(Address::Public, &request).await, StatusCode::CREATED);
    assert_eq!(node.calls(), 1);
}

#[tokio::test]
async fn successful_requests_do_not_wait_for_the_cluster() {
    let node = Node::new(Cluster::Current).await;
    assert_eq!(node.call(Address::Public, &webhook()).await, StatusCode::OK);
    let token = Some(node.token());
    let hook = format!("/hooks/{}", node.made.hook.id);
    for path in ["/hooks", &hook, "/v1/notification", "/v1/notification/main", "/documents"] {
        assert_eq!(node.call(Address::Public, &get(path, token.clone())).await, StatusCode::OK, "{path}");
    }
    assert_eq!(node.calls(), 0);
}

#[tokio::test]
async fn refusal_stands_while_node_cannot_catch_up() {
    let node = Node::new(Cluster::Unreachable).await;
    let token = Some(node.token());
    assert_eq!(node.call(Address::Public, &get("/hooks", token)).await, StatusCode::UNAUTHORIZED);
    let admin = Some(format!("Bearer {ADMIN_TOKEN}"));
    assert_eq!(node.call(Address::Admin, &get("/admin/clients/acme", admin)).await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn position_of_another_node_is_waited_for_before_the_stream_opens() {
    let node = Node::new(Cluster::Late).await;
    let streams =
        |node: &Node| Streams::new(node.store.clone(), node.hub.clone(), StreamOptions::default(), Metrics::new(""));
    let head = streams(&node).head();
    let next = EventId { sequence: head.sequence + 1, ..head };
    streams(&node).reach(StartPosition::After(head)).await.expect("reached");
    assert_eq!(node.calls(), 0, "the head is not ahead");
    // The other node has stored an event, too.
    let made = node.made.clone();
    let (context, registry) = (node.context.clone(), node.store.registry.clone());
    let arrival: BoxFuture<'static, ()> = Box::pin(async move {
        made.store(registry).await;
        let Request { path, body, .. } = webhook();
        let call = ::http::Request::post(path).body(Bytes::from_static(body)).expect("a request");
        Address::Public.call(&context, call).await.expect("a response");
    });
    node.arrives(arrival);
    streams(&node).reach(StartPosition::After(next)).await.expect("reached");
    assert_eq!((node.calls(), streams(&node).head()), (1, next));
    let unreachable = Node::new(Cluster::Unreachable).await;
    let head = streams(&unreachable).head();
    let ahead = StartPosition::After(EventId { sequence: head.sequence + 1, ..head });
    streams(&unreachable).reach(ahead).await.expect_err("a stream would begin with a reset");
}

#[tokio::test]
async fn list_has_event_of_another_node_that_the_request_names() {
    let node = Node::new(Cluster::Late).await;
    let head = Streams::new(node.store.clone(), node.hub.clone(), StreamOptions::default(), Metrics::new("")).head();
    let next = EventId { sequence: head.sequence + 1, ..head };
    let store = |node: &Node| {
        let (made, registry) = (node.made.clone(), node.store.registry.clone());
        async move { made.store(registry).await }
    };
    store(&node).await;
    let context = node.context.clone();
    node.arrives(Box::pin(async move {
        let Request { path, body, .. } = webhook();
        let call = ::http::Request::post(path).body(Bytes::from_static(body)).expect("a request");
        Address::Public.call(&context, call).await.expect("a response");
    }));
    let list = |node: &Node, id: EventId| {
        let call = ::http::Request::get("/documents")
            .header("authorization", node.token())
            .header("docrelay-event-id", id.to_string());
        let (call, context) = (call.body(Bytes::new()).expect("a request"), node.context.clone());
        async move { Address::Public.call(&context, call).await.expect("a response").status() }
    };
    assert_eq!((list(&node, head).await, node.calls()), (StatusCode::OK, 0), "the head is not ahead");
    assert_eq!((list(&node, next).await, node.calls()), (StatusCode::OK, 1));
    assert_eq!(node.store.log.head(), next.sequence);
    let unreachable = Node::new(Cluster::Unreachable).await;
    store(&unreachable).await;
    let head =
        Streams::new(unreachable.store.clone(), unreachable.hub.clone(), StreamOptions::default(), Metrics::new(""))
            .head();
    let ahead = EventId { sequence: head.sequence + 1, ..head };
    assert_eq!(list(&unreachable, ahead).await, StatusCode::SERVICE_UNAVAILABLE);
}
