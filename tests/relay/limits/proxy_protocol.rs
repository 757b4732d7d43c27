//! The PROXY protocol: the relay uses the address in the header of a trusted proxy, and ignores that of any other peer.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::harness::TestRelay;
use crate::harness::connection::{Connection, ReadOutcome};
use crate::harness::fixture::document_id;
use crate::harness::follower::Follower;
use crate::harness::http2::Http2Connection;
use crate::harness::proxy::{Proxy, ProxyProgram};
use crate::harness::request::Request;
use crate::harness::tls::TlsFixture;

const FAILURES: &str = "docrelay_proxy_header_failures_total";

/// The peer of the tests is the proxy.
const TRUSTING: [(&str, &str); 3] =
    [("trusted_proxies", "127.0.0.1"), ("proxy_protocol", "true"), ("log_format", "json")];

/// The fixed part of a header of version 2, up to the length.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// From 203.0.113.9:56324 to 192.0.2.1:443, in both versions.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x09\xc0\0\x02\x01\xdc\x04\x01\xbb";
const V1: &[u8] = b"PROXY TCP4 203.0.113.9 192.0.2.1 56324 443\r\n";

const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// A header of version 2 with this family and block.
fn v2(family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).expect("a length");
    [SIGNATURE, &[0x21, family], &length.to_be_bytes(), block].concat()
}

/// The header of a client with this address of 192.0.2.0/24.
fn header_of(host: u8) -> Vec<u8> {
    v2(0x11, &[192, 0, 2, host, 192, 0, 2, 200, 0xdc, 4, 1, 0xbb])
}

#[track_caller]
fn open_behind(relay: &TestRelay, header: &[u8]) -> Connection {
    let mut connection = Connection::open(relay.listen);
    connection.write(header);
    connection
}

/// The log line of a request that is refused.
#[track_caller]
fn refused_request(relay: &TestRelay, connection: &mut Connection, request: &Request) -> String {
    let id = connection.send(request).header("x-request-id").expect("an id").to_owned();
    relay.wait_for_output(&id);
    let output = relay.output();
    output.lines().find(|line| line.contains(&id)).expect("a line").to_owned()
}

#[test]
fn address_in_the_header_is_that_of_every_request_of_the_connection() {
    let relay = TestRelay::with_config(&TRUSTING);
    let v6 = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[9], &[0; 16], b"\xdc\x04\x01\xbb"].concat();
    let with_tlvs = [&V2[16..], &b"\x04\x0f\x00"[..], &[0; 0xf00]].concat();
    let cases = [
        (V2.to_vec(), "203.0.113.9", "203.0.113.9:56324"),
        (v2(0x11, &with_tlvs), "203.0.113.9", "203.0.113.9:56324"),
        (v2(0x21, &v6), "2001:db8::9", "[2001:db8::9]:56324"),
        (V1.to_vec(), "203.0.113.9", "203.0.113.9:56324"),
        (v2(0x31, &[7; 216]), "127.0.0.1", "127.0.0.1:"),
        (LOCAL.to_vec(), "127.0.0.1", "127.0.0.1:"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1", "127.0.0.1:"),
    ];
    for (header, address, peer) in cases {
        let mut connection = open_behind(&relay, &header);
        for _ in 0..2 {
            let line = refused_request(&relay, &mut connection, &Request::get("/hooks/unknown"));
            assert!(line.contains(&format!("\"address\":\"{address}\"")), "{line}");
            assert!(line.contains(&format!("\"peer\":\"{peer}")), "{line}");
        }
    }
    assert_eq!(relay.metric(FAILURES), 0);
    let forwarded = Request::get("/hooks/unknown").header("X-Forwarded-For", "198.51.100.7");
    let line = refused_request(&relay, &mut open_behind(&relay, V2), &forwarded);
    assert!(line.contains("\"address\":\"203.0.113.9\""), "the client behind the proxy is no proxy: {line}");
    // 127.0.0.1 behind 127.0.0.1: two proxies.
    let chained = v2(0x11, b"\x7f\0\0\x01\x7f\0\0\x01\xdc\x04\x01\xbb");
    let line = refused_request(&relay, &mut open_behind(&relay, &chained), &forwarded);
    assert!(line.contains("\"address\":\"198.51.100.7\""), "{line}");
}

