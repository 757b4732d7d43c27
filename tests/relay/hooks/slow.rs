//! Requests that are too large, too slow or break off: answered so that an ordinary client can read it.

use std::time::{Duration, Instant};

use crate::support::TestRelay;
use crate::support::tenant::{Tenant, problem, stored};
use crate::support::wire::{Came, Request, Wire};

const GOOD: &str = r#"{"documentId":"626626a0-749f-11e2-bfd6-000000000000","status":"COMPLETED"}"#;
const LARGE: usize = 10 << 20;

fn head(path: &str, rest: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: relay.test\r\nContent-Type: application/json\r\n{rest}\r\n\r\n")
}

#[test]
fn ten_megabytes_are_413_to_a_client_that_writes_everything_first() {
    let relay = TestRelay::start();
    let acme = Tenant::new(&relay, "acme");
    let hook = acme.open_hook("gini").path;
    // With a length.
    problem(&relay.ask(&Request::post(&hook).json("").body(vec![b' '; LARGE])), 413);
    // In chunks, where nobody knows what is to come.
    let mut wire = Wire::connect(relay.listen);
    wire.send(head(&hook, "Transfer-Encoding: chunked"));
    let chunk = [b"10000\r\n".to_vec(), vec![b' '; 0x10000], b"\r\n".to_vec()].concat();
    for _ in 0..LARGE / 0x10000 {
        wire.send(&chunk);
    }
    wire.send("0\r\n\r\n");
    problem(&wire.answer(false), 413);
    // And one that waits for leave is told before it sends anything.
    let mut wire = Wire::connect(relay.listen);
    wire.send(head(&hook, &format!("Expect: 100-continue\r\nContent-Length: {LARGE}")));
    problem(&wire.answer(false), 413);
    assert!(acme.documents().is_empty() && acme.rejects().is_empty());
}

#[test]
fn a_body_of_the_greatest_size_is_taken_and_a_byte_more_is_not() {
    let relay = TestRelay::with(&[("max_body_bytes", "8KiB")]);
    let acme = Tenant::new(&relay, "acme");
    let hook = acme.open_hook("gini").path;
    let padded = |size: usize| format!("{GOOD}{}", " ".repeat(size - GOOD.len()));
    stored(&relay.ask(&Request::post(&hook).json(&padded(8192))));
    problem(&relay.ask(&Request::post(&hook).json(&padded(8193))), 413);
    let mut wire = Wire::connect(relay.listen);
    wire.send(head(&hook, &format!("Expect: 100-continue\r\nContent-Length: {}", GOOD.len())));
    assert_eq!(wire.head().status, 100);
    wire.send(GOOD);
    stored(&wire.answer(false));
}

#[test]
fn an_answer_that_comes_before_the_body_was_read_can_be_read() {
    let relay = TestRelay::with(&[("hook_rate", "1")]);
    let acme = Tenant::new(&relay, "acme");
    let hook = acme.open_hook("gini").path;
    let body = vec![b' '; 200 << 10];
    for _ in 0..5 {
        problem(&relay.ask(&Request::post("/in/nobody").json("").body(body.clone())), 404);
        problem(&relay.ask(&Request::post("/hooks").json("").body(body.clone())), 401);
        problem(&relay.ask(&Request::post("/in/nobody").json("").body(vec![b' '; LARGE])), 404);
    }
    // The first of them spends the second's only call.
    let statuses = [0; 3].map(|_| relay.ask(&Request::post(&hook).json("").body(body.clone())).status);
    assert!(statuses.contains(&429) && statuses.iter().all(|s| [422, 429].contains(s)), "{statuses:?}");
}

#[test]
fn half_a_head_is_cut_off_and_half_a_body_is_408() {
    let relay = TestRelay::with(&[("header_timeout", "500ms"), ("body_timeout", "500ms")]);
    let acme = Tenant::new(&relay, "acme");
    let hook = acme.open_hook("gini").path;
    let began = Instant::now();
    let mut half = Wire::connect(relay.listen);
    half.send(&head(&hook, "Content-Length: 5").as_bytes()[..40]);
    let mut body = Wire::connect(relay.listen);
    body.send(head(&hook, &format!("Content-Length: {}", GOOD.len())));
    body.send(&GOOD[..10]);
    assert!(half.ends());
    let answer = body.answer(false);
    problem(&answer, 408);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert!(acme.documents().is_empty() && acme.rejects().is_empty());
}

#[test]
fn a_body_that_trickles_in_is_408_however_often_it_moves() {
    let relay = TestRelay::with(&[("body_timeout", "600ms")]);
    let acme = Tenant::new(&relay, "acme");
    let hook = acme.open_hook("gini").path;
    let mut wire = Wire::connect(relay.listen);
    wire.send(head(&hook, "Content-Length: 100000"));
    // A byte now and then, until the relay has had enough.
    let answer = loop {
        match wire.read(Duration::from_millis(50)) {
            Came::Bytes(bytes) => break String::from_utf8_lossy(&bytes).into_owned(),
            Came::End => panic!("hung up without a word"),
            Came::Nothing => wire.send(" "),
        }
    };
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[test]
fn a_sender_that_leaves_in_the_middle_leaves_nothing_behind() {
    let relay = TestRelay::start();
    let acme = Tenant::new(&relay, "acme");
    let hook = acme.open_hook("gini").path;
    for _ in 0..50 {
        let mut wire = Wire::connect(relay.listen);
        wire.send(head(&hook, &format!("Content-Length: {}", GOOD.len())));
        wire.send(&GOOD[..20]);
    }
    // One that leaves before its answer has come may have been heard; sent again, it is stored once.
    for _ in 0..20 {
        Wire::connect(relay.listen).send(Request::post(&hook).json(GOOD).bytes());
    }
    let id = stored(&relay.ask(&Request::post(&hook).json(GOOD)));
    assert_eq!(acme.events(1)[0].id, id);
    assert!(acme.rejects().is_empty(), "half a body is nothing that a vendor has said");
    relay.wait_until_metric("docrelay_events_in_total{vendor=\"gini\",outcome=\"aborted\"}", |n| n == 50.0);
    relay.wait_until_metric("docrelay_connections", |n| n <= 1.0);
}

#[test]
fn a_sender_that_closes_its_side_after_the_last_byte_is_answered_and_loses_nothing() {
    let relay = TestRelay::start();
    let acme = Tenant::new(&relay, "acme");
    let hook = acme.open_hook("gini").path;
    for (number, version) in (0..20).map(|n| (n, if n % 2 == 0 { "HTTP/1.1" } else { "HTTP/1.0" })) {
        let body = format!(r#"{{"documentId":"00000000-0000-4000-8000-{number:012}","status":"COMPLETED"}}"#);
        let mut wire = Wire::connect(relay.listen);
        wire.send(format!("POST {hook} {version}\r\nHost: relay.test\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        wire.finish_sending();
        stored(&wire.answer(false));
    }
    assert_eq!(acme.documents().len(), 20);
}
