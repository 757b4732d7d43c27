//! The bounds of each forbidden range, and IPv4 addresses embedded in IPv6 ones.

use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

use super::*;

fn is_forbidden(address: &str) -> bool {
    allowing(&[]).forbidden_range(address.parse().expect("an address")).is_some()
}

fn allowing(ranges: &[&str]) -> AddressRanges {
    AddressRanges { allowed: ranges.iter().map(|range| range.parse().expect("a range")).collect() }
}

/// The IPv6 addresses that embed an IPv4 address and are routed to it.
fn embeddings(inner: Ipv4Addr) -> [Ipv6Addr; 4] {
    let bits = u128::from(inner.to_bits());
    let of = |prefix: &str| prefix.parse::<Ipv6Addr>().expect("a prefix").to_bits();
    [
        Ipv6Addr::from_bits(of("::ffff:0:0") | bits),
        Ipv6Addr::from_bits(of("64:ff9b::") | bits),
        Ipv6Addr::from_bits(of("2002::") | (bits << 80)),
        // A host of the 6to4 prefix.
        Ipv6Addr::from_bits(of("2002::1") | (bits << 80)),
    ]
}

fn compatible(inner: Ipv4Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(u128::from(inner.to_bits()))
}

#[test]
fn ipv4_range_is_forbidden_from_first_to_last_address() {
    for (first, last) in [
        ("0.0.0.0", "0.255.255.255"),
        ("10.0.0.0", "10.255.255.255"),
        ("100.64.0.0", "100.127.255.255"),
        ("127.0.0.0", "127.255.255.255"),
        ("169.254.0.0", "169.254.255.255"),
        ("172.16.0.0", "172.31.255.255"),
        ("192.0.0.0", "192.0.0.255"),
        ("192.0.2.0", "192.0.2.255"),
        ("192.88.99.0", "192.88.99.255"),
        ("192.168.0.0", "192.168.255.255"),
        ("198.18.0.0", "198.19.255.255"),
        ("198.51.100.0", "198.51.100.255"),
        ("203.0.113.0", "203.0.113.255"),
        ("224.0.0.0", "239.255.255.255"),
        ("240.0.0.0", "255.255.255.255"),
        ("168.63.129.16", "168.63.129.16"),
    ] {
        assert!(is_forbidden(first) && is_forbidden(last), "{first} to {last}");
    }
}

#[test]
fn neighbours_of_forbidden_ranges_are_allowed() {
    for address in [
        "1.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.0.3.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "203.0.114.0",
        "223.255.255.255",
        "168.63.129.17",
        "2000::",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2606:4700::1111",
        "2a00:1450::1",
        "3ffe:ffff::1",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2002:808:808::1",
    ] {
        assert!(!is_forbidden(address), "{address}");
    }
}

#[test]
fn only_global_unicast_ipv6_is_allowed() {
    for address in [
        "::",
        "::1",
        "::8.8.8.8",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:0:127.0.0.1",
        "::ffff:0:8.8.8.8",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::8.8.8.8",
        "64:ff9b:1:ffff::1",
        "64:ff9b:0:1::1",
        "100::1",
        "100:0:0:1::1",
        "1fff:ffff::1",
        "2001::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:1::1",
        "2001:20::1",
        "2001:1ff::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2620:4f:8000::1",
        "3fff::1",
        "3fff:fff::1",
        "4000::1",
        "5f00::1",
        "8000::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "feff::1",
        "ff02::1",
    ] {
        assert!(is_forbidden(address), "{address}");
    }
}

#[test]
fn allowed_range_includes_its_embeddings_and_nothing_else() {
    let ranges = allowing(&["10.1.0.0/16", "fd00:1::/32"]);
    let inside = Ipv4Addr::new(10, 1, 2, 3);
    assert_eq!(ranges.forbidden_range(inside.into()), None);
    for address in embeddings(inside).into_iter().chain([compatible(inside), "fd00:1::5".parse().expect("v6")]) {
        assert_eq!(ranges.forbidden_range(address.into()), None, "{address}");
    }
    for address in ["10.2.0.1", "::ffff:10.2.0.1", "127.0.0.1", "::1", "fd00:2::5"] {
        assert!(ranges.forbidden_range(address.parse().expect("an address")).is_some(), "{address}");
    }
    assert!(
        allowing(&["0.0.0.0/0"]).forbidden_range(Ipv6Addr::LOCALHOST.into()).is_some(),
        "::1 does not embed 0.0.0.1"
    );
    assert!(allowing(&["::ffff:10.0.0.0/104"]).forbidden_range("10.0.0.1".parse().expect("v4")).is_some());
}

#[test]
fn every_row_of_the_tables_matches() {
    for (range, name) in FORBIDDEN_V4 {
        assert_eq!(forbidden_v4(range.network()), Some(name), "{range}");
    }
    for (range, name) in FORBIDDEN_V6 {
        assert!(forbidden_v6(range.broadcast()).is_some(), "{range} {name}");
    }
}

proptest! {
    #[test]
    fn forbidden_ipv4_address_is_forbidden_in_every_embedding(row in 0..FORBIDDEN_V4.len(), bits: u32) {
        let range = FORBIDDEN_V4[row].0;
        let inner = Ipv4Addr::from_bits(range.network().to_bits() | (bits & range.hostmask().to_bits()));
        prop_assert!(allowing(&[]).forbidden_range(inner.into()).is_some());
        for outer in embeddings(inner).into_iter().chain([compatible(inner)]) {
            prop_assert!(allowing(&[]).forbidden_range(outer.into()).is_some(), "{} in {}", inner, outer);
        }
    }

    #[test]
    fn embedded_address_is_treated_like_the_ipv4_address(bits in any::<u32>()) {
        let inner = Ipv4Addr::from_bits(bits);
        for outer in embeddings(inner) {
            prop_assert_eq!(allowing(&[]).forbidden_range(outer.into()), allowing(&[]).forbidden_range(inner.into()), "{}", outer);
        }
    }
}
