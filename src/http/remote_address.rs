//! The addresses that requests come from: the true one behind trusted proxies, and what an address may do: how many
//! connections it may open, how many requests it may have on HTTP/2, and how many tokens it may fail with.

pub(in crate::http) mod address_counts;
pub mod connections;
pub mod failed_tokens;
pub(in crate::http) mod refusal_log;
pub mod trusted_proxies;

use std::net::{IpAddr, Ipv4Addr};

/// What is counted as one address: an IPv4 address, or the first 64 bits of an IPv6 address, because a host may use all
/// addresses with the same ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum CountedAddress {
    V4(Ipv4Addr),
    V6(u64),
}

impl From<IpAddr> for CountedAddress {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

/// The address that a request comes from, in its extensions: the true one as far as it can be known.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct RemoteAddress(pub(in crate::http) IpAddr);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        let counted = |text: &str| CountedAddress::from(text.parse::<IpAddr>().expect("an address"));
        assert_eq!(counted("2001:db8:1:2::1"), counted("2001:db8:1:2:ffff::9"));
        assert_ne!(counted("2001:db8:1:2::1"), counted("2001:db8:1:3::1"));
        assert_eq!(counted("::ffff:192.0.2.1"), counted("192.0.2.1"));
        assert_ne!(counted("192.0.2.1"), counted("192.0.2.2"));
    }
}
