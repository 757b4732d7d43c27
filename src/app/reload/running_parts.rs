//! The parts of a running relay whose settings can be replaced.

use std::sync::Arc;

use crate::app::data::{DataDirectory, RelayAddress};
use crate::app::parts;
use crate::app::server_settings::{ServerSettings, expects_proxy_header};
use crate::auth::{IssuerReplacement, Issuers};
use crate::config::Config;
use crate::delivery::DeliveryHandle;
use crate::delivery::http_client::{ReplaceableClient, ReqwestClient};
use crate::http;
use crate::http::transport::tls::{LoadedTls, Tls};
use crate::store::Store;
use crate::stream::Streams;
use crate::stream::hub::Hub;

pub(in crate::app) struct RunningParts {
    pub(in crate::app) servers: ServerSettings,
    pub(in crate::app) context: Arc<http::Context>,
    pub(in crate::app) hub: Hub,
    pub(in crate::app) streams: Streams,
    pub(in crate::app) delivery: DeliveryHandle,
    pub(in crate::app) http_client: ReplaceableClient,
    pub(in crate::app) issuers: Issuers,
    pub(in crate::app) store: Store,
    pub(in crate::app) tls: Option<Tls>,
    pub(in crate::app) directory: DataDirectory,
    pub(in crate::app) address: RelayAddress,
}

impl RunningParts {
    /// Uses what was read from files. Streams whose token is no longer accepted end.
    pub(super) fn replace_files(
        &self,
        issuers: IssuerReplacement,
        tls: Option<LoadedTls>,
        http_client: Option<ReqwestClient>,
    ) {
        if let Some((present, loaded)) = self.tls.as_ref().zip(tls) {
            present.replace(loaded);
        }
        // Before the issuers, whose key sets it fetches.
        if let Some(client) = http_client {
            self.http_client.replace(client);
        }
        if self.issuers.replace(issuers) {
            self.hub.wake();
        }
    }

    /// Puts the limits of `new` in place of those of `before`.
    pub(super) async fn set_limits(&self, before: &Config, new: &Config) {
        self.servers.replace(new);
        self.tell_commands(before, new);
        self.context.set_limits(parts::request_limits(new), parts::failed_token_limit(new));
        self.hub.set_limits(parts::follower_limits(new));
        self.streams.set_idle_interval(new.idle_interval);
        let options = parts::delivery_options(new);
        if options != parts::delivery_options(before) {
            self.delivery.set_options(options).await;
        }
        let retention = parts::retention(new);
        if retention != parts::retention(before)
            && let Err(error) = self.store.maintenance.set_retention(retention).await
        {
            tracing::warn!(%error, "the limits of the history are not changed: the store is closed");
        }
    }

    /// Commands of this machine connect as the relay now expects it.
    fn tell_commands(&self, before: &Config, new: &Config) {
        let proxy_header = expects_proxy_header(new, self.address.listen);
        if proxy_header == expects_proxy_header(before, self.address.listen) {
            return;
        }
        if let Err(error) = self.directory.write_address_file(&RelayAddress { proxy_header, ..self.address.clone() }) {
            tracing::warn!(%error, "commands of this machine cannot reach the relay until it is started again");
        }
    }
}
