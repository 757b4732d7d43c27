//! Wiring of a relay: opens its parts, starts its tasks, and stops them in order. No other module
//! spawns tasks.

mod cluster;
pub mod data;
pub mod logging;
pub(crate) mod parts;
pub mod queue_ownership;
mod tasks;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;

use anyhow::bail;
use futures::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::delivery::DeliveryWorker;
use crate::http::transport::server::{Server, listen};
use crate::http::transport::workers::StreamWorkers;
use crate::http::{self, RequestMiddleware};
use crate::manage::{Clients, Hooks};
use crate::metrics::Metrics;
use crate::store::sqlite::OpenError;
use crate::stream::dispatch;

use cluster::{Cluster, NodeParts};
use data::{DataDirectory, RelayAddress, StoreOwner};
use parts::{Opened, RelayParts};
use tasks::{Shutdown, Signals, housekeeping, run_named, start_stream_threads, watch_store_threads};

/// Called when the relay listens. Prints its addresses and may return a background task.
pub type OnListening<'a> = &'a (dyn Fn(Listening) -> BoxFuture<'static, anyhow::Result<BackgroundTask>> + Sync);

/// A task that runs until the relay stops and is cancelled then. If it ends with an error, the relay stops.
pub type BackgroundTask = Option<BoxFuture<'static, anyhow::Result<()>>>;

/// The addresses and handles of a relay that listens.
pub struct Listening {
    pub address: RelayAddress,
    pub clients: Clients,
    pub hooks: Hooks,
    pub keys: crate::auth::Keys,
}

/// Runs a relay until SIGTERM or SIGINT.
///
/// # Errors
/// The relay cannot start, or one of its tasks ended on its own.
#[expect(clippy::disallowed_methods, reason = "the only owner of tasks; each set is joined when the relay stops")]
pub async fn serve(config: Config, metrics: Metrics, on_listening: OnListening<'_>) -> anyhow::Result<()> {
    tasks::ignore_file_size_signal()?;
    let mut signals = Signals::catch()?;
    let directory = DataDirectory::create(&config.data)?;
    let cluster = match &config.cluster {
        Some(options) => {
            let founding_options = || parts::founding_options(&config, &directory);
            tokio::select! {
                signal = signals.next() => bail!("{signal} received before this node had joined the cluster"),
                joined = Cluster::join(options, &directory, founding_options) => Some(joined?),
            }
        }
        None => None,
    };
    directory.keys()?;
    directory.admin_token(config.admin_token.clone())?;
    let (on_thread_end, mut store_thread_ended) = watch_store_threads();
    let options = parts::store_options(&config, &directory, &metrics, on_thread_end)?;
    let (store, replication) = match &cluster {
        Some(cluster) => cluster.open_store(options)?,
        None => match directory.open_store(options)? {
            StoreOwner::Local(store) => (store, None),
            StoreOwner::Remote(_) => return Err(OpenError::Locked(directory.database()).into()),
        },
    };

    // Both addresses are bound before `relay.json` names them.
    let public = bind(config.listen, "--listen")?;
    let private = bind(config.admin_listen, "--admin-listen")?;
    let address = RelayAddress {
        pid: std::process::id(),
        listen: public.local_addr()?,
        admin: private.local_addr()?,
        public_url: config.public_url(public.local_addr()?),
    };

    let stop_deliveries = CancellationToken::new();
    let stop_rest = CancellationToken::new();
    let mut deliveries = JoinSet::new();
    let mut rest = JoinSet::new();
    let node = match cluster.zip(replication) {
        Some((cluster, replication)) => Some(cluster.start(replication, &store, &address.public_url)?),
        None => None,
    };
    let ownership = node.as_ref().map(NodeParts::ownership);
    let view = node.as_ref().map(NodeParts::view);
    if let Some(node) = node {
        node.spawn(&mut deliveries, &mut rest, &stop_deliveries, &stop_rest);
        tokio::select! {
            signal = signals.next() => bail!("{signal} received before this node had caught up with the cluster"),
            Some(name) = rest.join_next() => bail!("the {} ended: see the log above", name.unwrap_or("panicked task")),
            caught_up = cluster::catch_up(&store) => caught_up?,
        }
    }

    // Taken before the first follower can subscribe, so that every event is covered by the tail or by the head.
    let tail = store.log.tail();
    let opened = Opened { store: &store, metrics: &metrics, public_url: address.public_url.clone(), cluster: view };
    let RelayParts { context, hub, delivery, clients, hooks, keys } = parts::build(&config, &directory, opened)?;

    let (stream_workers, workers) = StreamWorkers::new(parts::stream_threads(), config.write_timeout);
    let mut threads = start_stream_threads(workers)?;
    let stop_public = CancellationToken::new();
    let server = |stop: &CancellationToken, workers: StreamWorkers, options| Server {
        options,
        workers,
        stop: stop.clone(),
        metrics: metrics.clone(),
    };
    let origins = parts::origins(&config);
    let public_service = RequestMiddleware::new(http::Address::Public.filter(&context), origins, metrics.clone());
    let admin_service =
        RequestMiddleware::new(http::Address::Admin.filter(&context), http::Origins::Only(Vec::new()), metrics.clone());

    let mut public_task = JoinSet::new();
    public_task.spawn(server(&stop_public, stream_workers, parts::server_options(&config)).run(public, public_service));
    let worker = match ownership {
        Some(ownership) => DeliveryWorker::with_ownership(delivery, ownership),
        None => DeliveryWorker::new(delivery),
    };
    deliveries.spawn(run_named("deliveries", worker.run(stop_deliveries.clone())));
    // The admin address has no streams: these workers are never run.
    let admin_server =
        server(&stop_rest, StreamWorkers::new(1, config.write_timeout).0, parts::admin_server_options(&config));
    rest.spawn(run_named("admin server", admin_server.run(private, admin_service)));
    rest.spawn(run_named("dispatcher", dispatch(hub.clone(), metrics.clone(), tail)));
    rest.spawn(run_named("housekeeping", housekeeping(store.clone(), context, metrics.clone(), stop_rest.clone())));

    directory.write_address_file(&address)?;
    tracing::info!(listen = %address.listen, admin = %address.admin, data = %config.data.display(), "relay is listening");
    let mut background = JoinSet::new();
    let background_task = on_listening(Listening { address, clients, hooks, keys }).await?;
    background.spawn(background_task.unwrap_or_else(|| Box::pin(std::future::pending())));

    let ended = tokio::select! {
        signal = signals.next() => { tracing::info!(signal, "relay stopping"); None }
        Some(name) = threads.ended.recv() => Some(name.to_owned()),
        Some(name) = store_thread_ended.recv() => Some(format!("thread {name}")),
        Some(_) = public_task.join_next() => Some("public server".to_owned()),
        Some(_) = deliveries.join_next() => Some("deliveries".to_owned()),
        Some(name) = rest.join_next() => Some(name.unwrap_or("panicked task").to_owned()),
        Some(outcome) = background.join_next() => { outcome??; Some("background task".to_owned()) }
    };
    background.abort_all();
    directory.remove_address_file();
    let shutdown = Shutdown {
        stop_public,
        public: public_task,
        hub,
        stop_deliveries,
        deliveries,
        threads: threads.handles,
        store,
        stop_rest,
        rest,
    };
    shutdown.run(config.grace).await;
    match ended {
        Some(name) => bail!("the {name} ended unexpectedly: see the log above"),
        None => Ok(()),
    }
}

/// Binds an address; an error names the flag to change.
fn bind(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    listen(address).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            anyhow::anyhow!("port {} is in use: choose another with {flag}", address.port())
        }
        _ => anyhow::Error::from(error)
            .context(format!("cannot listen on {address}: choose another address with {flag}")),
    })
}
