//! Requests that are too large, too slow or incomplete: an ordinary client can read the response.

use std::time::{Duration, Instant};

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::connection::{Connection, ReadOutcome};
use crate::harness::request::Request;
use crate::harness::response::{assert_problem, stored_event_id};
use crate::harness::vendor_bodies::GINI_COMPLETED;

/// Larger than any limit.
const LARGE_BYTES: usize = 10 << 20;

fn head(path: &str, rest: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: relay.test\r\nContent-Type: application/json\r\n{rest}\r\n\r\n")
}

#[test]
fn ten_megabyte_body_gets_a_readable_413() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("gini").path;
    // With Content-Length.
    assert_problem(&relay.send(&Request::post(&hook).json("").body(vec![b' '; LARGE_BYTES])), 413);
    // In chunks, without a known length.
    let mut connection = Connection::open(relay.listen);
    connection.write(head(&hook, "Transfer-Encoding: chunked"));
    let chunk = [b"10000\r\n".to_vec(), vec![b' '; 0x10000], b"\r\n".to_vec()].concat();
    for _ in 0..LARGE_BYTES / 0x10000 {
        connection.write(&chunk);
    }
    connection.write("0\r\n\r\n");
    assert_problem(&connection.read_response(), 413);
    // A client that waits for 100 Continue gets the error before it sends the body.
    let mut connection = Connection::open(relay.listen);
    connection.write(head(&hook, &format!("Expect: 100-continue\r\nContent-Length: {LARGE_BYTES}")));
    assert_problem(&connection.read_response(), 413);
    assert!(acme.documents().is_empty() && acme.rejects().is_empty());
}

#[test]
fn body_limit_accepts_exact_size_and_refuses_larger() {
    let relay = TestRelay::with_config(&[("max_body_bytes", "8KiB")]);
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("gini").path;
    let padded = |size: usize| format!("{GINI_COMPLETED}{}", " ".repeat(size - GINI_COMPLETED.len()));
    stored_event_id(&relay.send(&Request::post(&hook).json(&padded(8192))));
    assert_problem(&relay.send(&Request::post(&hook).json(&padded(8193))), 413);
    let mut connection = Connection::open(relay.listen);
    connection.write(head(&hook, &format!("Expect: 100-continue\r\nContent-Length: {}", GINI_COMPLETED.len())));
    assert_eq!(connection.read_head().status, 100);
    connection.write(GINI_COMPLETED);
    stored_event_id(&connection.read_response());
}

#[test]
fn early_error_response_is_readable_before_body_is_read() {
    let relay = TestRelay::with_config(&[("hook_rate", "1")]);
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("gini").path;
    let body = vec![b' '; 200 << 10];
    for _ in 0..5 {
        assert_problem(&relay.send(&Request::post("/in/unknown").json("").body(body.clone())), 404);
        assert_problem(&relay.send(&Request::post("/hooks").json("").body(body.clone())), 401);
        assert_problem(&relay.send(&Request::post("/in/unknown").json("").body(vec![b' '; LARGE_BYTES])), 404);
    }
    // The first request uses up the rate limit.
    let statuses = [0; 3].map(|_| relay.send(&Request::post(&hook).json("").body(body.clone())).status);
    assert!(statuses.contains(&429) && statuses.iter().all(|s| [422, 429].contains(s)), "{statuses:?}");
}

#[test]
fn incomplete_head_is_closed_and_incomplete_body_gets_408() {
    let relay = TestRelay::with_config(&[("header_timeout", "500ms"), ("body_timeout", "500ms")]);
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("gini").path;
    let began = Instant::now();
    let mut half = Connection::open(relay.listen);
    half.write(&head(&hook, "Content-Length: 5").as_bytes()[..40]);
    let mut body = Connection::open(relay.listen);
    body.write(head(&hook, &format!("Content-Length: {}", GINI_COMPLETED.len())));
    body.write(&GINI_COMPLETED[..10]);
    assert!(half.is_closed_by_peer());
    let response = body.read_response();
    assert_problem(&response, 408);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert!(acme.documents().is_empty() && acme.rejects().is_empty());
}

#[test]
fn trickling_body_gets_408_after_body_timeout() {
    let relay = TestRelay::with_config(&[("body_timeout", "600ms")]);
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("gini").path;
    let mut connection = Connection::open(relay.listen);
    connection.write(head(&hook, "Content-Length: 100000"));
    // Single bytes do not extend the timeout.
    let response = loop {
        match connection.read(Duration::from_millis(50)) {
            ReadOutcome::Bytes(bytes) => break String::from_utf8_lossy(&bytes).into_owned(),
            ReadOutcome::Closed => panic!("closed without a response"),
            ReadOutcome::TimedOut => connection.write(" "),
        }
    };
    assert!(response.starts_with("HTTP/1.1 408 "), "{response}");
}

#[test]
fn aborted_request_body_stores_nothing() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("gini").path;
    for _ in 0..50 {
        let mut connection = Connection::open(relay.listen);
        connection.write(head(&hook, &format!("Content-Length: {}", GINI_COMPLETED.len())));
        connection.write(&GINI_COMPLETED[..20]);
    }
    // A request whose sender disconnects before the response may be stored; the repeat is not stored again.
    for _ in 0..20 {
        Connection::open(relay.listen).write(Request::post(&hook).json(GINI_COMPLETED).bytes());
    }
    let id = stored_event_id(&relay.send(&Request::post(&hook).json(GINI_COMPLETED)));
    assert_eq!(acme.events(1)[0].id, id);
    assert!(acme.rejects().is_empty(), "an incomplete body is no reject");
    relay.wait_for_metric("docrelay_events_in_total{vendor=\"gini\",outcome=\"aborted\"}", 50);
    relay.wait_for_metric("docrelay_connections", 1);
}

#[test]
fn half_closed_sender_still_gets_its_response() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("gini").path;
    for (number, version) in (0..20).map(|n| (n, if n % 2 == 0 { "HTTP/1.1" } else { "HTTP/1.0" })) {
        let body = format!(r#"{{"documentId":"00000000-0000-4000-8000-{number:012}","status":"COMPLETED"}}"#);
        let mut connection = Connection::open(relay.listen);
        connection.write(format!(
            "POST {hook} {version}\r\nHost: relay.test\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        connection.shutdown_write();
        stored_event_id(&connection.read_response());
    }
    assert_eq!(acme.documents().len(), 20);
}
