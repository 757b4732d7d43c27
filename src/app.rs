//! Wiring of a relay: opens its parts, starts its tasks, and stops them in order. No other module
//! spawns tasks.

mod cluster;
pub mod data;
pub mod logging;
pub(crate) mod parts;
pub mod queue_ownership;
mod rebuild_pause;
mod reload;
mod server_settings;
mod service_manager;
mod sockets;
mod tasks;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::bail;
use futures::future::BoxFuture;
use tokio::signal::unix::Signal;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::delivery::DeliveryWorker;
use crate::domain::Reloadable;
use crate::http::transport::server::Server;
use crate::http::transport::tls::{self, Tls};
use crate::http::transport::workers::StreamWorkers;
use crate::http::{self, RequestMiddleware};
use crate::manage::{Clients, Hooks};
use crate::metrics::Metrics;
use crate::store::sqlite::OpenError;
use crate::stream::dispatch;

use cluster::{Cluster, FaultWatch, JoinReason, NodeFault, NodeParts};
use data::{DataDirectory, RelayAddress, StoreOwner};
use parts::{Opened, RelayParts};
use rebuild_pause::RebuildPause;
use reload::{ReloadRequests, Reloader, RunningParts};
use server_settings::{ServerSettings, expects_proxy_header};
use sockets::Listeners;
use tasks::{
    Shutdown, Signals, StartingNode, housekeeping, refresh_key_sets, run_named, start_stream_threads,
    watch_store_threads,
};

pub use reload::ProcessConfig;
pub use sockets::PassedSockets;

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

/// What a relay is started with.
pub struct ServeOptions<'a> {
    pub config: ProcessConfig,
    pub sockets: PassedSockets,
    pub metrics: Metrics,
    /// Cancelled when the thread of the log ends.
    pub log_ended: CancellationToken,
    pub on_listening: OnListening<'a>,
}

