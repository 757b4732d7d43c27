//! Decides which endpoints may be called: checks the URL, and every address that its host resolves to, against the
//! ranges that are not on the public internet. It is reqwest's resolver, so the checked addresses are the ones that are
//! connected to. Opens no connection.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use futures::future::BoxFuture;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::delivery::ForbiddenEndpoint;

/// Resolves host names: `dns`, or the resolver of a test.
pub(super) trait Resolver: Send + Sync {
    /// All addresses of the host.
    fn look_up(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
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

/// The check of endpoints. Cheap to clone.
#[derive(Clone)]
pub(super) struct EndpointGuard {
    ranges: Arc<AddressRanges>,
    resolver: Arc<dyn Resolver>,
}

impl EndpointGuard {
    /// `allowed` are ranges that may be called although they are not public.
    pub(super) fn new(allowed: Vec<IpNet>, resolver: Arc<dyn Resolver>) -> Self {
        Self { ranges: Arc::new(AddressRanges { allowed }), resolver }
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
            // RFC 6761: these names mean the machine itself, whatever the resolver returns. One opened address is
            // enough.
            Some(Host::Domain(name)) if is_localhost(name) => {
                let checked = self.check_addresses(name, &[Ipv4Addr::LOCALHOST.into()]);
                checked.or_else(|e| self.check_addresses(name, &[Ipv6Addr::LOCALHOST.into()]).map_err(|_| e))?;
            }
            Some(Host::Domain(_)) => {}
            None => return Err(ForbiddenEndpoint("the address has no host".to_owned())),
        }
        Ok(url)
    }

    /// Resolves a host. One forbidden address forbids the host: any of several may be connected to. `localhost` has its
    /// opened loopback addresses only.
    pub(super) async fn resolve_allowed(&self, host: &str) -> Result<Vec<IpAddr>, AddressError> {
        let mut found = self.resolver.look_up(host).await.unwrap_or_default();
        if is_localhost(host) {
            let opened = self.opened_loopback(&found);
            if !opened.is_empty() {
                return Ok(opened);
            }
            // The error names the range to open, if there is one.
            found.retain(|address| address.is_loopback());
        }
        if found.is_empty() {
            return Err(AddressError::Unresolved(host.to_owned()));
        }
        self.check_addresses(host, &found)?;
        Ok(found)
    }

    /// The resolver gives `localhost` the loopback addresses of both families, also where `/etc/hosts` and the system
    /// have one of them only. So an address that is not opened is left out, and does not forbid the other one.
    fn opened_loopback(&self, found: &[IpAddr]) -> Vec<IpAddr> {
        let is_opened = |address: &IpAddr| address.is_loopback() && self.ranges.forbidden_range(*address).is_none();
        found.iter().copied().filter(is_opened).collect()
    }

    /// Checks that the host is not an address outside the ranges that the operator has opened. [`OpenedRanges`] checks
    /// a name.
    ///
    /// # Errors
    /// [`ForbiddenEndpoint`]
    pub(super) fn check_opened(&self, url: &Url) -> Result<(), ForbiddenEndpoint> {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => address.into(),
            Some(Host::Ipv6(address)) => address.into(),
            Some(Host::Domain(_)) | None => return Ok(()),
        };
        self.check_all_opened(&[address])
    }

    /// The same for all addresses of a host.
    async fn resolve_opened(&self, host: &str) -> Result<Vec<IpAddr>, AddressError> {
        let allowed = self.resolve_allowed(host).await?;
        self.check_all_opened(&allowed)?;
        Ok(allowed)
    }

