//! Servers of key sets that rotate keys, fail, hang, redirect or send too much.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{ISSUER, IssuerKey, key_set, relay_with, relay_with_address, serving, stream_error};
use crate::harness::receiver::{Receiver, Reply};
use crate::harness::request::Request;
use crate::harness::{TestRelay, spawn_thread};

/// The status of a request with this token.
fn status(relay: &TestRelay, token: &str) -> u16 {
    relay.send(&Request::get("/documents").bearer(token)).status
}

/// A server whose response the test replaces.
pub(crate) fn changing(first: Reply) -> (Receiver, Arc<Mutex<Reply>>) {
    let reply = Arc::new(Mutex::new(first));
    let shared = reply.clone();
    (Receiver::start(move |_, _| shared.lock().expect("a reply").clone()), reply)
}

fn keys(keys: &[&IssuerKey]) -> Reply {
    Reply { body: key_set(keys), ..Reply::status(200) }
}

#[test]
fn stream_of_removed_key_ends_and_first_token_of_new_key_is_accepted() {
    let (old, new) = (IssuerKey::new("old"), IssuerKey::new("new"));
    let (server, reply) = changing(keys(&[&old]));
    let relay = relay_with(&server);
    let by_old = old.token(&json!({}));
    let mut follower = relay.follow(&by_old);
    assert!(follower.head.is_chunked());
    *reply.lock().expect("a reply") = keys(&[&new]);
    assert_eq!(status(&relay, &new.token(&json!({}))), 200);
    let end = follower.read_to_end();
    assert!(end.iter().any(|block| block.data.as_deref() == Some("auth_failed")), "{end:?}");
    assert_eq!(server.received().len(), 2, "the stream of the removed key has caused no further fetch");
    assert_eq!(stream_error(&relay, &by_old), "auth_failed");
    let request = &server.received()[0];
    assert_eq!((request.method.as_str(), request.target.as_str()), ("GET", "/keys"));
}

#[test]
fn new_key_is_accepted_right_after_a_token_with_a_made_up_id() {
    let (old, new, forger) = (IssuerKey::new("old"), IssuerKey::new("new"), IssuerKey::new("made-up"));
    let (server, reply) = changing(keys(&[&old]));
    let relay = relay_with(&server);
    assert_eq!(status(&relay, &old.token(&json!({}))), 200);
    assert_eq!(status(&relay, &forger.token(&json!({}))), 401);
    *reply.lock().expect("a reply") = keys(&[&old, &new]);
    assert_eq!(status(&relay, &new.token(&json!({}))), 200);
    let fetches = server.received();
    assert_eq!(fetches.len(), 3, "the start, and each of the two ids");
    assert!(fetches[2].at - fetches[1].at < Duration::from_secs(4), "{fetches:?}");
    // A flood of unknown ids causes the other fetches of the burst of 4, and then one in 30 s.
    let start = Instant::now();
    for jti in 0..40 {
        assert_eq!(status(&relay, &forger.token(&json!({ "jti": jti }))), 401);
    }
    let refilled = 1 + start.elapsed().as_secs() as usize / 30;
    let fetches = server.received();
    assert!((5..=5 + refilled).contains(&fetches.len()), "{fetches:?}");
    let gaps = fetches[1..].windows(2).map(|pair| pair[1].at - pair[0].at);
    assert!(gaps.into_iter().all(|gap| gap > Duration::from_millis(500)), "{fetches:?}");
}

#[test]
fn key_set_of_localhost_is_fetched_when_its_ipv4_range_is_open() {
    let key = IssuerKey::new("one");
    let server = serving(keys(&[&key]));
    let relay = relay_with_address(&server.url("/keys").replace("127.0.0.1", "localhost"));
    assert_eq!(status(&relay, &key.token(&json!({}))), 200);
    assert_eq!(relay.metric("docrelay_key_set_failures_total"), 0);
}

#[test]
fn failing_key_server_leaves_known_keys_valid() {
    let (key, unknown) = (IssuerKey::new("one"), IssuerKey::new("two"));
    let (server, reply) = changing(keys(&[&key]));
    let relay = relay_with(&server);
    assert_eq!(status(&relay, &key.token(&json!({}))), 200);
    *reply.lock().expect("a reply") = Reply { body: key_set(&[&unknown]), ..Reply::status(500) };
    assert_eq!(status(&relay, &unknown.token(&json!({}))), 401);
    for jti in 0..20 {
        assert_eq!(status(&relay, &unknown.token(&json!({ "jti": jti }))), 401);
        assert_eq!(status(&relay, &key.token(&json!({ "jti": jti }))), 200);
    }
    relay.wait_for_output("cannot fetch the key set of an issuer");
    assert_eq!(relay.metric("docrelay_key_set_failures_total"), 1);
    assert_eq!(server.received().len(), 2);
}