/// Runs a relay until SIGTERM or SIGINT. A node of a cluster whose database cannot be used any more stops in order, and
/// starts again in this process with another one.
///
/// # Errors
/// The relay cannot start, or one of its tasks ended on its own.
pub async fn serve(options: ServeOptions<'_>) -> anyhow::Result<()> {
    let ServeOptions { config: process_config, sockets, metrics, log_ended, on_listening } = options;
    tasks::ignore_file_size_signal()?;
    let mut signals = Signals::catch()?;
    let hangup = Arc::new(Mutex::new(tasks::hangups()?));
    let tls = match &process_config.running().tls {
        Some(files) => Some(Tls::new(tls::load(files.clone()).await?)),
        None => None,
    };
    let mut pause = RebuildPause::default();
    let mut reason = JoinReason::Start;
    let mut bound: Option<(SocketAddr, SocketAddr)> = None;
    loop {
        let mut config = Config::clone(&process_config.running());
        if let Some(addresses) = bound {
            // The same ports, also if any was asked for.
            (config.listen, config.admin_listen) = addresses;
        }
        let process = Process {
            config: &process_config,
            sockets: &sockets,
            hangup: &hangup,
            metrics: &metrics,
            log_ended: &log_ended,
            on_listening,
            tls: tls.as_ref(),
        };
        let end = run(&config, process, &mut signals, reason).await?;
        let RunEnd::Rebuild { listen, admin_listen } = end else { return Ok(()) };
        metrics.cluster_rebuilds.inc();
        bound = Some((listen, admin_listen));
        reason = JoinReason::Rebuild;
        let pause = pause.next(Instant::now());
        tokio::select! {
            biased;
            signal = signals.next() => {
                service_manager::stopping();
                tracing::info!(signal, "relay stopped before its database was replaced: the next start does it");
                return Ok(());
            }
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// How a relay has stopped.
enum RunEnd {
    /// A signal has stopped it.
    Stopped,
    /// Its database must be replaced. It has listened on these addresses.
    Rebuild { listen: SocketAddr, admin_listen: SocketAddr },
}

/// What the relays of this process have in common, one after the other.
#[derive(Clone, Copy)]
struct Process<'a> {
    config: &'a ProcessConfig,
    sockets: &'a PassedSockets,
    /// Receives SIGHUP, also while no relay of this process listens.
    hangup: &'a Arc<Mutex<Signal>>,
    metrics: &'a Metrics,
    log_ended: &'a CancellationToken,
    on_listening: OnListening<'a>,
    /// The TLS configuration of the public address.
    tls: Option<&'a Tls>,
}

/// Runs a relay until a signal, or until its database must be replaced.
#[expect(clippy::disallowed_methods, reason = "the only owner of tasks; each set is joined when the relay stops")]
async fn run(
    config: &Config,
    process: Process<'_>,
    signals: &mut Signals,
    reason: JoinReason,
) -> anyhow::Result<RunEnd> {
    let Process { metrics, on_listening, tls, .. } = process;
    let directory = DataDirectory::create(&config.data)?;
    let cluster = match &config.cluster {
        Some(options) => {
            let founding_options = || parts::founding_options(config, &directory);
            tokio::select! {
                signal = signals.next() => bail!("{signal} received before this node had joined the cluster"),
                joined = Cluster::join(options, &directory, founding_options, reason) => Some(joined?),
            }
        }
        None => None,
    };
    directory.keys()?;
    directory.admin_token(config.admin_token.clone())?;
    let (on_thread_end, mut store_thread_ended) = watch_store_threads();
    let options = parts::store_options(config, &directory, metrics, on_thread_end)?;
    let (store, replication) = match &cluster {
        Some(cluster) => cluster.open_store(options)?,
        None => match directory.open_store(options)? {
            StoreOwner::Local(store) => (store, None),
            StoreOwner::Remote(_) => return Err(OpenError::Locked(directory.database()).into()),
        },
    };

    // Both addresses are bound before `relay.json` names them.
    let Listeners { public, admin: private } = process.sockets.listeners(config)?;
    let address = RelayAddress {
        pid: std::process::id(),
        listen: public.local_addr()?,
        admin: private.local_addr()?,
        public_url: config.public_url(public.local_addr()?),
        tls: tls.is_some(),
        proxy_header: expects_proxy_header(config, public.local_addr()?),
    };

    let stop_deliveries = CancellationToken::new();
    let stop_rest = CancellationToken::new();
    let mut deliveries = JoinSet::new();
    let mut rest = JoinSet::new();
    let node = match cluster.zip(replication) {
        Some((cluster, replication)) => Some(cluster.start(replication, &store, &address, metrics)?),
        None => None,
    };
    let ownership = node.as_ref().map(NodeParts::ownership);
    let view = node.as_ref().map(NodeParts::view);
    let mut faults = node.as_ref().map(NodeParts::fault);
    let rebuild = RunEnd::Rebuild { listen: address.listen, admin_listen: address.admin };
    if let Some(node) = node {
        node.spawn(&mut deliveries, &mut rest, &stop_deliveries, &stop_rest);
        tokio::select! {
            signal = signals.next() => bail!("{signal} received before this node had caught up with the cluster"),
            Some(name) = rest.join_next() => bail!("the {} ended: see the log above", name.unwrap_or("panicked task")),
            fault = next_fault(&mut faults) => {
                StartingNode { store, deliveries, stop_deliveries, rest, stop_rest }.abandon(config.grace).await;
                return end_of(fault, rebuild);
            }
            caught_up = cluster::catch_up(&store) => caught_up?,
        }
    }

    // Taken before the first follower can subscribe, so that every event is covered by the tail or by the head.
    let tail = store.log.tail();
    let requests = ReloadRequests::new();
    let (public_url, reload) = (address.public_url.clone(), Some(requests.handle()));
    let opened = Opened { store: &store, metrics, public_url, cluster: view, reload };
    let RelayParts { context, hub, streams, delivery, clients, hooks, keys, issuers, http_client } =
        parts::build(config, &directory, opened)?;
    let servers = ServerSettings::new(config, metrics);
    let reloader = Reloader {
        process: process.config.clone(),
        parts: RunningParts {
            servers: servers.clone(),
            context: context.clone(),
            hub: hub.clone(),
            streams,
            delivery: delivery.clone(),
            http_client: http_client.clone(),
            issuers: issuers.clone(),
            store: store.clone(),
            tls: tls.cloned(),
            directory: directory.clone(),
            address: address.clone(),
        },
        requests,
        metrics: metrics.clone(),
    };

    let (stream_workers, workers) = StreamWorkers::new(hub.wake_queues(), servers.write_timeout.clone());
    let mut threads = start_stream_threads(workers)?;
    let stop_public = CancellationToken::new();
    let server = |stop: &CancellationToken, workers: StreamWorkers, options, tls: Option<&Tls>| Server {
        options,
        tls: tls.cloned(),
        workers,
        stop: stop.clone(),
        metrics: metrics.clone(),
    };
    let public_routes = http::Address::Public.filter(&context);
    let public_service = RequestMiddleware::new(public_routes, servers.origins.clone(), metrics.clone())
        .behind(servers.trusted_proxies.clone());
    let no_origins = Reloadable::new(http::Origins::Only(Vec::new()));
    let admin_service = RequestMiddleware::new(http::Address::Admin.filter(&context), no_origins, metrics.clone());

    let mut public_task = JoinSet::new();
    // Without this handle the end of the public server would end the stream threads, and one of these would be
    // reported.
    let kept_workers = stream_workers.clone();
    let public_server = server(&stop_public, stream_workers, servers.public(), tls);
    public_task.spawn(public_server.run(public, public_service));
    let worker = match ownership {
        Some(ownership) => DeliveryWorker::with_ownership(delivery, ownership),
        None => DeliveryWorker::new(delivery),
    };
    deliveries.spawn(run_named("deliveries", worker.run(stop_deliveries.clone())));
    // The admin address has no streams: these workers are never run.
    let no_workers = StreamWorkers::new(Vec::new(), servers.write_timeout.clone()).0;
    let admin_server = server(&stop_rest, no_workers, servers.admin(metrics), None);
    rest.spawn(run_named("admin server", admin_server.run(private, admin_service)));
    if let Some(tls) = tls {
        rest.spawn(run_named("TLS reloader", tls.clone().run(stop_rest.clone())));
    }
    rest.spawn(run_named("configuration reloader", reloader.run(process.hangup.clone(), stop_rest.clone())));
    let refreshing = refresh_key_sets(issuers, Arc::new(http_client), metrics.clone(), hub.clone(), stop_rest.clone());
    rest.spawn(run_named("refresh of key sets", refreshing));
    rest.spawn(run_named("dispatcher", dispatch(hub.clone(), metrics.clone(), tail)));
    rest.spawn(run_named("housekeeping", housekeeping(store.clone(), context, metrics.clone(), stop_rest.clone())));

    directory.write_address_file(&address)?;
    tracing::info!(listen = %address.listen, admin = %address.admin, data = %config.data.display(), "relay is listening");
    service_manager::ready();
    let mut background = JoinSet::new();
    let background_task = on_listening(Listening { address, clients, hooks, keys }).await?;
    background.spawn(background_task.unwrap_or_else(|| Box::pin(std::future::pending())));

    let unexpected = |name: String| Err(anyhow::anyhow!("the {name} ended unexpectedly: see the log above"));
    let end = tokio::select! {
        signal = signals.next() => {
            service_manager::stopping();
            tracing::info!(signal, "relay stopping");
            Ok(RunEnd::Stopped)
        }
        fault = next_fault(&mut faults) => { tracing::warn!(%fault, "relay stopping"); end_of(fault, rebuild) }
        Some(name) = threads.ended.recv() => unexpected(name.to_owned()),
        Some(name) = store_thread_ended.recv() => unexpected(format!("thread {name}")),
        () = process.log_ended.cancelled() => unexpected("log thread".to_owned()),
        Some(_) = public_task.join_next() => unexpected("public server".to_owned()),
        Some(_) = deliveries.join_next() => unexpected("deliveries".to_owned()),
        Some(name) = rest.join_next() => unexpected(name.unwrap_or("panicked task").to_owned()),
        Some(outcome) = background.join_next() => { outcome??; unexpected("background task".to_owned()) }
    };
    drop(kept_workers);
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
    shutdown.run(process.config.running().grace).await;
    end
}

/// Waits until this node cannot go on with its database; for ever without a cluster.
async fn next_fault(faults: &mut Option<FaultWatch>) -> NodeFault {
    match faults {
        Some(faults) => faults.next().await,
        None => std::future::pending().await,
    }
}

/// What follows a fault: `rebuild`, unless there is nothing to rebuild from.
fn end_of(fault: NodeFault, rebuild: RunEnd) -> anyhow::Result<RunEnd> {
    match fault {
        NodeFault::Differs(_) | NodeFault::Trimmed(_) => Ok(rebuild),
        NodeFault::Replaced => bail!("{fault}"),
    }
}
