//! Property tests of every dialect: arbitrary requests cause no panic, and rendered events parse back unchanged.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::{Strategy, any, prop, prop_assert_eq, proptest};
use serde_json::Value;

use crate::domain::{Status, Vendor};
use crate::vendor::fixture::{ENDPOINT, Request, every_hook, now, outgoing_event};
use crate::vendor::{ParsedMessage, parse_verified, render};

/// Keys that pass the first checks, so that random bodies reach the deeper ones.
const KEYS: [&str; 24] = [
    "documentId",
    "status",
    "title",
    "error",
    "result",
    "messageBody",
    "messageId",
    "publishInfo",
    "notifyTime",
    "taskId",
    "code",
    "detail",
    "msg",
    "endTime",
    "type",
    "timestamp",
    "data",
    "id",
    "specversion",
    "source",
    "subject",
    "data_base64",
    "vendorId",
    "filename",
];
const WORDS: [&str; 12] = [
    "COMPLETED",
    "PUBLISHED",
    "FAILED",
    "ERROR",
    "TaskFailNotify",
    "document.failed",
    "1.0",
    "a",
    "\u{0}",
    "",
    "2016-12-08T08:45:37Z",
    "-9223372036854775808",
];

fn plausible() -> impl Strategy<Value = Value> {
    let leaf = proptest::prop_oneof![
        prop::sample::select(&WORDS[..]).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|f| serde_json::Number::from_f64(f).map_or(Value::Null, Value::Number)),
        any::<bool>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 8, |inner| {
        let object = prop::collection::vec((prop::sample::select(&KEYS[..]), inner.clone()), 0..8);
        let object =
            object.prop_map(|pairs| Value::Object(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()));
        proptest::prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::Array),
            object.clone(),
            // JSON inside a string, as in Baidu's messageBody.
            object.prop_map(|v| Value::String(v.to_string())),
        ]
    })
}

const HEADERS: [&str; 16] = [
    "content-type",
    "cookie",
    "authorization",
    "host",
    "x-ppj-timestamp",
    "x-ppj-signature",
    "notification-auth-expire",
    "notification-auth-user",
    "notification-auth-token",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "ce-specversion",
    "ce-id",
    "ce-subject",
    "webhook-request-origin",
];

fn headers() -> impl Strategy<Value = HeaderMap> {
    let value = proptest::prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        prop::sample::select(
            &["1490255398", "1.0", "v1,", "\"", "%", "%E2%8", "\\", "application/cloudevents+json"][..]
        )
        .prop_map(|s| s.as_bytes().to_vec()),
    ];
    prop::collection::vec((prop::sample::select(&HEADERS[..]), value), 0..8).prop_map(|pairs| {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.append(HeaderName::from_static(name), value);
            }
        }
        headers
    })
}

proptest! {
    #[test]
    fn arbitrary_requests_make_no_dialect_panic(
        body in proptest::prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            plausible().prop_map(|v| v.to_string().into_bytes()),
        ],
        query in proptest::option::of("([a-z_]{0,9}=?[!-~]{0,12}&?){0,6}|type=(verify|error|complete)&(token|nonce)=.{0,9}"),
        headers in headers(),
        method in prop::sample::select(&["GET", "POST", "OPTIONS"][..]),
        path in "[/!-~é]{0,20}",
    ) {
        let method: Method = method.parse().expect("a method");
        let request = Request { method, path, query, headers, body };
        for hook in every_hook() {
            let read = request.parse(&hook);
            let kept = parse_verified(&hook, &request.inbound());
            // Verification does not change the parsed update; only the OPTIONS handshake differs.
            if let (Ok(ParsedMessage::Update(read)), Ok(ParsedMessage::Update(kept))) = (&read, &kept) {
                prop_assert_eq!(read, kept);
            }
        }
    }

    #[test]
    fn arbitrary_identifiers_and_titles_survive_a_round_trip(
        id in "\\PC{1,40}",
        title in any::<String>(),
    ) {
        for hook in every_hook() {
            let Ok(vendor_id) = id.parse() else { continue };
            let mut event = outgoing_event("a", Status::Completed);
            event.document_id = id.clone();
            event.update.vendor_id = vendor_id;
            event.update.title = Some(title.clone()).filter(|t| !t.is_empty());
            let out = render(hook.vendor, &event, ENDPOINT, &hook.verify, now()).expect("written");
            // In a query a replacement character is indistinguishable from invalid UTF-8 and is rejected.
            if hook.vendor == Vendor::Ppj && id.contains(char::REPLACEMENT_CHARACTER) {
                continue;
            }
            let read = Request::of(&out).update(&hook);
            prop_assert_eq!(&read.vendor_id, &event.update.vendor_id);
            if hook.vendor != Vendor::Ppj {
                prop_assert_eq!(&read.title, &event.update.title);
            }
        }
    }
}