    fn check_all_opened(&self, addresses: &[IpAddr]) -> Result<(), ForbiddenEndpoint> {
        if addresses.iter().all(|address| self.ranges.allows(*address)) {
            return Ok(());
        }
        Err(ForbiddenEndpoint("http:// is for addresses that allow_private_endpoints opens: use https://".to_owned()))
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

/// A resolver that admits only ranges that the operator has opened, not the public internet.
pub(super) struct OpenedRanges(pub(super) EndpointGuard);

impl Resolve for OpenedRanges {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.0.clone();
        Box::pin(async move {
            let opened = guard.resolve_opened(name.as_str()).await?;
            Ok(Box::new(opened.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost")
}

/// The forbidden ranges without those that the operator allows.
#[derive(Debug)]
struct AddressRanges {
    /// An IPv4 range also allows the IPv6 addresses that embed its addresses.
    allowed: Vec<IpNet>,
}

impl AddressRanges {
    /// The name and source of the forbidden range that contains the address.
    fn forbidden_range(&self, address: IpAddr) -> Option<&'static str> {
        let embedded = match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(outer) => embedded(outer),
        };
        if self.allows(address) || embedded.is_some_and(|inner| self.allows(inner.into())) {
            return None;
        }
        match address {
            IpAddr::V4(address) => forbidden_v4(address),
            IpAddr::V6(outer) => embedded.and_then(forbidden_v4).or_else(|| forbidden_v6(outer)),
        }
    }

    fn allows(&self, address: IpAddr) -> bool {
        self.allowed.iter().any(|range| range.contains(&address))
    }
}

fn forbidden_v4(address: Ipv4Addr) -> Option<&'static str> {
    FORBIDDEN_V4.iter().find(|(range, _)| range.contains(&address)).map(|(_, name)| *name)
}

fn forbidden_v6(address: Ipv6Addr) -> Option<&'static str> {
    let named = FORBIDDEN_V6.iter().find(|(range, _)| range.contains(&address)).map(|(_, name)| *name);
    let public = [GLOBAL_UNICAST, MAPPED, NAT64].iter().any(|range| range.contains(&address));
    named.or((!public).then_some("not global unicast, RFC 4291"))
}

/// The IPv4 address that is embedded in an IPv6 address. `::` and `::1` embed none, although [`COMPATIBLE`] contains
/// them.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = address.to_bits();
    let of = |bits: u128| Some(Ipv4Addr::from_bits(u32::try_from(bits & u128::from(u32::MAX)).ok()?));
    if SIX_TO_FOUR.contains(&address) {
        of(bits >> 80)
    } else if bits > 1 && [MAPPED, COMPATIBLE, NAT64].iter().any(|range| range.contains(&address)) {
        of(bits)
    } else {
        None
    }
}

/// IANA's registry of special-purpose IPv4 addresses, multicast, and Azure's metadata address. A few of the registry's
/// ranges are public, but contain no endpoints.
const FORBIDDEN_V4: [(Ipv4Net, &str); 20] = [
    (v4([0, 0, 0, 0], 8), "this network, RFC 791"),
    (v4([10, 0, 0, 0], 8), "private use, RFC 1918"),
    (v4([100, 64, 0, 0], 10), "shared by carriers, RFC 6598"),
    (v4([127, 0, 0, 0], 8), "loopback, RFC 1122"),
    (v4([168, 63, 129, 16], 32), "the metadata of Azure's machines"),
    (v4([169, 254, 0, 0], 16), "link-local and metadata, RFC 3927"),
    (v4([172, 16, 0, 0], 12), "private use, RFC 1918"),
    (v4([192, 0, 0, 0], 24), "protocol assignments, RFC 6890"),
    (v4([192, 0, 2, 0], 24), "documentation, RFC 5737"),
    (v4([192, 31, 196, 0], 24), "AS112, RFC 7535"),
    (v4([192, 52, 193, 0], 24), "multicast tunnels, RFC 7450"),
    (v4([192, 88, 99, 0], 24), "6to4 relays, RFC 7526"),
    (v4([192, 168, 0, 0], 16), "private use, RFC 1918"),
    (v4([192, 175, 48, 0], 24), "AS112, RFC 7534"),
    (v4([198, 18, 0, 0], 15), "benchmarks, RFC 2544"),
    (v4([198, 51, 100, 0], 24), "documentation, RFC 5737"),
    (v4([203, 0, 113, 0], 24), "documentation, RFC 5737"),
    (v4([224, 0, 0, 0], 4), "multicast, RFC 5771"),
    // Before the range that contains it: the first match gives the name.
    (v4([255, 255, 255, 255], 32), "broadcast, RFC 919"),
    (v4([240, 0, 0, 0], 4), "reserved, RFC 1112"),
];

/// The same for IPv6. What lies outside [`GLOBAL_UNICAST`] is forbidden anyway; it is listed for its name.
const FORBIDDEN_V6: [(Ipv6Net, &str); 16] = [
    (Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128), "unspecified, RFC 4291"),
    (Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128), "loopback, RFC 4291"),
    (COMPATIBLE, "IPv4-compatible, RFC 4291"),
    (v6([0x64, 0xff9b, 1], 48), "local translation of IPv4, RFC 8215"),
    (v6([0x100, 0, 0], 64), "discarded, RFC 6666"),
    (v6([0x100, 0, 0], 16), "dummy prefix and reserved, RFC 9780"),
    (v6([0x2001, 0, 0], 32), "Teredo, RFC 4380"),
    (v6([0x2001, 0, 0], 23), "protocol assignments, RFC 2928"),
    (v6([0x2001, 0xdb8, 0], 32), "documentation, RFC 3849"),
    (v6([0x2620, 0x4f, 0x8000], 48), "AS112, RFC 7534"),
    (v6([0x3fff, 0, 0], 20), "documentation, RFC 9637"),
    (v6([0x5f00, 0, 0], 16), "segment routing, RFC 9602"),
    (v6([0xfc00, 0, 0], 7), "unique local, RFC 4193"),
    (v6([0xfe80, 0, 0], 10), "link-local, RFC 4291"),
    (v6([0xfec0, 0, 0], 10), "site-local, RFC 3879"),
    (v6([0xff00, 0, 0], 8), "multicast, RFC 4291"),
];

/// `::ffff:a.b.c.d`, RFC 4291: the system connects to `a.b.c.d`.
const MAPPED: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96);
/// `::a.b.c.d`, RFC 4291: deprecated, but some systems still tunnel it.
const COMPATIBLE: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 96);
/// `64:ff9b::a.b.c.d`, RFC 6052: a NAT64 gateway connects to `a.b.c.d`. Not forbidden as a whole: with DNS64 every IPv4
/// host is reached through it.
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0], 96);
/// `2002:aabb:ccdd::`, RFC 3056: 6to4 sends the packet to `a.b.c.d`.
const SIX_TO_FOUR: Ipv6Net = v6([0x2002, 0, 0], 16);
/// The only part of IPv6 that is allocated for global unicast.
const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0, 0], 3);

const fn v4([a, b, c, d]: [u8; 4], length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6([a, b, c]: [u16; 3], length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), length)
}

#[cfg(test)]
mod tests;
