//! Builds the use cases and the routes over an opened store: for a relay that serves them, and for a command that calls
//! them in process.

use std::sync::Arc;

use super::data::DataDirectory;
use super::options;
use crate::auth::{Authenticator, Keys};
use crate::config::Config;
use crate::delivery::DeliveryHandle;
use crate::delivery::http_client::ReqwestClient;
use crate::http::{Context, Parts};
use crate::ingest::Ingest;
use crate::manage::{Clients, Deliveries, Documents, Hooks, Notifications, Rejects};
use crate::metrics::Metrics;
use crate::store::Store;
use crate::stream::hub::Hub;
use crate::stream::{self, Streams};

/// The routes, and the handles that the relay runs beside them.
pub(crate) struct Router {
    pub(crate) context: Arc<Context>,
    pub(crate) hub: Hub,
    pub(crate) delivery: DeliveryHandle,
    pub(crate) clients: Clients,
    pub(crate) hooks: Hooks,
    pub(crate) keys: Keys,
}

/// The opened parts that the routes use.
pub(crate) struct Opened<'a> {
    pub(crate) store: &'a Store,
    pub(crate) metrics: &'a Metrics,
    /// The base of the URLs of hooks, without a slash at the end.
    pub(crate) public_url: String,
}

/// Starts no task and opens no connection.
pub(crate) fn build(config: &Config, directory: &DataDirectory, opened: Opened<'_>) -> anyhow::Result<Router> {
    let Opened { store, metrics, public_url } = opened;
    let keys = directory.keys()?;
    let hub = Hub::new(options::hub(config), store.log.head());
    let stream_options = stream::Options { idle_interval: config.idle_interval, ..stream::Options::default() };
    let http_client = Arc::new(ReqwestClient::new(options::http_client(config))?);
    let delivery = DeliveryHandle::new(store.clone(), http_client, options::delivery(config), metrics.clone());
    let ingest = Ingest::new(store.clone(), metrics.clone());
    let notifications = Notifications::new(store.registry.clone(), delivery.clone());
    let hooks = Hooks::new(store.registry.clone());
    let clients = Clients::new(store.registry.clone(), hub.clone(), delivery.clone());
    let parts = Parts {
        clients: clients.clone(),
        hooks: hooks.clone(),
        documents: Documents::new(store.log.clone(), ingest.clone(), notifications.clone()),
        rejects: Rejects::new(store.rejects.clone(), store.registry.clone(), ingest.clone()),
        notifications,
        deliveries: Deliveries::new(store.outbox.clone(), store.registry.clone(), delivery.clone()),
        ingest,
        streams: Streams::new(store.clone(), hub.clone(), stream_options, metrics.clone()),
        hub: hub.clone(),
        auth: Authenticator::new(keys.clone(), store.registry.clone()),
        keys: keys.clone(),
        admin: directory.admin_token(config.admin_token.clone())?,
        metrics: metrics.clone(),
    };
    let context = Context::new(parts, options::http(config, public_url));
    Ok(Router { context, hub, delivery, clients, hooks, keys })
}
