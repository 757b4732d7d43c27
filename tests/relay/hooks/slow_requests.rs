//! Requests that are too large, too slow or break off: answered so that an ordinary client can read it.

use std::time::{Duration, Instant};

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::connection::{Connection, ReadOutcome};
use crate::harness::request::Request;
use crate::harness::response::{assert_problem, stored_event_id};

const GOOD: &str = r#"{"documentId":"626626a0-749f-11e2-bfd6-000000000000","status":"COMPLETED"}"#;
const LARGE: usize = 10 << 20;

fn head(path: &str, rest: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: relay.test\r\nContent-Type: application/json\r\n{rest}\r\n\r\n")
}

#[test]
fn ten_megabyte_body_gets_a_readable_413() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("gini").path;
    // With a length.
    assert_problem(&relay.send(&Request::post(&hook).json("").body(vec![b' '; LARGE])), 413);
    // In chunks, where nobody knows what is to come.
    let mut wire = Connection::open(relay.listen);
    wire.write(head(&hook, "Transfer-Encoding: chunked"));
    let chunk = [b"10000\r\n".to_vec(), vec![b' '; 0x10000], b"\r\n".to_vec()].concat();
    for _ in 0..LARGE / 0x10000 {
        wire.write(&chunk);
    }
    wire.write("0\r\n\r\n");
    assert_problem(&wire.read_response(), 413);
    // And one that waits for leave is told before it sends anything.
    let mut wire = Connection::open(relay.listen);
    wire.write(head(&hook, &format!("Expect: 100-continue\r\nContent-Length: {LARGE}")));
    assert_problem(&wire.read_response(), 413);
    assert!(acme.documents().is_empty() && acme.rejects().is_empty());
}

#[test]
fn body_limit_accepts_exact_size_and_refuses_larger() {
    let relay = TestRelay::with_config(&[("max_body_bytes", "8KiB")]);
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("gini").path;
    let padded = |size: usize| format!("{GOOD}{}", " ".repeat(size - GOOD.len()));
    stored_event_id(&relay.send(&Request::post(&hook).json(&padded(8192))));
    assert_problem(&relay.send(&Request::post(&hook).json(&padded(8193))), 413);
    let mut wire = Connection::open(relay.listen);
    wire.write(head(&hook, &format!("Expect: 100-continue\r\nContent-Length: {}", GOOD.len())));
    assert_eq!(wire.read_head().status, 100);
    wire.write(GOOD);
    stored_event_id(&wire.read_response());
}

#[test]
fn early_error_response_is_readable_before_body_is_read() {
    let relay = TestRelay::with_config(&[("hook_rate", "1")]);
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("gini").path;
    let body = vec![b' '; 200 << 10];
    for _ in 0..5 {
        assert_problem(&relay.send(&Request::post("/in/nobody").json("").body(body.clone())), 404);
        assert_problem(&relay.send(&Request::post("/hooks").json("").body(body.clone())), 401);
        assert_problem(&relay.send(&Request::post("/in/nobody").json("").body(vec![b' '; LARGE])), 404);
    }
    // The first of them spends the second's only call.
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
    body.write(head(&hook, &format!("Content-Length: {}", GOOD.len())));
    body.write(&GOOD[..10]);
    assert!(half.is_closed_by_peer());
    let answer = body.read_response();
    assert_problem(&answer, 408);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert!(acme.documents().is_empty() && acme.rejects().is_empty());
}

#[test]
fn trickling_body_gets_408_after_body_timeout() {
    let relay = TestRelay::with_config(&[("body_timeout", "600ms")]);
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("gini").path;
    let mut wire = Connection::open(relay.listen);
    wire.write(head(&hook, "Content-Length: 100000"));
    // A byte now and then, until the relay has had enough.
    let answer = loop {
        match wire.read(Duration::from_millis(50)) {
            ReadOutcome::Bytes(bytes) => break String::from_utf8_lossy(&bytes).into_owned(),
            ReadOutcome::Closed => panic!("hung up without a word"),
            ReadOutcome::TimedOut => wire.write(" "),
        }
    };
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[test]
fn aborted_request_body_stores_nothing() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("gini").path;
    for _ in 0..50 {
        let mut wire = Connection::open(relay.listen);
        wire.write(head(&hook, &format!("Content-Length: {}", GOOD.len())));
        wire.write(&GOOD[..20]);
    }
    // One that leaves before its answer has come may have been heard; sent again, it is stored once.
    for _ in 0..20 {
        Connection::open(relay.listen).write(Request::post(&hook).json(GOOD).bytes());
    }
    let id = stored_event_id(&relay.send(&Request::post(&hook).json(GOOD)));
    assert_eq!(acme.events(1)[0].id, id);
    assert!(acme.rejects().is_empty(), "half a body is nothing that a vendor has said");
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
        let mut wire = Connection::open(relay.listen);
        wire.write(format!(
            "POST {hook} {version}\r\nHost: relay.test\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        wire.shutdown_write();
        stored_event_id(&wire.read_response());
    }
    assert_eq!(acme.documents().len(), 20);
}