#[test]
fn trusted_proxy_without_a_valid_header_is_closed_and_counted() {
    let relay = TestRelay::with_config(&[&TRUSTING[..], &[("log_level", "debug")]].concat());
    let request = Request::get("/hooks/unknown");
    let cases = [
        request.bytes(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec(),
        b"\r\n\r\n\0\r\nQUIX\n\x21\x11\0\x0c".to_vec(),
        [SIGNATURE, b"\x31\x11\0\x0c"].concat(),
        [SIGNATURE, b"\x21\x11\xff\xff"].concat(),
        [SIGNATURE, b"\x20\0\xff\xff"].concat(),
        [SIGNATURE, b"\x21\x11\0\x0b", &V2[16..]].concat(),
        b"PROXY TCP4 203.0.113.999 192.0.2.1 56324 443\r\n".to_vec(),
        [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 120]].concat(),
    ];
    let mut failures = 0;
    for bytes in cases {
        let mut connection = open_behind(&relay, &bytes);
        assert_eq!(connection.read_to_end(), b"", "{}", bytes.escape_ascii());
        failures += 1;
        relay.wait_for_metric(FAILURES, failures);
    }
    relay.wait_for_output("PROXY protocol failed");
    // A cut header, and a check of the proxy whether the relay listens.
    let cut = open_behind(&relay, &V2[..20]);
    cut.shutdown_write();
    relay.wait_for_metric(FAILURES, failures + 1);
    drop(Connection::open(relay.listen));
    relay.wait_for_metric("docrelay_connections", 1);
    assert_eq!(relay.metric(FAILURES), failures + 1);
}

#[test]
fn stalled_headers_end_and_release_their_permits() {
    let limits = [("max_connections", "3"), ("max_followers", "1"), ("header_timeout", "1s")];
    let relay = TestRelay::with_config(&[&TRUSTING[..], &limits].concat());
    let mut stalled = [&b""[..], &V2[..13], &V2[..27]].map(|part| open_behind(&relay, part));
    for connection in &mut stalled {
        assert!(connection.is_closed_by_peer());
    }
    relay.wait_for_metric(FAILURES, 3);
    assert_eq!(open_behind(&relay, V2).send(&Request::get("/.well-known/jwks.json")).status, 200);
}

#[test]
fn header_that_comes_byte_by_byte_is_followed_by_requests() {
    let relay = TestRelay::with_config(&TRUSTING);
    for header in [V2, V1] {
        let mut connection = Connection::open(relay.listen);
        for byte in header {
            connection.write([*byte]);
            // Each byte a segment of its own: the relay must not have answered meanwhile.
            assert_eq!(connection.read(Duration::from_millis(1)), ReadOutcome::TimedOut);
        }
        let line = refused_request(&relay, &mut connection, &Request::get("/hooks/unknown"));
        assert!(line.contains("\"address\":\"203.0.113.9\""), "{line}");
        // The header and the first request in one segment.
        let all = [header, &Request::get("/.well-known/jwks.json").bytes()].concat();
        assert_eq!(open_behind(&relay, &all).read_response().status, 200);
    }
}

#[test]
fn header_of_an_untrusted_peer_is_not_read() {
    let elsewhere = [("trusted_proxies", "10.0.0.0/8"), ("proxy_protocol", "true"), ("log_format", "json")];
    let off = [("trusted_proxies", "10.0.0.0/8"), ("log_format", "json")];
    for config in [&elsewhere[..], &off] {
        let relay = TestRelay::with_config(config);
        for header in [V2, V1] {
            let bytes = [header, &Request::get("/hooks/unknown").bytes()].concat();
            let response = String::from_utf8(open_behind(&relay, &bytes).read_to_end()).expect("text");
            assert!(response.starts_with("HTTP/1.1 400 ") || response.is_empty(), "{response}");
        }
        let line = refused_request(&relay, &mut Connection::open(relay.listen), &Request::get("/hooks/unknown"));
        assert!(line.contains("\"address\":\"127.0.0.1\""), "{line}");
        assert!(!relay.output().contains("203.0.113.9"));
        assert_eq!(relay.metric(FAILURES), 0);
    }
}

/// The peer of the tests is a proxy that need not send a header.
const OPTIONAL: [(&str, &str); 2] = [("trusted_proxies", "127.0.0.1"), ("log_format", "json")];

