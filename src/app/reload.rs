//! Reload of the configuration while the relay runs: everything that can fail is prepared first, then the new settings
//! are put in place, so that a configuration that cannot be used changes nothing. One task serves SIGHUP and `POST
//! /admin/reload`.

mod running_parts;

use std::sync::Arc;

use anyhow::Context;
use futures::FutureExt;
use tokio::signal::unix::Signal;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::logging::LogLevel;
use super::parts;
use super::service_manager::Reloading;
use crate::auth::IssuerReplacement;
use crate::config::{Config, ConfigChanges, ConfigSource};
use crate::delivery::http_client::ReqwestClient;
use crate::domain::Reloadable;
use crate::http::transport::tls::{self, LoadedTls};
use crate::http::{ReloadConfig, ReloadError, ReloadReport};
use crate::metrics::{Metrics, ReloadOutcome};

pub(super) use running_parts::RunningParts;

/// Requests that may wait for the task. While the channel is full, they wait in their handlers.
const MAX_WAITING_REQUESTS: usize = 8;

/// The configuration of this process: what runs, and where it is read again.
#[derive(Clone)]
pub struct ProcessConfig {
    source: ConfigSource,
    /// The configuration with the settings that the last reload has applied.
    running: Reloadable<Config>,
    log_level: LogLevel,
}

impl ProcessConfig {
    /// `config` was loaded from `source`.
    pub fn new(source: ConfigSource, config: Config, log_level: LogLevel) -> Self {
        Self { source, running: Reloadable::new(config), log_level }
    }

    pub(super) fn running(&self) -> Arc<Config> {
        self.running.load()
    }
}

type Reply = oneshot::Sender<Result<ReloadReport, ReloadError>>;

/// The channel from the handlers of the admin address to the task.
pub(super) struct ReloadRequests {
    sender: mpsc::Sender<Reply>,
    receiver: mpsc::Receiver<Reply>,
}

impl ReloadRequests {
    pub(super) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(MAX_WAITING_REQUESTS);
        Self { sender, receiver }
    }

    /// What a handler calls. A reload goes on when its request is cancelled.
    pub(super) fn handle(&self) -> ReloadConfig {
        let sender = self.sender.clone();
        Arc::new(move || {
            let sender = sender.clone();
            async move {
                let (reply, result) = oneshot::channel();
                sender.send(reply).await.map_err(|_| ReloadError::Stopping)?;
                result.await.unwrap_or(Err(ReloadError::Stopping))
            }
            .boxed()
        })
    }
}

/// The task that reloads.
pub(super) struct Reloader {
    pub(super) process: ProcessConfig,
    pub(super) parts: RunningParts,
    pub(super) requests: ReloadRequests,
    pub(super) metrics: Metrics,
}

/// A configuration with everything that was read for it.
struct PreparedConfig {
    config: Config,
    changes: ConfigChanges,
    issuers: IssuerReplacement,
    /// `None` without TLS.
    tls: Option<LoadedTls>,
    /// `None` if its options are the same.
    http_client: Option<ReqwestClient>,
}

impl Reloader {
    /// Reloads at each SIGHUP and each request, until `stop` is cancelled.
    pub(super) async fn run(mut self, hangup: Arc<Mutex<Signal>>, stop: CancellationToken) {
        let mut hangup = hangup.lock().await;
        loop {
            let reply = tokio::select! {
                () = stop.cancelled() => return,
                Some(()) = hangup.recv() => None,
                Some(reply) = self.requests.receiver.recv() => Some(reply),
            };
            let Some(result) = stop.run_until_cancelled(self.reload()).await else { return };
            if let Some(reply) = reply {
                // The request may have been cancelled.
                reply.send(result).ok();
            }
        }
    }

    async fn reload(&self) -> Result<ReloadReport, ReloadError> {
        let reloading = Reloading::begin();
        let prepared = match self.prepare().await {
            Ok(prepared) => prepared,
            Err(error) => {
                let error = format!("{error:#}");
                self.metrics.config_reloads.inc(ReloadOutcome::Refused);
                tracing::error!(error, "configuration not reloaded: the running settings stay in effect");
                reloading.end(format!("configuration not reloaded: {error}"));
                return Err(ReloadError::Invalid(error));
            }
        };
        let ConfigChanges { applied, need_restart } = prepared.changes.clone();
        self.apply(prepared).await;
        self.metrics.config_reloads.inc(ReloadOutcome::Applied);
        tracing::info!(changed = applied.join(","), "configuration reloaded");
        if !need_restart.is_empty() {
            let keys = need_restart.join(",");
            tracing::warn!(keys, "changed settings need a restart: the running ones stay in effect");
        }
        reloading.end("configuration reloaded".to_owned());
        Ok(ReloadReport { changed: applied, needs_restart: need_restart })
    }

    /// Reads the configuration and all files that it names. Changes nothing.
    async fn prepare(&self) -> anyhow::Result<PreparedConfig> {
        let (source, running) = (self.process.source.clone(), self.process.running());
        let (issuers, before) = (self.parts.issuers.clone(), running.clone());
        // A file may be on a network file system that hangs.
        let read = tokio::task::spawn_blocking(move || {
            let (config, changes) = source.reload(&before)?;
            let issuers = issuers.prepare(config.issuers.clone())?;
            anyhow::Ok((config, changes, issuers))
        });
        let (config, changes, issuers) = read.await.context("the task that reads the configuration ended")??;
        let tls = match &config.tls {
            Some(files) => Some(tls::load(files.clone()).await?),
            None => None,
        };
        let options = parts::http_client_options(&config);
        let is_same = options == parts::http_client_options(&running);
        let http_client = if is_same { None } else { Some(ReqwestClient::new(options)?) };
        Ok(PreparedConfig { config, changes, issuers, tls, http_client })
    }

    async fn apply(&self, prepared: PreparedConfig) {
        let PreparedConfig { config, issuers, tls, http_client, .. } = prepared;
        let before = self.process.running();
        self.process.running.replace(config.clone());
        self.process.log_level.set(config.log_level);
        self.parts.replace_files(issuers, tls, http_client);
        self.parts.set_limits(&before, &config).await;
    }
}
