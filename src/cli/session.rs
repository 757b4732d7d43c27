//! Sends the requests of the management commands to the relay that uses the data directory. If none is running, the
//! command opens the store and calls the same routes in process.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use reqwest::{ClientBuilder, Method, StatusCode};
use serde_json::Value;

use super::io::print;
use super::proxy_forwarder::ProxyForwarder;
use super::small_runtime;
use crate::app::data::{DataDirectory, RelayAddress, StoreOwner};
use crate::app::parts::{self, Opened, bare_store_options};
use crate::auth::{Keys, Scope, Scopes};
use crate::config::Config;
use crate::domain::{ClientId, ClientRef, Timestamp};
use crate::http::{self, Address};
use crate::metrics::Metrics;
use crate::store::Store;

/// Validity of the token of one command.
const TOKEN_TTL: Duration = Duration::from_secs(60);

/// A request of a command: method, path with query, and a JSON body.
pub(super) struct ApiRequest {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<Value>,
}

impl ApiRequest {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), body: None }
    }

    pub(super) fn delete(path: impl Into<String>) -> Self {
        Self { method: Method::DELETE, path: path.into(), body: None }
    }

    pub(super) fn patch(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::PATCH, path: path.into(), body: Some(body) }
    }

    pub(super) fn post(path: impl Into<String>, body: Option<Value>) -> Self {
        Self { method: Method::POST, path: path.into(), body }
    }
}

/// Whose token a request has.
#[derive(Clone, Copy)]
pub(super) enum Caller<'a> {
    Admin,
    Client(&'a ClientId),
}

/// The relay of a data directory, as the commands see it.
pub(super) struct Session {
    relay: Relay,
    pub(super) keys: Keys,
    admin_token: String,
    /// Between this command and the public address, if that expects the PROXY protocol.
    forwarder: Option<ProxyForwarder>,
}

enum Relay {
    /// A running relay.
    Remote(RelayAddress, reqwest::Client),
    /// The routes over a store that this process has opened.
    InProcess(Arc<http::Context>, Store),
}

/// Runs a command with a session. A store that was opened for it is closed in any case.
pub(super) fn with_session<T>(
    config: &Config,
    command: impl AsyncFnOnce(&Session) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    small_runtime()?.block_on(async {
        let session = Session::open(config).await?;
        let outcome = match &session.forwarder {
            None => command(&session).await,
            Some(forwarder) => tokio::select! {
                outcome = command(&session) => outcome,
                ended = forwarder.run() => {
                    let Err(error) = ended;
                    Err(error).context("cannot forward to the relay")
                }
            },
        };
        if let Relay::InProcess(_, store) = session.relay {
            store.maintenance.close().await;
        }
        outcome
    })
}

impl Session {
    async fn open(config: &Config) -> anyhow::Result<Self> {
        let directory = DataDirectory::open(&config.data)?;
        let admin_token = directory.admin_token(config.admin_token.clone())?.expose().to_owned();
        Ok(match directory.open_store(bare_store_options(config, &directory)?)? {
            StoreOwner::Remote(mut address) => {
                let forwarder = match address.proxy_header {
                    true => Some(ProxyForwarder::bind(address.listen).await?),
                    false => None,
                };
                if let Some(forwarder) = &forwarder {
                    address.listen = forwarder.address()?;
                }
                Self { forwarder, ..Self::remote(&directory, address, admin_token)? }
            }
            StoreOwner::Local(store) => {
                let metrics = Metrics::new(env!("CARGO_PKG_VERSION"));
                let public_url = config.public_url(config.listen);
                let opened = Opened { store: &store, metrics: &metrics, public_url, cluster: None, reload: None };
                let parts = parts::build(config, &directory, opened)?;
                let relay = Relay::InProcess(parts.context, store);
                Self { relay, keys: parts.keys, admin_token, forwarder: None }
            }
        })
    }

