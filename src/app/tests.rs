//! The parts of a relay over store doubles. This file: housekeeping over a store that counts how often it is asked for
//! hooks.

mod current_reads;
mod scrape;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::data::DataDirectory;
use super::parts::{self, Opened, RelayParts};
use crate::config::{Config, Flags};
use crate::domain::{
    Client, ClientId, ClientLimits, ClientRef, Hook, Notification, NotificationState, Timestamp, Vendor, Verify,
};
use crate::http::Address;
use crate::manage::NewHook;
use crate::metrics::Metrics;
use crate::store::sqlite::SqliteStore;
use crate::store::{Registry, Store, StoreFuture};

/// A registry that counts the copies of lists of hooks.
struct CountingRegistry {
    inner: Arc<dyn Registry>,
    copied_lists: AtomicUsize,
}

impl Registry for CountingRegistry {
    fn clients(&self) -> Vec<Arc<Client>> {
        self.inner.clients()
    }
    fn client(&self, id: &ClientId) -> Option<Arc<Client>> {
        self.inner.client(id)
    }
    fn hook_by_key(&self, key: &str) -> Option<(ClientRef, Arc<Hook>)> {
        self.inner.hook_by_key(key)
    }
    fn hooks(&self, client: &ClientRef) -> Vec<Arc<Hook>> {
        self.copied_lists.fetch_add(1, Ordering::Relaxed);
        self.inner.hooks(client)
    }
    fn hook_count(&self) -> usize {
        self.inner.hook_count()
    }
    fn add_client(&self, client: Client) -> StoreFuture<'_, ()> {
        self.inner.add_client(client)
    }
    fn update_client(&self, before: &Client, after: Client) -> StoreFuture<'_, ()> {
        self.inner.update_client(before, after)
    }
    fn remove_client(&self, id: &ClientId) -> StoreFuture<'_, ()> {
        self.inner.remove_client(id)
    }
    fn client_limits(&self, client: &ClientRef) -> ClientLimits {
        self.inner.client_limits(client)
    }
    fn set_client_limits(&self, client: &ClientRef, before: ClientLimits, after: ClientLimits) -> StoreFuture<'_, ()> {
        self.inner.set_client_limits(client, before, after)
    }
    fn add_hook(&self, client: &ClientRef, hook: Hook) -> StoreFuture<'_, ()> {
        self.inner.add_hook(client, hook)
    }
    fn update_hook(&self, client: &ClientRef, before: &Hook, after: Hook) -> StoreFuture<'_, ()> {
        self.inner.update_hook(client, before, after)
    }
    fn remove_hook(&self, client: &ClientRef, id: &str) -> StoreFuture<'_, ()> {
        self.inner.remove_hook(client, id)
    }
    fn notifications(&self, client: &ClientRef) -> Vec<Arc<Notification>> {
        self.inner.notifications(client)
    }
    fn add_notification(&self, client: &ClientRef, notification: Notification) -> StoreFuture<'_, ()> {
        self.inner.add_notification(client, notification)
    }
    fn update_notification(
        &self,
        client: &ClientRef,
        before: &Notification,
        after: Notification,
    ) -> StoreFuture<'_, ()> {
        self.inner.update_notification(client, before, after)
    }
    fn set_notification_state(
        &self,
        client: &ClientRef,
        known: &Notification,
        state: NotificationState,
    ) -> StoreFuture<'_, ()> {
        self.inner.set_notification_state(client, known, state)
    }
    fn remove_notification(&self, client: &ClientRef, name: &str) -> StoreFuture<'_, ()> {
        self.inner.remove_notification(client, name)
    }
}

fn unverified_hook() -> NewHook {
    NewHook {
        vendor: Vendor::Gini,
        verify: Verify::None {},
        name: None,
        labels: Default::default(),
        label_cookies: Vec::new(),
        mapping: None,
    }
}

#[tokio::test]
async fn housekeeping_copies_no_hook_ids_while_no_hook_is_deleted() {
    let home = tempfile::tempdir().expect("a directory");
    let directory = DataDirectory::create(home.path()).expect("made");
    let config = Config::load(&Flags::default(), |_| None, 65_536).expect("the defaults");
    let options = parts::bare_store_options(&config, &directory).expect("options");
    let store = SqliteStore::open(options).expect("a new database");
    let registry = Arc::new(CountingRegistry { inner: store.registry.clone(), copied_lists: AtomicUsize::new(0) });
    let store = Store { registry: registry.clone(), ..store };
    let metrics = Metrics::new("");
    let opened = Opened { store: &store, metrics: &metrics, public_url: String::new(), cluster: None, reload: None };
    let RelayParts { context, clients, hooks, .. } = parts::build(&config, &directory, opened).expect("parts");
    let now = Timestamp::now();
    let acme = clients.add("acme".parse().expect("a name"), now).await.expect("added").client.reference();
    let mut added = Vec::new();
    for _ in 0..3 {
        let hook = hooks.add(&acme, unverified_hook(), now).await.expect("added");
        // Each call leaves the activity of its hook.
        let call = ::http::Request::post(format!("/in/{}", hook.key.expose())).body(Bytes::from_static(b"{}"));
        Address::Public.call(&context, call.expect("a request")).await.expect("a response");
        added.push(hook);
    }
    let lists_copied_by_sweep = || {
        let before = registry.copied_lists.load(Ordering::Relaxed);
        context.sweep();
        registry.copied_lists.load(Ordering::Relaxed) - before
    };
    assert_eq!(lists_copied_by_sweep(), 0, "every hook with activity exists");
    hooks.remove(&acme, &added[0].id).await.expect("removed");
    assert_eq!(lists_copied_by_sweep(), 1, "the activity of the deleted hook is removed");
    assert_eq!(lists_copied_by_sweep(), 0, "once");
    store.maintenance.close().await;
}
