//! Tests of the true address: what proxies write in all notations, and what senders forge.

use proptest::prelude::*;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn proxies(ranges: &[&str]) -> TrustedProxies {
    TrustedProxies::new(ranges.iter().map(|range| range.parse().expect("a range")).collect())
}

/// The true address of a request of the proxy 10.0.0.1, one of the trusted 10.0.0.0/8 and fd00::/8.
#[track_caller]
fn resolve(headers: &[(&'static str, &str)]) -> String {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, HeaderValue::from_bytes(value.as_bytes()).expect("a header value"));
    }
    proxies(&["10.0.0.0/8", "fd00::/8"]).resolve(ip("10.0.0.1"), &map).to_string()
}

fn by_list(value: &str) -> String {
    resolve(&[("x-forwarded-for", value)])
}

fn by_element(value: &str) -> String {
    resolve(&[("forwarded", value)])
}

#[test]
fn forwarded_address_counts_from_trusted_peers_only() {
    let mut headers = HeaderMap::new();
    headers.insert("x-forwarded-for", HeaderValue::from_static("203.0.113.9"));
    let trusted = proxies(&["10.0.0.0/8"]);
    assert_eq!(trusted.resolve(ip("10.0.0.1"), &headers), ip("203.0.113.9"));
    assert_eq!(trusted.resolve(ip("::ffff:10.0.0.1"), &headers), ip("203.0.113.9"), "a dual-stack socket");
    assert_eq!(trusted.resolve(ip("192.0.2.1"), &headers), ip("192.0.2.1"));
    assert_eq!(proxies(&[]).resolve(ip("10.0.0.1"), &headers), ip("10.0.0.1"), "no proxy is trusted by default");
    let mapped = proxies(&["::ffff:10.0.0.0/104"]);
    assert_eq!(mapped.resolve(ip("10.0.0.1"), &headers), ip("203.0.113.9"));
    assert_eq!(trusted.resolve(ip("10.0.0.1"), &HeaderMap::new()), ip("10.0.0.1"));
}

#[test]
fn address_before_the_trusted_proxies_is_the_true_one() {
    assert_eq!(by_list("198.51.100.7, 203.0.113.9"), "203.0.113.9", "the sender has written the first one");
    assert_eq!(by_list("198.51.100.7, 203.0.113.9, 10.0.0.3,10.0.0.2"), "203.0.113.9");
    assert_eq!(by_list("10.0.0.3, 10.0.0.2"), "10.0.0.3", "a sender inside");
    let lines =
        [("x-forwarded-for", "198.51.100.7"), ("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "10.0.0.2")];
    assert_eq!(resolve(&lines), "203.0.113.9", "several lines are one list");
    assert_eq!(by_element("for=198.51.100.7, for=203.0.113.9;proto=https;by=10.0.0.3, for=10.0.0.2"), "203.0.113.9");
}

#[test]
fn every_notation_of_an_address_is_read() {
    for (text, expected) in [
        ("203.0.113.9", "203.0.113.9"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("2001:db8::9", "2001:db8::9"),
        ("[2001:db8::9]", "2001:db8::9"),
        ("[2001:db8::9]:4711", "2001:db8::9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("[::ffff:203.0.113.9]:4711", "203.0.113.9"),
        ("2001:DB8:0:0::9", "2001:db8::9"),
    ] {
        assert_eq!(by_list(text), expected);
        assert_eq!(by_element(&format!("for=\"{text}\"")), expected);
        assert_eq!(by_element(&format!("proto=https; FOR=\"{text}\" ;host=\"a;b,c\\\"d\"")), expected);
    }
    assert_eq!(by_element("for=203.0.113.9"), "203.0.113.9");
    assert_eq!(by_list(" , 203.0.113.9 ,, "), "203.0.113.9", "empty elements do not count");
    assert_eq!(by_element("for=\"203.0.113.9:_port\""), "203.0.113.9");
}

#[test]
fn malformed_element_ends_the_way_at_the_proxy_that_named_it() {
    for malformed in [
        "unknown",
        "_hidden",
        "example.com",
        "203.0.113.9:port",
        "203.0.113.9:",
        "0203.0.113.9",
        "203.0.113",
        "[203.0.113.9]",
        "[2001:db8::9",
        "[2001:db8::9]x",
        "[2001:db8::9]:",
        "fe80::1%eth0",
        "203.0.113.9 198.51.100.7",
        "\u{e9}",
    ] {
        assert_eq!(by_list(&format!("198.51.100.7, {malformed}, 10.0.0.2")), "10.0.0.2", "{malformed}");
        assert_eq!(
            by_element(&format!("for=198.51.100.7, for=\"{malformed}\", for=10.0.0.2")),
            "10.0.0.2",
            "{malformed}"
        );
    }
    for malformed in
        ["proto=https", "for", "for=203.0.113.9;for=203.0.113.8", "for=\"203.0.113.9", "for=\"203.0.113.9\"x", ""]
    {
        let expected = if malformed.is_empty() { "198.51.100.7" } else { "10.0.0.2" };
        assert_eq!(by_element(&format!("for=198.51.100.7, {malformed}, for=10.0.0.2")), expected, "{malformed}");
    }
}

#[test]
fn unbalanced_quote_of_a_sender_hides_no_element_of_a_proxy() {
    for forged in
        ["for=\"", "for=198.51.100.7;x=\"", "for=198.51.100.7, for=\"\\", "\"", "for=198.51.100.7;x=\", for=10.0.0.9"]
    {
        assert_eq!(by_element(&format!("{forged}, for=203.0.113.9")), "203.0.113.9", "{forged}");
        assert_eq!(by_element(&format!("{forged}, for=\"[2001:db8::9]:1\";host=\"a:1\"")), "2001:db8::9", "{forged}");
    }
}

#[test]
fn forwarded_of_a_sender_does_not_change_the_address_in_x_forwarded_for() {
    for forged in ["for=198.51.100.7", "for=unknown", "for=x", "\"", ""] {
        let both = [("x-forwarded-for", "198.51.100.8, 203.0.113.9"), ("forwarded", forged)];
        assert_eq!(resolve(&both), "203.0.113.9", "{forged}");
    }
    let malformed = [("x-forwarded-for", "unknown"), ("forwarded", "for=198.51.100.7")];
    assert_eq!(resolve(&malformed), "10.0.0.1", "the header is present, so the other one does not count");
}

proptest! {
    #[test]
    fn forged_headers_of_a_sender_never_change_its_address(forged in "[ -~]{0,60}", forged_element in "[ -~]{0,60}") {
        prop_assert_eq!(by_list(&format!("{forged}, 203.0.113.9")), "203.0.113.9");
        prop_assert_eq!(by_list(&format!("{forged}, 203.0.113.9, 10.0.0.2")), "203.0.113.9");
        let appended = format!("{forged_element}, for=\"[2001:db8::9]:1\";proto=http;host=\"relay.test:80\"");
        prop_assert_eq!(by_element(&appended), "2001:db8::9");
        let lines = [("forwarded", forged_element.as_str()), ("forwarded", "for=203.0.113.9")];
        prop_assert_eq!(resolve(&lines), "203.0.113.9");
    }
}
