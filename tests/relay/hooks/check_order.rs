//! The order of the checks of a webhook: what costs an unknown sender's request the least comes first.

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::connection::Connection;
use crate::harness::request::Request;
use crate::harness::response::{assert_problem, stored_event_id};
use crate::harness::vendor_bodies::GINI_COMPLETED;

const MAX_BODY_BYTES: usize = 8192;
const SECRET: &str = "BEARER gini";

/// The head of a request with a wrong credential.
fn forged_head(path: &str, framing: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: relay.test\r\nAuthorization: wrong\r\n{framing}\r\n\r\n")
}

/// Each request also fails all later checks, so that its response shows which check came first.
// Rule 17: the sender is known before the body is parsed.
#[test]
fn unverified_body_is_neither_awaited_nor_buffered_nor_parsed() {
    let relay = TestRelay::with_config(&[("hook_rate", "1"), ("max_body_bytes", "8KiB")]);
    let acme = TestClient::new(&relay, "acme");
    // One hook for each check: one request uses up the rate of its hook.
    let hook = || {
        acme.add_hook(&format!(r#"{{"vendor":"gini","verify":{{"type":"authorization","secret":"{SECRET}"}}}}"#)).path
    };
    let opened = |head: &str| {
        let mut connection = Connection::open(relay.listen);
        connection.write(head);
        connection
    };

    // Route and rate: the response does not wait for the body, of which no byte is sent.
    let length = format!("Content-Length: {MAX_BODY_BYTES}");
    assert_problem(&opened(&forged_head("/in/unknown", &length)).read_response(), 404);
    let busy = hook();
    assert_problem(&relay.send(&Request::post(&busy).header("Authorization", "wrong").json("{")), 401);
    assert_problem(&opened(&forged_head(&busy, &length)).read_response(), 429);

    // Size: the body that never ends is refused at the limit, before its signature can be checked.
    let mut endless = opened(&forged_head(&hook(), "Transfer-Encoding: chunked"));
    endless.write([b"2001\r\n".to_vec(), vec![b' '; MAX_BODY_BYTES + 1], b"\r\n".to_vec()].concat());
    assert_problem(&endless.read_response(), 413);

    // Signature: content that cannot be parsed is an unverified sender's, so nothing of it is kept.
    assert_problem(&relay.send(&Request::post(&hook()).header("Authorization", "wrong").json("{")), 401);
    assert!(acme.rejects().is_empty(), "{:?}", acme.rejects());

    // Content: only a verified request is parsed, and kept if it cannot be.
    assert_problem(&relay.send(&Request::post(&hook()).header("Authorization", SECRET).json("{")), 422);
    assert_eq!(acme.rejects().len(), 1);
    stored_event_id(&relay.send(&Request::post(&hook()).header("Authorization", SECRET).json(GINI_COMPLETED)));
}
