//! Who may be called: judges the address as it is written, and every address that a name stands for. As reqwest's
//! resolver it hands out the addresses it has judged, so that what is dialled is what was looked at. Opens no connection.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::ranges::Ranges;
use crate::delivery::ForbiddenEndpoint;

/// Where the addresses of a name come from: the system, or a test.
pub(super) trait Names: Send + Sync {
    /// Every address that the name has now.
    fn look_up(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The system's resolver. A lookup that nobody waits for any more still holds one of tokio's blocking threads until the
/// system gives up; as many are under way as there are exchanges, and a few more for each deadline that has passed.
pub(super) struct SystemNames;

impl Names for SystemNames {
    fn look_up(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let host = host.to_owned();
        Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.map(|found| found.ip()).collect()) })
    }
}

/// Why a name leads to no address that may be dialled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Closed {
    /// At least one of its addresses is closed.
    #[error(transparent)]
    ForbiddenEndpoint(#[from] ForbiddenEndpoint),
    /// It has no addresses.
    #[error("the name {0} could not be resolved")]
    Unresolved(String),
}

/// A cheap handle to the rules.
#[derive(Clone)]
pub(super) struct Guard {
    ranges: Arc<Ranges>,
    names: Arc<dyn Names>,
}

impl Guard {
    pub(super) fn new(ranges: Ranges, names: Arc<dyn Names>) -> Self {
        Self { ranges: Arc::new(ranges), names }
    }

    /// Judges an address as it is written. This must happen on each call, not only when the address is registered: a
    /// host that is an IP address never reaches the resolver, where names are judged.
    pub(super) fn admit(&self, endpoint: &str) -> Result<Url, ForbiddenEndpoint> {
        // What `url` reads is what reqwest dials: one parser for both, so decimal, octal and hexadecimal spellings,
        // full-width digits and brackets are all normal form by the time they are judged.
        let url = Url::parse(endpoint).map_err(|e| ForbiddenEndpoint(format!("the address is not a URL: {e}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ForbiddenEndpoint("the address must begin with http:// or https://".to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ForbiddenEndpoint("the address must not hold a user name or password: use a token".to_owned()));
        }
        match url.host() {
            Some(Host::Ipv4(address)) => self.judge(&address.to_string(), &[address.into()])?,
            Some(Host::Ipv6(address)) => self.judge(&format!("[{address}]"), &[address.into()])?,
            // RFC 6761: these names are the machine itself, whatever a resolver makes of them.
            Some(Host::Domain(name)) if is_localhost(name) => self.judge(name, &[Ipv4Addr::LOCALHOST.into()])?,
            Some(Host::Domain(_)) => {}
            None => return Err(ForbiddenEndpoint("the address has no host".to_owned())),
        }
        Ok(url)
    }

    /// The addresses of a name, all of them judged. One that is closed closes the name: which of several is dialled is
    /// up to the network.
    pub(super) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Closed> {
        let found = self.names.look_up(host).await.unwrap_or_default();
        if found.is_empty() {
            return Err(Closed::Unresolved(host.to_owned()));
        }
        self.judge(host, &found)?;
        Ok(found)
    }

    /// The refusal names the host and the kind of range, never the address behind a name: a client that may register
    /// endpoints must not learn from refusals how the operator's network is numbered.
    fn judge(&self, host: &str, addresses: &[IpAddr]) -> Result<(), ForbiddenEndpoint> {
        let Some((address, range)) = addresses.iter().find_map(|a| Some((a, self.ranges.closed(*a)?))) else {
            return Ok(());
        };
        tracing::debug!(host, %address, range, "a closed address is not called");
        Err(ForbiddenEndpoint(format!(
            "{host} is not a public address ({range}): use allow_private_endpoints to open a range"
        )))
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let judged = guard.addresses(name.as_str()).await?;
            // Port 0 stands for the port of the URL.
            Ok(Box::new(judged.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost")
}