#[test]
fn forged_key_ids_are_failed_tokens_unless_the_key_server_fails() {
    let (key, unknown) = (IssuerKey::new("one"), IssuerKey::new("two"));
    let (server, reply) = changing(keys(&[&key]));
    let issuers = format!("[{{issuer = \"{ISSUER}\", audience = \"relay\", jwks_url = \"{}\"}}]", server.url("/keys"));
    let limits = [("failed_tokens_per_address", "3"), ("failed_token_window", "1h"), ("trusted_proxies", "127.0.0.1")];
    let opened = [("allow_private_endpoints", "127.0.0.0/8"), ("issuers", issuers.as_str())];
    let relay = TestRelay::with_config(&[&limits[..], &opened[..]].concat());
    relay.add_client("acme");
    let status = |address: &str, number: u32, key: &IssuerKey| {
        let token = key.token(&json!({ "jti": number }));
        let request = Request::get("/documents").bearer(&token).header("X-Forwarded-For", address);
        relay.send(&request).status
    };
    assert_eq!(status("203.0.113.1", 0, &key), 200);
    let statuses: Vec<u16> = (0..5).map(|number| status("203.0.113.9", number, &unknown)).collect();
    assert_eq!(statuses, [401, 401, 401, 429, 429]);
    assert_eq!(status("203.0.113.1", 1, &key), 200, "another address");
    // Refused in a row, a fetch may be asked for every 30 s: a relay whose first fetch fails has no key set.
    *reply.lock().expect("a reply") = Reply::status(500);
    let failing = TestRelay::with_config(&[&limits[..], &opened[..]].concat());
    failing.wait_for_output("cannot fetch the key set of an issuer");
    for number in 0..6 {
        let token = unknown.token(&json!({ "jti": number }));
        assert_eq!(failing.send(&Request::get("/documents").bearer(&token)).status, 401, "its key may exist");
    }
}

/// Asserts that tokens are refused because of this response, and that the relay reports why.
#[track_caller]
fn assert_unusable(reply: Reply, reason: &str) -> Receiver {
    let key = IssuerKey::new("one");
    let server =
        serving(Reply { body: if reply.body.is_empty() { key_set(&[&key]) } else { reply.body.clone() }, ..reply });
    let relay = relay_with(&server);
    assert_eq!(status(&relay, &key.token(&json!({}))), 401);
    relay.wait_for_output(reason);
    server
}

#[test]
fn redirect_of_key_server_is_not_followed() {
    let redirect = Reply { headers: "Location: /elsewhere\r\n", ..Reply::status(302) };
    let server = assert_unusable(redirect, "the response has the status 302");
    assert!(server.received().iter().all(|request| request.target == "/keys"));
}

/// A server that sends up to 100 MB of spaces as a key set. Counts the bytes of all responses.
fn endless_key_set() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    spawn_thread("endless", move || {
        let chunk = [b' '; 64 << 10];
        for mut stream in listener.incoming().map_while(Result::ok) {
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n{\"keys\":[";
            let mut rest = 100_000_000;
            // A response before the request is not HTTP.
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let mut open = lines.any(|line| line.is_empty()) && stream.write_all(head.as_bytes()).is_ok();
            while open && rest > 0 {
                open = stream.write_all(&chunk).is_ok();
                rest -= chunk.len().min(rest);
                count.fetch_add(chunk.len(), Ordering::SeqCst);
            }
        }
    });
    (address, sent)
}

#[test]
fn key_set_of_100_mb_is_not_read_to_its_end() {
    let (address, sent) = endless_key_set();
    let relay = relay_with_address(&format!("http://{address}/keys"));
    assert_eq!(status(&relay, &IssuerKey::new("one").token(&json!({}))), 401);
    relay.wait_for_output("the response has more than 262144 bytes");
    // What the buffers of both sockets hold, for each fetch.
    assert!(sent.load(Ordering::SeqCst) < 40_000_000);
}

#[test]
fn response_that_is_no_key_set_is_refused() {
    let page = Reply { body: "<html>sign in</html>".to_owned(), ..Reply::status(200) };
    assert_unusable(page, "the response is not a JWK set");
    let secret = r#"{"keys":[{"kty":"oct","kid":"one","alg":"HS256","k":"AAAA"}]}"#.to_owned();
    assert_unusable(Reply { body: secret, ..Reply::status(200) }, "the JWK set has no key that can be used");
}

#[test]
fn hanging_key_server_delays_tokens_of_its_issuer_only() {
    let key = IssuerKey::new("one");
    let server = serving(Reply { body: key_set(&[&key]), after: Duration::from_secs(20), ..Reply::status(200) });
    let relay = relay_with(&server);
    server.wait(1);
    let start = Instant::now();
    let own = relay.token("acme");
    assert_eq!(status(&relay, &own), 200);
    let foreign = key.token(&json!({}));
    assert_eq!(stream_error(&relay, &foreign), "auth_failed");
    relay.wait_for_output("no complete response within 5 s");
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}

#[test]
fn key_set_on_private_address_needs_permission() {
    let key = IssuerKey::new("one");
    let server = serving(Reply { body: key_set(&[&key]), ..Reply::status(200) });
    let issuers = format!("[{{issuer = \"{ISSUER}\", audience = \"relay\", jwks_url = \"{}\"}}]", server.url("/keys"));
    let relay = TestRelay::with_config(&[("issuers", &issuers)]);
    relay.add_client("acme");
    assert_eq!(status(&relay, &key.token(&json!({}))), 401);
    relay.wait_for_output("127.0.0.1 is not a public address");
    assert_eq!(server.connections(), 0);
}
