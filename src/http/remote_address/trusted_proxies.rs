//! The true address of a request behind trusted proxies: `X-Forwarded-For` and `Forwarded` are read from the right,
//! because each proxy adds the address that it has seen there. The first address that is not a trusted proxy's is the
//! true one; what stands left of it was written by that peer, and proves nothing.

mod elements;

use std::net::IpAddr;

use http::header::GetAll;
use http::{HeaderMap, HeaderValue};
use ipnet::{IpNet, Ipv4Net};

use crate::domain::Reloadable;
use elements::{forwarded_for, split_from_right};

/// The addresses of the proxies that may name the address of a request. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TrustedProxies(Reloadable<Vec<IpNet>>);

impl TrustedProxies {
    /// Ranges of IPv4 addresses inside IPv6 ones count as ranges of IPv4 addresses.
    pub fn new(ranges: Vec<IpNet>) -> Self {
        Self(Reloadable::new(ranges.into_iter().map(canonical).collect()))
    }

    /// Replaces the ranges, for all clones.
    pub fn replace(&self, ranges: Vec<IpNet>) {
        self.0.replace(ranges.into_iter().map(canonical).collect());
    }

    /// Whether a peer is a trusted proxy.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.read(|ranges| ranges.iter().any(|range| range.contains(&address)))
    }

    /// The true address of a request of this peer. Without a trusted address in between, the address of the peer
    /// itself.
    ///
    /// `Forwarded` counts only without `X-Forwarded-For`: a proxy that writes the one passes the other one on as the
    /// sender wrote it, and nearly all proxies write `X-Forwarded-For`.
    pub(in crate::http) fn resolve(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.contains(peer) {
            return peer;
        }
        let by_list = self.walk(peer, headers.get_all("x-forwarded-for"), parse_node);
        let by_elements = || self.walk(peer, headers.get_all("forwarded"), |node| parse_node(&forwarded_for(node)?));
        by_list.or_else(by_elements).unwrap_or(peer)
    }

    /// Goes from proxy to proxy as long as they are trusted, through the lines of one header, which are one list. An
    /// element that is no address ends the way: the address of the proxy that has named it is the last one that is
    /// known. `None` without such a line.
    fn walk(
        &self,
        peer: IpAddr,
        lines: GetAll<'_, HeaderValue>,
        parse: impl Fn(&str) -> Option<IpAddr>,
    ) -> Option<IpAddr> {
        let mut found = None;
        for line in lines.iter().rev() {
            // Other bytes than UTF-8 spoil their own element only.
            let line = String::from_utf8_lossy(line.as_bytes());
            // Empty elements do not count (RFC 9110, 5.6.1).
            for element in split_from_right(&line).map(str::trim).filter(|element| !element.is_empty()) {
                let Some(address) = parse(element) else { return found.or(Some(peer)) };
                found = Some(address);
                if !self.contains(address) {
                    return found;
                }
            }
            found = found.or(Some(peer));
        }
        found
    }
}

/// An address, with or without port, IPv6 with or without brackets. `unknown` and obfuscated names are none.
fn parse_node(node: &str) -> Option<IpAddr> {
    let address = match node.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            let has_good_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
            has_good_port.then(|| address.parse().ok().map(IpAddr::V6))?
        }
        None => match node.split_once(':') {
            // One colon: IPv4 with a port.
            Some((address, port)) if !port.contains(':') => {
                is_port(port).then(|| address.parse().ok().map(IpAddr::V4))?
            }
            _ => node.parse().ok(),
        },
    };
    address.map(|address| address.to_canonical())
}

fn is_port(text: &str) -> bool {
    // RFC 7239 allows an obfuscated port, too.
    !text.is_empty() && (text.bytes().all(|b| b.is_ascii_digit()) || text.starts_with('_'))
}

fn canonical(range: IpNet) -> IpNet {
    let IpNet::V6(v6) = range else { return range };
    let prefix = v6.prefix_len().checked_sub(96);
    let mapped = v6.addr().to_ipv4_mapped().zip(prefix);
    mapped.and_then(|(address, prefix)| Ipv4Net::new(address, prefix).ok()).map_or(range, IpNet::V4)
}

#[cfg(test)]
mod tests;
