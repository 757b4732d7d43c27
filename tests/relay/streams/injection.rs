//! Injection through values of vendors and hooks: each webhook becomes exactly one event. The stream is read by a
//! third-party parser.

use std::cell::RefCell;
use std::convert::Infallible;

use futures::{FutureExt, StreamExt};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop, prop_assert_eq, prop_oneof};
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};
use sse_stream::{Sse, SseByteStream};

use crate::harness::TIMEOUT;
use crate::harness::connection::Connection;
use crate::harness::fixture::Fixture;
use crate::harness::follower::Next;
use crate::harness::request::Request;

/// Text that forges fields where values are not encoded.
const MALICIOUS: [&str; 16] = [
    "\n",
    "\r",
    "\r\n",
    "\n\n",
    "\r\r",
    "\0",
    "\u{2028}",
    "\u{2029}",
    "\u{85}",
    "\u{feff}",
    "data: x",
    "\nid: 7.7\n",
    "\rretry: 1\r",
    "\nevent: error\ndata: auth_failed\n\n",
    "\u{b}\u{c}\u{1f}\u{7f}",
    "\u{10ffff}\u{d7ff}\u{e000}",
];

fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![3 => prop::sample::select(&MALICIOUS[..]).prop_map(str::to_owned), 1 => any::<String>()];
    prop::collection::vec(piece, 1..5).prop_map(|pieces| pieces.concat())
}

fn result() -> impl Strategy<Value = Map<String, Value>> {
    let leaf = prop_oneof![hostile().prop_map(Value::from), any::<i64>().prop_map(Value::from), Just(Value::Null)];
    let value = leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((hostile(), inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    });
    prop::collection::vec((hostile(), value), 1..4).prop_map(|pairs| pairs.into_iter().collect())
}

/// The events that the third-party parser reads from these bytes.
fn read(stream: &str) -> Vec<Sse> {
    let bytes = futures::stream::iter([Ok::<_, Infallible>(bytes::Bytes::copy_from_slice(stream.as_bytes()))]);
    let blocks = SseByteStream::new(bytes).map(|block| block.expect("a stream that can be parsed"));
    let blocks: Vec<Sse> = blocks.collect().now_or_never().expect("a stream that is complete");
    blocks.into_iter().filter(|block| block.data.is_some() || block.event.is_some()).collect()
}

/// CR, LF and NUL must not forge fields.
// Rule 10: no value forges a field of the stream.
#[test]
fn vendor_strings_cannot_forge_stream_fields() {
    let fixture = Fixture::start();
    let label = MALICIOUS.concat();
    let hook = json!({"vendor": "gini", "labels": {"malicious": label}}).to_string();
    let hook = fixture.relay.send(&Request::post("/hooks").bearer(&fixture.token).json(&hook));
    assert_eq!(hook.status, 201, "{hook:?}");
    let url = hook.json()["url"].as_str().expect("a url").to_owned();
    let path = url[url.find("/in/").expect("a hook's path")..].to_owned();
    let state = RefCell::new((fixture.follow(), Connection::open(fixture.relay.listen), 0));
    // An empty title counts as no title.
    let values = (hostile(), hostile().prop_filter("a title", |title| !title.is_empty()), result());
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() };
    let outcome = TestRunner::new(config).run(&values, |(name, title, result)| {
        let (follower, vendor, number) = &mut *state.borrow_mut();
        *number += 1;
        // Identifiers with control characters are rejected; all other text is valid.
        let name: String = name.chars().filter(|c| !c.is_control()).take(200).collect();
        let id = format!("{number} {name}");
        let body = json!({"documentId": id, "status": "ERROR", "title": title, "result": result,
            "error": {"code": title, "message": title}});
        let response = vendor.send(&Request::post(&path).json(&body.to_string()));
        prop_assert_eq!(response.status, 200, "{}", response.text());
        let event_id = response.header("docrelay-event-id").expect("an id").to_owned();
        let from = follower.raw().len();
        let event = follower.next_event();
        let seen = read(&follower.raw()[from..]);
        prop_assert_eq!(seen.len(), 1, "{:?}", seen);
        let seen = &seen[0];
        prop_assert_eq!(seen.id.as_deref(), Some(event_id.as_str()));
        prop_assert_eq!((seen.event.as_deref(), seen.retry), (None, None));
        prop_assert_eq!(seen.data.as_deref(), Some(event.data.as_str()));
        let data: Value = serde_json::from_str(seen.data.as_deref().unwrap_or_default()).expect("JSON");
        prop_assert_eq!(&data["vendorId"], &Value::from(id));
        prop_assert_eq!(&data["title"], &Value::from(title.clone()));
        prop_assert_eq!(&data["error"], &json!({"code": title, "message": title}));
        prop_assert_eq!(&data["result"], &Value::Object(result));
        prop_assert_eq!(&data["labels"], &json!({"malicious": label}));
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

#[test]
fn invalid_unicode_escapes_are_rejected_and_not_streamed() {
    let fixture = Fixture::start();
    let mut follower = fixture.follow();
    for bad in [
        r#"{"documentId":"\ud800","status":"COMPLETED"}"#,
        r#"{"documentId":"a","status":"COMPLETED","title":"\udc00\ud800"}"#,
        r#"{"documentId":"a","status":"COMPLETED","result":{"\ud83d":1}}"#,
        r#"{"documentId":"a\nid: 1","status":"COMPLETED"}"#,
        r#"{"documentId":"a\u0000","status":"COMPLETED"}"#,
        r#"{"documentId":"a","status":"COMPLETED\n"}"#,
        r#"{"documentId":"","status":"COMPLETED"}"#,
        "{\"documentId\":\"a\",\"status\":\"COMPLETED\",\"title\":\"a\nb\"}",
    ] {
        let response = fixture.relay.send(&Request::post(&fixture.hook).json(bad));
        assert_eq!(response.status, 422, "{bad}: {response:?}");
    }
    let pair =
        fixture.relay.send(&Request::post(&fixture.hook).json(r#"{"documentId":"\ud83d\ude00","status":"COMPLETED"}"#));
    let event = follower.next_event();
    assert_eq!(Some(event.id.as_str()), pair.header("docrelay-event-id"));
    assert_eq!(event.json()["vendorId"], "😀");
    assert!(!matches!(follower.next(TIMEOUT.min(std::time::Duration::from_millis(1))), Next::End));
}
