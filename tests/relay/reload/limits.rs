//! Limits that change under open streams: those stay, and what begins later has the new limits.

use std::time::{Duration, Instant};

use serde_json::json;

use super::ConfiguredRelay;
use crate::harness::connection::{Connection, ReadOutcome};
use crate::harness::follower::Next;
use crate::harness::request::Request;
use crate::harness::response::assert_problem;
use crate::harness::{TIMEOUT, wait_until};

const DOCUMENT: &str = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";

#[test]
fn open_streams_survive_lower_limits_that_refuse_the_next_ones() {
    let configured = ConfiguredRelay::start("");
    let acme = configured.client();
    let hook = acme.add_unverified_hook("gini");
    let mut streams: Vec<_> = (0..3).map(|_| configured.relay.follow(&acme.token)).collect();
    configured.reload(
        "max_connections = 2000\nmax_followers = 5\nmax_followers_per_client = 2\nwrite_timeout = \"5s\"\n\
         max_connections_per_address = 1000\nmax_concurrent_streams = 3\nhistory_events_per_client = 10\n",
    );
    let mut refused = configured.relay.follow(&acme.token);
    assert!(refused.ends() && refused.raw().starts_with(':'), "{}", refused.raw());
    let id = acme.post_gini(&hook.path, DOCUMENT, "COMPLETED");
    for stream in &mut streams {
        assert_eq!(stream.next_event().id, id);
    }
    configured.reload("max_followers_per_client = 4\n");
    let mut fourth = configured.relay.follow(&acme.token);
    let id = acme.post_gini(&hook.path, DOCUMENT, "ERROR");
    assert_eq!(fourth.next_event().id, id);
}