    /// The relay that is running on the data directory, for calls to its admin address.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn running(config: &Config) -> anyhow::Result<Self> {
        let directory = DataDirectory::open(&config.data)?;
        let address = directory.running_relay()?;
        let admin_token = directory.admin_token(config.admin_token.clone())?.expose().to_owned();
        Self::remote(&directory, address, admin_token)
    }

    fn remote(directory: &DataDirectory, address: RelayAddress, admin_token: String) -> anyhow::Result<Self> {
        // The certificate names the public host, and the command calls an address of this machine, which it has from
        // the relay's data directory.
        let certificates = |client: ClientBuilder| client.tls_danger_accept_invalid_certs(address.tls);
        let client = super::http_client(|client| certificates(client).timeout(super::RESPONSE_TIMEOUT))?;
        Ok(Self { relay: Relay::Remote(address, client), keys: directory.keys()?, admin_token, forwarder: None })
    }

    /// Sends a request with the admin token to the admin address. Returns the JSON of a successful response; the detail
    /// of any other is the error.
    pub(super) async fn as_admin(&self, request: ApiRequest) -> anyhow::Result<Value> {
        let (status, body) = self.send(Address::Admin, &self.admin_token, request).await?;
        json_of(status, &body)
    }

    /// The same with a token of the client to the public address. Fails if there is no such client.
    pub(super) async fn as_client(&self, client: &ClientId, request: ApiRequest) -> anyhow::Result<Value> {
        let client = self.require_client(client).await?;
        let token = self.keys.issue(&client, &Scopes::from(Scope::Manage), TOKEN_TTL, Timestamp::now())?;
        let (status, body) = self.send(Address::Public, &token, request).await?;
        json_of(status, &body)
    }

    /// The pages of the list at `path`, which may have a query. `member` is the array in each response.
    pub(super) fn pages<'a>(&'a self, caller: Caller<'a>, path: &'a str, member: &'a str) -> Pages<'a> {
        Pages { session: self, caller, path, member, next: Some(path.to_owned()) }
    }

    /// The client of this id. Fails if there is none; the error names the command that adds it.
    pub(super) async fn require_client(&self, client: &ClientId) -> anyhow::Result<ClientRef> {
        let request = ApiRequest::get(format!("/admin/clients/{client}"));
        let (status, body) = self.send(Address::Admin, &self.admin_token, request).await?;
        if status == StatusCode::NOT_FOUND {
            bail!("there is no client {client}: docrelay client add {client}");
        }
        let known = json_of(status, &body)?;
        let created = known["createTime"].as_str().and_then(Timestamp::parse);
        let created = created.context("the response of the relay has no creation time of the client")?;
        Ok(ClientRef { id: client.clone(), created })
    }

    async fn send(&self, address: Address, token: &str, request: ApiRequest) -> anyhow::Result<(StatusCode, Bytes)> {
        let ApiRequest { method, path, body } = request;
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        Ok(match &self.relay {
            Relay::Remote(relay, client) => {
                let (scheme, host) = match address {
                    Address::Admin => ("http", relay.admin),
                    Address::Public => (if relay.tls { "https" } else { "http" }, relay.listen),
                };
                let request = client.request(method, format!("{scheme}://{host}{path}")).bearer_auth(token);
                let request = request.header("content-type", "application/json").body(body);
                let response =
                    request.send().await.context("the relay that holds the data directory does not respond")?;
                (response.status(), response.bytes().await?)
            }
            Relay::InProcess(context, _) => {
                let request = ::http::Request::builder().method(method).uri(path);
                let request = request.header("authorization", format!("Bearer {token}"));
                let response = address.call(context, request.body(Bytes::from(body))?).await.map_err(|e| anyhow!(e))?;
                let (head, body) = response.into_parts();
                (head.status, body)
            }
        })
    }
}

/// The JSON of a successful response; the detail of any other is the error.
fn json_of(status: StatusCode, body: &[u8]) -> anyhow::Result<Value> {
    let json: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    if status.is_success() {
        return Ok(json);
    }
    // Problems have a detail, Baidu's errors a message.
    let detail = json["detail"].as_str().or_else(|| json["message"].as_str());
    let detail = detail.map_or_else(|| status.to_string(), str::to_owned);
    Err(StatusError { status, detail }.into())
}

/// A response that is not successful.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub(super) struct StatusError {
    pub(super) status: StatusCode,
    detail: String,
}

/// Sends a request with a token of the client, and prints the response.
pub(super) fn print_response(config: &Config, client: &ClientId, request: ApiRequest) -> anyhow::Result<()> {
    let response = with_session(config, async |s| s.as_client(client, request).await)?;
    print(&response.to_string())
}

/// The pages of a list of the API. Only one page is in memory at a time.
pub(super) struct Pages<'a> {
    session: &'a Session,
    caller: Caller<'a>,
    path: &'a str,
    member: &'a str,
    /// Where the next page is; `None` after the last one.
    next: Option<String>,
}

impl Pages<'_> {
    /// The items of the next page; `None` after the last page.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Vec<Value>>> {
        let Some(path) = self.next.take() else { return Ok(None) };
        let request = ApiRequest::get(path);
        let mut page = match self.caller {
            Caller::Admin => self.session.as_admin(request).await?,
            Caller::Client(client) => self.session.as_client(client, request).await?,
        };
        self.next = page["next"].as_str().map(|cursor| path_of_page(self.path, cursor));
        match page.get_mut(self.member).map(Value::take) {
            Some(Value::Array(items)) => Ok(Some(items)),
            _ => bail!("the response of the relay has no {}", self.member),
        }
    }

    /// Prints all items, one per line.
    pub(super) async fn print(mut self) -> anyhow::Result<()> {
        while let Some(items) = self.next().await? {
            items.iter().try_for_each(|item| print(&item.to_string()))?;
        }
        Ok(())
    }
}

/// The path of the page at a cursor; `path` may have a query.
fn path_of_page(path: &str, cursor: &str) -> String {
    let separator = if path.contains('?') { '&' } else { '?' };
    format!("{path}{separator}cursor={cursor}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_is_added_to_path_with_and_without_query() {
        assert_eq!(path_of_page("/hooks", "7"), "/hooks?cursor=7");
        assert_eq!(path_of_page("/deliveries?limit=2&state=dead", "7"), "/deliveries?limit=2&state=dead&cursor=7");
    }
}
