//! An HTTP client whose settings can be replaced: a request is finished by the client with which it began.

use futures::future::BoxFuture;

use super::{HttpClientOptions, ReqwestClient, SetupError};
use crate::auth::{KeySetClient, KeySetDocument, KeySetUnavailable};
use crate::delivery::{ForbiddenEndpoint, HttpClient, HttpExchange};
use crate::domain::Reloadable;
use crate::vendor::OutgoingRequest;

/// A client with the present settings. Cheap to clone; all clones share it.
#[derive(Clone)]
pub struct ReplaceableClient(Reloadable<ReqwestClient>);

impl ReplaceableClient {
    /// Sets the client up; opens no connection.
    ///
    /// # Errors
    ///
    /// [`SetupError`] if TLS cannot be set up.
    pub fn new(options: HttpClientOptions) -> Result<Self, SetupError> {
        Ok(Self(Reloadable::new(ReqwestClient::new(options)?)))
    }

    /// Requests that begin from now on use this client.
    pub fn replace(&self, client: ReqwestClient) {
        self.0.replace(client);
    }
}

impl HttpClient for ReplaceableClient {
    fn check<'a>(&'a self, endpoint: &'a str) -> BoxFuture<'a, Result<(), ForbiddenEndpoint>> {
        let client = self.0.load();
        Box::pin(async move { client.check(endpoint).await })
    }

    fn check_url(&self, endpoint: &str) -> Result<(), ForbiddenEndpoint> {
        self.0.read(|client| client.check_url(endpoint))
    }

    fn exchange(&self, request: OutgoingRequest) -> BoxFuture<'_, HttpExchange> {
        let client = self.0.load();
        Box::pin(async move { client.exchange(request).await })
    }
}

impl KeySetClient for ReplaceableClient {
    fn fetch_key_set<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<KeySetDocument, KeySetUnavailable>> {
        let client = self.0.load();
        Box::pin(async move { client.fetch_key_set(url).await })
    }
}