#[test]
fn lower_rate_and_smaller_bodies_apply_to_the_next_webhook() {
    let configured = ConfiguredRelay::start("");
    let acme = configured.client();
    let hook = acme.add_unverified_hook("gini");
    let webhook = Request::post(&hook.path).json(&format!(r#"{{"documentId":"{DOCUMENT}","status":"COMPLETED"}}"#));
    // On a connection that is open before.
    let mut connection = Connection::open(configured.relay.listen);
    assert_eq!(connection.send(&webhook).status, 200);
    configured.reload("max_body_bytes = 20\n");
    assert_problem(&connection.send(&webhook), 413);
    configured.reload("hook_rate = 1\n");
    let statuses: Vec<u16> = (0..2).map(|_| connection.send(&webhook).status).collect();
    assert_eq!(statuses, [200, 429]);
    configured.reload("event_rate_per_client = 1\n");
    let statuses: Vec<u16> = (0..2).map(|_| connection.send(&webhook).status).collect();
    assert_eq!(statuses, [200, 429]);
    configured.reload("");
    assert_eq!(connection.send(&webhook).status, 200);
}

#[test]
fn number_of_connections_can_be_lowered_and_raised() {
    // A trusted proxy, because the bound of an address is not the subject.
    let file = |max: usize| format!("max_connections = {max}\nmax_followers = 1\ntrusted_proxies = \"127.0.0.1\"\n");
    let configured = ConfiguredRelay::start(&file(4));
    let page = Request::get("/.well-known/jwks.json");
    let open = |count: usize| -> Vec<Connection> {
        let mut all: Vec<_> = (0..count).map(|_| Connection::open(configured.relay.listen)).collect();
        all.iter_mut().for_each(|connection| assert_eq!(connection.send(&page).status, 200));
        all
    };
    let mut connections = open(4);
    configured.reload(&file(2));
    for connection in &mut connections {
        assert_eq!(connection.send(&page).status, 200, "open connections stay");
    }
    connections.truncate(1);
    // One for the request for the metrics.
    configured.relay.wait_for_metric("docrelay_connections", 2);
    let mut second = open(1);
    let mut waiting: Vec<_> = (0..2).map(|_| Connection::open(configured.relay.listen)).collect();
    waiting.iter_mut().for_each(|connection| connection.write(page.bytes()));
    for connection in &mut waiting {
        let read = connection.read(Duration::from_millis(200));
        assert_eq!(read, ReadOutcome::TimedOut, "it waits in the listen queue");
    }
    assert_eq!(second[0].send(&page).status, 200);
    configured.reload(&file(10));
    for connection in &mut waiting {
        assert_eq!(connection.read_response().status, 200);
    }
}

#[test]
fn connections_of_an_address_and_trusted_proxies_follow_the_file() {
    let configured = ConfiguredRelay::start("max_connections_per_address = 100\n");
    let relay = &configured.relay;
    let first = Connection::open(relay.listen);
    configured.reload("max_connections_per_address = 1\n");
    wait_until("a second connection is refused", || Connection::open(relay.listen).is_closed_by_peer());
    configured.reload("max_connections_per_address = 1\ntrusted_proxies = [\"127.0.0.1\"]\n");
    let request = Request::get("/hooks/unknown").header("X-Forwarded-For", "203.0.113.9");
    let id = relay.send(&request).header("x-request-id").expect("an id").to_owned();
    relay.wait_for_output(&id);
    let output = relay.output();
    let line = output.lines().find(|line| line.contains(&id)).expect("a line");
    assert!(line.contains("address=203.0.113.9"), "{line}");
    drop(first);
}

#[test]
fn origins_and_accepted_query_tokens_follow_the_file() {
    const ALLOW: &str = "access-control-allow-origin";
    let configured = ConfiguredRelay::start("");
    let acme = configured.client();
    let mut connection = Connection::open(configured.relay.listen);
    let request = Request::get("/documents").bearer(&acme.token).header("Origin", "https://app.example");
    assert_eq!(connection.send(&request).header(ALLOW), Some("*"));
    configured.reload("cors_origins = [\"https://other.example\"]\nquery_token = \"ticket\"\n");
    assert_eq!(connection.send(&request).header(ALLOW), None);
    let by_query = Request::get(&format!("/events/client?token={}", acme.token));
    assert_eq!(configured.relay.open_stream(&by_query).next_event().data, "auth_failed");
    configured.reload("cors_origins = [\"https://other.example\", \"https://app.example\"]\n");
    assert_eq!(connection.send(&request).header(ALLOW), Some("https://app.example"));
    assert!(configured.relay.open_stream(&by_query).head.is_chunked());
}

#[test]
fn shorter_history_removes_events_and_shorter_interval_reaches_open_streams() {
    let configured = ConfiguredRelay::start("idle_interval = \"1s\"\n");
    let acme = configured.client();
    let hook = acme.add_unverified_hook("gini");
    let mut stream = configured.relay.follow(&acme.token);
    for number in 0..20 {
        acme.post_gini(&hook.path, &format!("626626a0-749f-11e2-bfd6-{number:012x}"), "COMPLETED");
    }
    configured.reload("history_events_per_client = 5\nidle_interval = \"100ms\"\n");
    wait_until("old events are removed", || {
        let reset = configured.relay.follow_from(&acme.token, "earliest").events(1).remove(0);
        let last = acme.get("/documents?limit=1").json()["lastEventId"].as_str().expect("an id").to_owned();
        let number = |id: &str| id.split_once('.').expect("an id").1.parse::<u64>().expect("a number");
        number(&last) - number(&reset.id) < 5
    });
    stream.events(20);
    let (began, mut idle_blocks) = (Instant::now(), 0);
    while idle_blocks < 10 {
        assert!(matches!(stream.next(TIMEOUT), Next::Block(_)));
        idle_blocks += 1;
    }
    assert!(began.elapsed() < Duration::from_secs(8), "{:?} for ten idle lines", began.elapsed());
    assert_eq!(configured.reload("idle_interval = \"1s\"\n")["needsRestart"], json!([]));
}

#[test]
fn failed_tokens_of_an_address_are_bounded_by_the_new_limit() {
    let configured = ConfiguredRelay::start("");
    let request = Request::get("/documents").bearer("not.a.token");
    let statuses = |count: usize| -> Vec<u16> { (0..count).map(|_| configured.relay.send(&request).status).collect() };
    assert_eq!(statuses(3), [401, 401, 401]);
    configured.reload("failed_tokens_per_address = 2\nfailed_token_window = \"1h\"\n");
    let limited = statuses(4);
    assert_eq!(limited[3], 429, "{limited:?}");
    configured.reload("");
    assert_eq!(statuses(1), [401]);
}

#[test]
fn proxy_protocol_that_is_turned_on_does_not_trust_the_headers_of_its_proxy() {
    let configured = ConfiguredRelay::start("log_format = \"json\"\n");
    let with_proxies = "log_format = \"json\"\ntrusted_proxies = [\"127.0.0.1\"]\nproxy_protocol = true\n";
    let report = configured.reload(with_proxies);
    let pair = json!(["trusted_proxies", "proxy_protocol"]);
    assert_eq!(report, json!({"changed": [], "needsRestart": pair}));
    let request = Request::get("/hooks/unknown").header("X-Forwarded-For", "203.0.113.9");
    let id = configured.relay.send(&request).header("x-request-id").expect("an id").to_owned();
    configured.relay.wait_for_output(&id);
    let output = configured.relay.output();
    let line = output.lines().find(|line| line.contains(&id)).expect("a line");
    assert!(line.contains("\"address\":\"127.0.0.1\""), "{line}");
}

#[test]
fn proxy_protocol_that_is_turned_off_keeps_its_proxies_until_a_restart() {
    let configured = ConfiguredRelay::start("trusted_proxies = [\"127.0.0.1\"]\nproxy_protocol = true\n");
    let report = configured.reload("");
    assert_eq!(report["needsRestart"], json!(["trusted_proxies", "proxy_protocol"]));
    let mut connection = Connection::open(configured.relay.listen);
    connection.write("PROXY TCP4 203.0.113.9 192.0.2.1 56324 443\r\n");
    assert_eq!(connection.send(&Request::get("/.well-known/jwks.json")).status, 200);
}
