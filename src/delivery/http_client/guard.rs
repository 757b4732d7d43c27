//! Decides which endpoints may be called: checks the URL, and every address that its host resolves to. It is reqwest's
//! resolver, so the checked addresses are the ones that are connected to. Opens no connection.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::ranges::AddressRanges;
use crate::delivery::ForbiddenEndpoint;

/// Resolves host names: the system's resolver, or that of a test.
pub(super) trait Resolver: Send + Sync {
    /// All addresses of the host.
    fn look_up(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The system's resolver. A lookup whose future was dropped occupies a blocking thread of tokio until the system's own
/// timeout.
pub(super) struct SystemResolver;

impl Resolver for SystemResolver {
    fn look_up(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let host = host.to_owned();
        Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.map(|found| found.ip()).collect()) })
    }
}

/// Why a host name has no address to connect to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum AddressError {
    /// At least one of its addresses is forbidden.
    #[error(transparent)]
    Forbidden(#[from] ForbiddenEndpoint),
    #[error("the name {0} could not be resolved")]
    Unresolved(String),
}

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct EndpointGuard {
    ranges: Arc<AddressRanges>,
    resolver: Arc<dyn Resolver>,
}

impl EndpointGuard {
    pub(super) fn new(ranges: AddressRanges, resolver: Arc<dyn Resolver>) -> Self {
        Self { ranges: Arc::new(ranges), resolver }
    }

    /// Checks a URL without resolving its host. Required before each request, not only when the endpoint is registered:
    /// a host that is an IP address does not reach the resolver.
    ///
    /// # Errors
    ///
    /// [`ForbiddenEndpoint`] says what to change.
    pub(super) fn check_url(&self, endpoint: &str) -> Result<Url, ForbiddenEndpoint> {
        // reqwest uses the same parser: decimal, octal and hexadecimal spellings, full-width digits and brackets are
        // normalized before the check.
        let url = Url::parse(endpoint).map_err(|e| ForbiddenEndpoint(format!("the address is not a URL: {e}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ForbiddenEndpoint("the address must begin with http:// or https://".to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ForbiddenEndpoint("the address must not hold a user name or password: use a token".to_owned()));
        }
        match url.host() {
            Some(Host::Ipv4(address)) => self.check_addresses(&address.to_string(), &[address.into()])?,
            Some(Host::Ipv6(address)) => self.check_addresses(&format!("[{address}]"), &[address.into()])?,
            // RFC 6761: these names mean the machine itself, whatever the resolver returns.
            Some(Host::Domain(name)) if is_localhost(name) => {
                self.check_addresses(name, &[Ipv4Addr::LOCALHOST.into()])?
            }
            Some(Host::Domain(_)) => {}
            None => return Err(ForbiddenEndpoint("the address has no host".to_owned())),
        }
        Ok(url)
    }

    /// Resolves a host. One forbidden address forbids the host: any of several may be connected to.
    pub(super) async fn resolve_allowed(&self, host: &str) -> Result<Vec<IpAddr>, AddressError> {
        let found = self.resolver.look_up(host).await.unwrap_or_default();
        if found.is_empty() {
            return Err(AddressError::Unresolved(host.to_owned()));
        }
        self.check_addresses(host, &found)?;
        Ok(found)
    }

    /// The error names the host and the kind of range, never the resolved address: a client that registers endpoints
    /// must not learn the addresses of the operator's network.
    fn check_addresses(&self, host: &str, addresses: &[IpAddr]) -> Result<(), ForbiddenEndpoint> {
        let Some((address, range)) = addresses.iter().find_map(|a| Some((a, self.ranges.forbidden_range(*a)?))) else {
            return Ok(());
        };
        tracing::debug!(host, %address, range, "forbidden endpoint address");
        Err(ForbiddenEndpoint(format!(
            "{host} is not a public address ({range}): use allow_private_endpoints to open a range"
        )))
    }
}

impl Resolve for EndpointGuard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let allowed = guard.resolve_allowed(name.as_str()).await?;
            // Port 0 means the port of the URL.
            Ok(Box::new(allowed.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost")
}
