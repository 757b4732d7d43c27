//! How a command gets at the clients and hooks of a data directory: through the relay that has it, or by opening the
//! store itself when none runs.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use reqwest::Method;
use serde_json::Value;

use crate::app::data::{DataDirectory, StoreOwner};
use crate::app::options::{bare_store, delivery, http_client};
use crate::auth::{Scope, Scopes};
use crate::config::Config;
use crate::delivery::DeliveryHandle;
use crate::delivery::http_client::ReqwestClient;
use crate::domain::{ClientId, Timestamp};
use crate::manage::Notifications;
use crate::metrics::Metrics;
use crate::store::Store;

/// Finds who answers for the data directory.
pub(super) fn reach(config: &Config) -> anyhow::Result<StoreOwner> {
    let directory = DataDirectory::open(&config.data)?;
    Ok(directory.hold(bare_store(config, &directory)?)?)
}

/// An error that says what to do, unless there is this client.
pub(super) async fn require(holder: &StoreOwner, client: &ClientId, config: &Config) -> anyhow::Result<()> {
    let known = match holder {
        StoreOwner::Local(store) => store.registry.client(client).is_some(),
        StoreOwner::Remote(reached) => {
            let url = format!("http://{}/admin/clients", reached.admin);
            let list = ask(Method::GET, &url, &admin_token(config)?, None).await?;
            let clients = list["clients"].as_array().context("the relay's list of clients is not one")?;
            clients.iter().any(|c| c["clientId"] == client.as_str())
        }
    };
    ensure!(known, "there is no client {client}: docrelay client add {client}");
    Ok(())
}

/// Who answers for one client: what the commands about notifications and deliveries stand on.
pub(super) struct Desk<'a> {
    pub(super) holder: StoreOwner,
    config: &'a Config,
    client: &'a ClientId,
}

impl<'a> Desk<'a> {
    /// Finds it; an error that says what to do, unless there is this client.
    pub(super) async fn find(config: &'a Config, client: &'a ClientId) -> anyhow::Result<Self> {
        let holder = reach(config)?;
        require(&holder, client, config).await?;
        Ok(Self { holder, config, client })
    }

    /// A token by which a running relay knows the client, good for this one command.
    pub(super) fn token(&self) -> anyhow::Result<String> {
        let keys = DataDirectory::open(&self.config.data)?.keys()?;
        Ok(keys.issue(self.client, &Scopes::from(Scope::Manage), Duration::from_secs(60), Timestamp::now())?)
    }

    /// The use cases over a store that no relay has.
    pub(super) fn notifications(&self, store: &Store) -> anyhow::Result<Notifications> {
        let http_client = ReqwestClient::new(http_client(self.config))?;
        let metrics = Metrics::new(env!("CARGO_PKG_VERSION"));
        let delivery = DeliveryHandle::new(store.clone(), Arc::new(http_client), delivery(self.config), metrics);
        Ok(Notifications::new(store.registry.clone(), delivery))
    }
}

/// The admin token as text, to be presented to a running relay.
pub(super) fn admin_token(config: &Config) -> anyhow::Result<String> {
    let token = DataDirectory::open(&config.data)?.admin_token(config.admin_token.clone())?;
    Ok(token.expose().to_owned())
}

/// Asks a running relay; the answer's JSON, or the problem's detail as an error.
pub(super) async fn ask(method: Method, url: &str, token: &str, body: Option<&Value>) -> anyhow::Result<Value> {
    let client = super::http_client(|client| client.timeout(super::PATIENCE))?;
    let mut request = client.request(method, url).bearer_auth(token);
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let response = request.send().await.context("the relay that has the data directory does not answer")?;
    let status = response.status();
    let text = response.text().await?;
    let answer: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    if !status.is_success() {
        // Problems have a detail, Baidu's errors a message.
        let detail = answer["detail"].as_str().or_else(|| answer["message"].as_str());
        let detail = detail.map_or_else(|| status.to_string(), str::to_owned);
        bail!("{detail}");
    }
    Ok(answer)
}
