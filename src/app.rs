//! Wiring: opens the parts, starts the tasks, and ends them in order. The only place that spawns.

pub mod data;
pub mod logging;
pub(crate) mod options;
pub(crate) mod router;
mod stop;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use futures::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::delivery::DeliveryWorker;
use crate::domain::Timestamp;
use crate::http::transport::server::{Server, listen};
use crate::http::transport::workers::{StreamWorker, StreamWorkers};
use crate::http::{self, RequestMiddleware};
use crate::manage::{Clients, Hooks};
use crate::metrics::Metrics;
use crate::store::Store;
use crate::store::sqlite::OpenError;
use crate::stream::dispatch;

use data::{DataDirectory, RelayAddress, StoreOwner};
use router::{Opened, Router};

/// How often old events and quiet rate buckets are cleared away.
const HOUSEKEEPING: Duration = Duration::from_secs(30);

/// Called once the relay listens: prints where, and may return a task that runs beside it.
pub type OnListening<'a> = &'a (dyn Fn(Listening) -> BoxFuture<'static, anyhow::Result<BackgroundTask>> + Sync);

/// Runs beside the relay and is dropped when it stops.
pub type BackgroundTask = Option<BoxFuture<'static, anyhow::Result<()>>>;

/// What there is when the relay listens.
pub struct Listening {
    /// Where.
    pub reached: RelayAddress,
    pub clients: Clients,
    pub hooks: Hooks,
    /// What own tokens are signed with.
    pub keys: crate::auth::Keys,
}

/// Runs a relay until it is told to stop.
#[expect(clippy::disallowed_methods, reason = "the one place that owns tasks: each set is joined when the relay stops")]
pub async fn serve(config: Config, on_listening: OnListening<'_>) -> anyhow::Result<()> {
    stop::survive_full_files()?;
    let mut signals = stop::Signals::catch()?;
    let directory = DataDirectory::open(&config.data)?;
    directory.keys()?;
    directory.admin_token(config.admin_token.clone())?;
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION"));
    let store = match directory.hold(options::store(&config, &directory, &metrics)?)? {
        StoreOwner::Local(store) => store,
        StoreOwner::Remote(_) => return Err(OpenError::Locked(directory.database()).into()),
    };

    // Everything that can be in the way is tried before anything is said.
    let public = bind(config.listen, "--listen")?;
    let private = bind(config.admin_listen, "--admin-listen")?;
    let reached = RelayAddress {
        pid: std::process::id(),
        listen: public.local_addr()?,
        admin: private.local_addr()?,
        public_url: config.public_url(public.local_addr()?),
    };

    // The tail is taken before the first follower can join, so the hub misses nothing that the head does not cover.
    let tail = store.log.tail();
    let opened = Opened { store: &store, metrics: &metrics, public_url: reached.public_url.clone() };
    let Router { context, hub, delivery, clients, hooks, keys } = router::build(&config, &directory, opened)?;

    let (stream_workers, workers) = StreamWorkers::new(options::stream_threads(), config.write_timeout);
    let (ending, mut thread_ended) = mpsc::channel(1);
    let thread = |(number, worker)| stream_thread(number, worker, ThreadEndSignal(ending.clone()));
    let threads = workers.into_iter().enumerate().map(thread).collect::<std::io::Result<Vec<_>>>()?;
    let stop_public = CancellationToken::new();
    let stop_deliveries = CancellationToken::new();
    let stop_rest = CancellationToken::new();
    let server = |stop: &CancellationToken, workers: StreamWorkers, options| Server {
        options,
        workers,
        stop: stop.clone(),
        metrics: metrics.clone(),
    };
    let origins = options::origins(&config);
    let public_service = RequestMiddleware::new(http::Address::Public.filter(&context), origins, metrics.clone());
    let admin_service =
        RequestMiddleware::new(http::Address::Admin.filter(&context), http::Origins::Only(Vec::new()), metrics.clone());

    let mut public_task = JoinSet::new();
    public_task.spawn(server(&stop_public, stream_workers, options::server(&config)).run(public, public_service));
    let mut deliveries = JoinSet::new();
    deliveries.spawn(named("deliveries", DeliveryWorker::new(delivery).run(stop_deliveries.clone())));
    let mut rest = JoinSet::new();
    // The admin address has no streams: these workers are never run.
    let admin_server =
        server(&stop_rest, StreamWorkers::new(1, config.write_timeout).0, options::admin_server(&config));
    rest.spawn(named("admin server", admin_server.run(private, admin_service)));
    rest.spawn(named("dispatcher", dispatch(hub.clone(), metrics.clone(), tail)));
    rest.spawn(named("housekeeping", housekeeping(store.clone(), context, metrics.clone(), stop_rest.clone())));

    directory.announce(&reached)?;
    tracing::info!(listen = %reached.listen, admin = %reached.admin, data = %config.data.display(), "the relay listens");
    let mut companions = JoinSet::new();
    let companion = on_listening(Listening { reached, clients, hooks, keys }).await?;
    companions.spawn(companion.unwrap_or_else(|| Box::pin(std::future::pending())));

    let ended = tokio::select! {
        signal = signals.next() => { tracing::info!(signal, "stopping"); None }
        Some(name) = thread_ended.recv() => Some(name),
        Some(_) = public_task.join_next() => Some("public server"),
        Some(_) = deliveries.join_next() => Some("deliveries"),
        Some(name) = rest.join_next() => Some(name.unwrap_or("task that panicked")),
        Some(outcome) = companions.join_next() => { outcome??; Some("companion") }
    };
    companions.abort_all();
    directory.withdraw();
    let order = stop::Order {
        stop_public,
        public: public_task,
        hub,
        stop_deliveries,
        deliveries,
        threads,
        store,
        stop_rest,
        rest,
    };
    order.run(config.grace).await;
    match ended {
        Some(name) => bail!("the {name} ended early: see the log above"),
        None => Ok(()),
    }
}

/// Listens, or says what to do.
fn bind(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    listen(address).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            anyhow::anyhow!("port {} is in use: choose another with {flag}", address.port())
        }
        _ => anyhow::Error::from(error).context(format!("{address} cannot be listened on: choose another with {flag}")),
    })
}

/// Tells, when it is dropped, that a thread of the streams has ended: by itself, with an error or with a panic.
struct ThreadEndSignal(mpsc::Sender<&'static str>);

impl Drop for ThreadEndSignal {
    fn drop(&mut self) {
        // Full means that another one has told already; closed, that the relay is stopping.
        let (Ok(()) | Err(_)) = self.0.try_send("thread of the streams");
    }
}

fn stream_thread(
    number: usize,
    worker: StreamWorker,
    ending: ThreadEndSignal,
) -> std::io::Result<std::thread::JoinHandle<std::io::Result<()>>> {
    std::thread::Builder::new().name(format!("streams-{number}")).spawn(move || {
        let ended = worker.run();
        if let Err(error) = &ended {
            tracing::error!(%error, "a thread of the streams failed");
        }
        drop(ending);
        ended
    })
}

async fn named(name: &'static str, task: impl Future<Output = ()>) -> &'static str {
    task.await;
    name
}

/// Clears away what is old, bit by bit, until the relay stops.
async fn housekeeping(store: Store, context: Arc<http::Context>, metrics: Metrics, stop: CancellationToken) {
    let mut tick = tokio::time::interval(HOUSEKEEPING);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        context.sweep();
        match store.log.prune(Timestamp::now()).await {
            Ok(pruned) => {
                metrics.pruned_events.inc_by(pruned);
            }
            Err(error) => tracing::warn!(%error, "old events could not be cleared away"),
        }
    }
}