#[test]
fn header_of_version_2_is_read_without_proxy_protocol() {
    let relay = TestRelay::with_config(&[&OPTIONAL[..], &[("max_connections_per_address", "2")]].concat());
    let unknown = Request::get("/hooks/unknown");
    let forwarded = Request::get("/hooks/unknown").header("X-Forwarded-For", "198.51.100.7");
    let address_of = |connection: &mut Connection, request: &Request| {
        let line = refused_request(&relay, connection, request);
        let (_, rest) = line.split_once("\"address\":\"").expect("an address");
        rest.split('"').next().expect("its end").to_owned()
    };
    let mut behind = open_behind(&relay, V2);
    for request in [&unknown, &forwarded, &unknown] {
        assert_eq!(address_of(&mut behind, request), "203.0.113.9");
    }
    let mut bytewise = Connection::open(relay.listen);
    for byte in V2 {
        bytewise.write([*byte]);
        assert_eq!(bytewise.read(Duration::from_millis(1)), ReadOutcome::TimedOut);
    }
    assert_eq!(address_of(&mut bytewise, &unknown), "203.0.113.9");
    assert!(open_behind(&relay, V2).is_closed_by_peer(), "the limit of the address in the header");
    assert_eq!(address_of(&mut open_behind(&relay, LOCAL), &forwarded), "198.51.100.7");
    // A connection without a header: nothing at all, or an empty line before the request (RFC 9112, 2.2).
    for beginning in [&b""[..], b"\r\n", b"\r\n\r\n"] {
        let all = [beginning, &Request::get("/.well-known/jwks.json").bytes()].concat();
        let mut connection = open_behind(&relay, &all);
        assert_eq!(connection.read_response().status, 200, "{}", beginning.escape_ascii());
        assert_eq!(address_of(&mut connection, &forwarded), "198.51.100.7");
    }
    let mut http2 = Http2Connection::open(relay.listen);
    assert_eq!(http2.send(&Request::get("/.well-known/jwks.json")).status, 200);
    // Version 1 begins like a request, so it is none.
    let response =
        String::from_utf8(open_behind(&relay, &[V1, &unknown.bytes()].concat()).read_to_end()).expect("text");
    assert!(response.starts_with("HTTP/1.1 400 ") || response.is_empty(), "{response}");
    assert_eq!(relay.metric(FAILURES), 0);
}

#[test]
fn optional_header_that_is_not_valid_closes_the_connection() {
    let relay = TestRelay::with_config(&[&OPTIONAL[..], &[("header_timeout", "1s")]].concat());
    let malformed = [SIGNATURE, b"\x31\x11\0\x0c"].concat();
    for (failures, bytes) in [(1, &malformed[..]), (2, &V2[..12]), (3, &V2[..27])] {
        assert_eq!(open_behind(&relay, bytes).read_to_end(), b"", "{}", bytes.escape_ascii());
        relay.wait_for_metric(FAILURES, failures);
    }
    // Not yet a header: a connection that is late with its first request.
    for bytes in [&b""[..], &V2[..2], &V2[..11]] {
        assert!(open_behind(&relay, bytes).is_closed_by_peer(), "{}", bytes.escape_ascii());
    }
    assert_eq!(relay.metric(FAILURES), 3);
    assert_eq!(open_behind(&relay, V2).send(&Request::get("/.well-known/jwks.json")).status, 200);
}

#[test]
fn optional_header_precedes_the_tls_handshake() {
    let fixture = TlsFixture::with_config(&OPTIONAL);
    let unknown = Request::get("/hooks/unknown");
    let mut connection = Connection::open(fixture.relay.listen);
    for byte in V2 {
        connection.write([*byte]);
    }
    let mut connection = connection.try_start_tls(&fixture.client).expect("a handshake");
    let line = refused_request(&fixture.relay, &mut connection, &unknown);
    assert!(line.contains("\"address\":\"203.0.113.9\""), "{line}");
    let mut without = Connection::try_open_tls(fixture.relay.listen, &fixture.client).expect("a handshake");
    let line = refused_request(&fixture.relay, &mut without, &unknown);
    assert!(line.contains("\"address\":\"127.0.0.1\""), "{line}");
    assert_eq!(fixture.relay.metric(FAILURES), 0);
    // Bytes with which neither a header nor a handshake begins.
    assert!(open_behind(&fixture.relay, b"\r\n\r\nGET / HTTP/1.1\r\n\r\n").is_closed_by_peer());
    fixture.relay.wait_for_metric("docrelay_tls_handshake_failures_total", 1);
}

