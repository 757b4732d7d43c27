//! The true address behind trusted proxies, and the connections of an address.

use std::time::Duration;

use crate::harness::connection::{Connection, ReadOutcome};
use crate::harness::request::Request;
use crate::harness::{TestRelay, wait_until};

const PAGE: &str = "/.well-known/jwks.json";

/// A request that is refused, so that it is logged, with these headers. Returns its log line.
#[track_caller]
fn refused_request(relay: &TestRelay, headers: &[(&str, &str)]) -> String {
    let mut request = Request::get("/hooks/unknown");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let id = relay.send(&request).header("x-request-id").expect("an id").to_owned();
    relay.wait_for_output(&id);
    let output = relay.output();
    output.lines().find(|line| line.contains(&id)).expect("a line").to_owned()
}

#[test]
fn log_has_the_true_address_of_trusted_proxies_only() {
    let forwarded = ("X-Forwarded-For", "198.51.100.7, 203.0.113.9");
    let relay = TestRelay::with_config(&[("trusted_proxies", "127.0.0.1"), ("log_format", "json")]);
    let line = refused_request(&relay, &[forwarded]);
    assert!(line.contains("\"address\":\"203.0.113.9\"") && line.contains("\"peer\":\"127.0.0.1:"), "{line}");
    let line = refused_request(&relay, &[("Forwarded", "for=\"[2001:db8::9]:47\";proto=https")]);
    assert!(line.contains("\"address\":\"2001:db8::9\""), "{line}");
    let line = refused_request(&relay, &[forwarded, ("Forwarded", "for=192.0.2.1")]);
    assert!(line.contains("\"address\":\"203.0.113.9\""), "{line}");
    let line = refused_request(&relay, &[("X-Forwarded-For", "203.0.113.9, unknown")]);
    assert!(line.contains("\"address\":\"127.0.0.1\""), "{line}");

    let untrusting = TestRelay::with_config(&[("log_format", "json")]);
    let line = refused_request(&untrusting, &[forwarded]);
    assert!(line.contains("\"address\":\"127.0.0.1\"") && !line.contains("203.0.113.9"), "{line}");
}

#[test]
fn connections_beyond_the_limit_of_their_address_are_closed() {
    let relay = TestRelay::with_config(&[("max_connections_per_address", "2")]);
    let page = Request::get(PAGE);
    let mut open: Vec<Connection> = (0..2).map(|_| Connection::open(relay.listen)).collect();
    assert_eq!(open[0].send(&page).status, 200);
    for _ in 0..3 {
        assert!(Connection::open(relay.listen).is_closed_by_peer());
    }
    assert_eq!(relay.metric("docrelay_connections_refused_total"), 3);
    relay.wait_for_output("connection refused: too many of this address");
    // The others go on, and so does the admin address.
    assert_eq!(open[0].send(&page).status, 200);
    open.pop();
    // One for the request for the metrics.
    relay.wait_for_metric("docrelay_connections", 2);
    assert_eq!(Connection::open(relay.listen).send(&page).status, 200, "a closed connection makes room");
}

#[test]
fn trusted_proxy_may_open_more_connections() {
    let relay = TestRelay::with_config(&[("max_connections_per_address", "2"), ("trusted_proxies", "127.0.0.0/8")]);
    let mut open: Vec<Connection> = (0..10).map(|_| Connection::open(relay.listen)).collect();
    for connection in &mut open {
        assert_eq!(connection.send(&Request::get(PAGE)).status, 200);
    }
    assert_eq!(relay.metric("docrelay_connections_refused_total"), 0);
    assert_eq!(open[0].read(Duration::from_millis(1)), ReadOutcome::TimedOut);
}

#[test]
fn refused_connections_cost_vendors_of_other_addresses_nothing() {
    let relay = TestRelay::with_config(&[
        ("max_connections_per_address", "1"),
        ("max_connections", "3"),
        ("max_followers", "1"),
    ]);
    let mut first = Connection::open(relay.listen);
    assert_eq!(first.send(&Request::get(PAGE)).status, 200);
    // Each would take one of the three permits for `header_timeout` if it were kept.
    let refused: Vec<Connection> = (0..50).map(|_| Connection::open(relay.listen)).collect();
    for mut connection in refused {
        assert!(connection.is_closed_by_peer());
    }
    assert_eq!(relay.metric("docrelay_connections"), 2, "the first one, and the request for the metrics");
}

#[test]
fn lines_of_refused_streams_and_tokens_have_the_true_address() {
    let limits = [("trusted_proxies", "127.0.0.1"), ("log_format", "json"), ("max_followers_per_client", "1")];
    let relay = TestRelay::with_config(&limits);
    relay.add_client("acme");
    let token = relay.token("acme");
    let stream = || Request::get("/events/client").header("X-Forwarded-For", "203.0.113.9");
    let follower = relay.open_stream(&stream().bearer(&token));
    assert!(follower.head.is_chunked());
    for (request, message) in [
        (stream(), "follower rejected"),
        (stream().bearer("nonsense"), "follower rejected: token not accepted"),
        (stream().bearer(&token).header("Accept", "text/html"), "follower rejected"),
        (stream().bearer(&token), "follower rejected"),
        (Request::get("/hooks").bearer("nonsense").header("X-Forwarded-For", "203.0.113.9"), "token rejected"),
        (
            Request::get("/v2/notification").bearer("nonsense").header("X-Forwarded-For", "203.0.113.9"),
            "token rejected",
        ),
    ] {
        let id = relay.send(&request).header("x-request-id").expect("an id").to_owned();
        let message = format!("\"message\":\"{message}\"");
        let is_its_line = |line: &&str| line.contains(&id) && line.contains(&message);
        wait_until(&message, || relay.output().lines().any(|line| is_its_line(&line)));
        let output = relay.output();
        let line = output.lines().find(is_its_line).expect("a line");
        assert!(line.contains("\"address\":\"203.0.113.9\""), "{line}");
    }
}