#[test]
fn limits_of_addresses_apply_to_the_address_in_the_header() {
    let limits =
        [("max_connections_per_address", "2"), ("failed_tokens_per_address", "3"), ("failed_token_window", "1h")];
    let relay = TestRelay::with_config(&[&TRUSTING[..], &limits].concat());
    let page = Request::get("/.well-known/jwks.json");
    let mut open: Vec<Connection> = (0..2).map(|_| open_behind(&relay, &header_of(1))).collect();
    for connection in &mut open {
        assert_eq!(connection.send(&page).status, 200);
    }
    assert!(open_behind(&relay, &header_of(1)).is_closed_by_peer());
    assert_eq!(relay.metric("docrelay_connections_refused_total"), 1);
    assert_eq!(open_behind(&relay, &header_of(2)).send(&page).status, 200, "another client of the same proxy");
    open.pop();
    relay.wait_for_metric("docrelay_connections", 2);
    assert_eq!(open_behind(&relay, &header_of(1)).send(&page).status, 200, "a closed connection makes room");

    // On one connection, because the relay may not have noticed yet that another one has ended.
    let (mut limited, mut other) = (open_behind(&relay, &header_of(3)), open_behind(&relay, &header_of(4)));
    let nonsense = Request::get("/hooks").bearer("nonsense");
    for _ in 0..3 {
        assert_eq!(limited.send(&nonsense).status, 401);
    }
    assert_eq!((limited.send(&nonsense).status, other.send(&nonsense).status), (429, 401));
}

/// The commands connect from an address that the relay trusts as a proxy.
#[test]
fn commands_reach_a_relay_that_expects_the_header_of_them() {
    let relay = TestRelay::with_config(&TRUSTING);
    relay.add_client("acme");
    let hook = relay.add_hook("acme", "gini", &[]);
    assert_eq!(relay.cli(&["hook", "list", "--client", "acme"]).json()["id"], hook.json["id"]);
    assert_eq!(relay.metric(FAILURES), 0);
}

#[test]
fn proxy_protocol_without_trusted_proxies_is_refused() {
    let mut relay = TestRelay::not_started(&[("proxy_protocol", "true")]);
    relay.try_start().expect_err("a configuration error");
    assert!(relay.output().contains("trusted_proxies"), "{}", relay.output());
}

/// HAProxy without TLS of its own, in front of the relay.
#[track_caller]
fn haproxy(send_proxy: &str, relay: &TestRelay) -> Option<Proxy> {
    let programs = ProxyProgram::find_all()?;
    let program = programs.into_iter().find(|program| program.name == "haproxy").expect("HAProxy");
    let timeouts = "timeout connect 5s\n    timeout client 60s\n    timeout server 60s";
    Some(program.start(|listen| {
        format!(
            "listen relay\n    mode tcp\n    bind {listen}\n    {timeouts}\n    server relay {} {send_proxy}\n",
            relay.listen
        )
    }))
}

#[test]
fn streams_behind_haproxy_have_the_address_of_the_client() {
    for send_proxy in ["send-proxy-v2", "send-proxy", "send-proxy-v2 proxy-v2-options unique-id,crc32c"] {
        let relay = TestRelay::with_config(&[&TRUSTING[..], &[("log_level", "debug")]].concat());
        let Some(proxy) = haproxy(send_proxy, &relay) else { return };
        relay.add_client("acme");
        let (hook, token) = (relay.add_hook("acme", "gini", &[]).path, relay.token("acme"));
        let mut connection = Connection::open_from(Ipv4Addr::new(127, 0, 0, 5), proxy.listen);
        connection.write(Request::get("/events/client").bearer(&token).bytes());
        let mut follower = Follower::over(connection);
        assert_eq!(follower.head.status, 200);
        let mut sender = Connection::open_from(Ipv4Addr::new(127, 0, 0, 6), proxy.listen);
        for number in 0..3 {
            let body = format!("{{\"documentId\":\"{}\",\"status\":\"COMPLETED\"}}", document_id(number));
            assert_eq!(sender.send(&Request::post(&hook).json(&body)).status, 200);
            assert_eq!(follower.next_event().json()["documentId"], document_id(number));
        }
        relay.wait_for_output("\"address\":\"127.0.0.5\"");
        relay.wait_for_output("\"address\":\"127.0.0.6\"");
        let mut http2 = Http2Connection::open(proxy.listen);
        assert_eq!(http2.send(&Request::get("/.well-known/jwks.json")).status, 200);
        assert_eq!(relay.metric(FAILURES), 0);
    }
}

#[test]
fn tls_handshake_follows_the_header() {
    let fixture = TlsFixture::with_config(&TRUSTING);
    for header in [V2, V1] {
        let mut connection = Connection::open(fixture.relay.listen);
        for byte in header {
            connection.write([*byte]);
        }
        let mut connection = connection.try_start_tls(&fixture.client).expect("a handshake");
        let line = refused_request(&fixture.relay, &mut connection, &Request::get("/hooks/unknown"));
        assert!(line.contains("\"address\":\"203.0.113.9\""), "{line}");
    }
    assert!(Connection::try_open_tls(fixture.relay.listen, &fixture.client).is_err(), "no header");
    fixture.relay.wait_for_metric(FAILURES, 1);
    assert_eq!(fixture.relay.metric("docrelay_tls_handshake_failures_total"), 0);
}
