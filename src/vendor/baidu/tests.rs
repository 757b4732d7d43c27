//! Parsing, verifying and rendering the format of Baidu DOC and its sibling products.

use serde_json::{Value, json};

use crate::domain::{Hook, Secret, Status, Timestamp, Vendor, VendorError, Verify};
use crate::vendor::fixture::{ENDPOINT, NOW, Request, hook, now, open, outgoing_event};
use crate::vendor::{RenderError, WebhookError, render, verify_and_parse};

/// The example of Baidu's documentation.
const PUBLISHED: &str = include_str!("../../../tests/fixtures/baidu/published.json");

fn verify() -> Verify {
    Verify::Baidu { secret: Secret::new("s3cret") }
}

fn signed() -> Hook {
    hook(Vendor::Baidu, verify())
}

fn body(message: &Value) -> Request {
    Request::post(json!({ "messageBody": message.to_string() }).to_string())
}

#[test]
fn documented_message_is_parsed() {
    let update = Request::post(PUBLISHED).update(&open(Vendor::Baidu));
    assert_eq!(update.vendor_id.as_str(), "doc-gkideq542yb44diy");
    assert_eq!((update.status, update.title.as_deref()), (Status::Completed, Some("doc_title")));
    let result = json!({ "pageCount": 1, "sizeInBytes": 33, "publishTime": "2016-12-08T08:45:37Z" });
    assert_eq!(update.result.map(Value::Object), Some(result));
    assert_eq!(update.vendor_time, Timestamp::parse("2016-12-08T08:45:37Z"));
    assert_eq!(update.dedup_key.as_deref(), Some("message:<message_id>"));
}

#[test]
fn message_body_may_be_object_or_string() {
    let message = json!({ "documentId": "doc-1", "status": "PUBLISHED", "title": "t" });
    let inside = Request::post(json!({ "messageId": "m", "messageBody": message }).to_string());
    let in_string = Request::post(json!({ "messageId": "m", "messageBody": message.to_string() }).to_string());
    assert_eq!(inside.update(&open(Vendor::Baidu)), in_string.update(&open(Vendor::Baidu)));
}

#[test]
fn documented_statuses_are_known_and_others_malformed() {
    for (word, status) in [
        ("PUBLISHED", Status::Completed),
        ("FAILED", Status::Error),
        ("UPLOADING", Status::Pending),
        ("PROCESSING", Status::Pending),
    ] {
        let update = body(&json!({ "documentId": "doc-1", "status": word })).update(&open(Vendor::Baidu));
        assert_eq!(update.status, status);
    }
    for word in ["published", "", "COMPLETED"] {
        assert!(body(&json!({ "documentId": "doc-1", "status": word })).is_malformed(&open(Vendor::Baidu)));
    }
}

#[test]
fn numeric_error_code_becomes_text() {
    let message = json!({ "documentId": "doc-1", "status": "FAILED", "error": { "code": 17, "message": "too big" } });
    let update = body(&message).update(&open(Vendor::Baidu));
    assert_eq!(update.error, Some(VendorError { code: "17".into(), message: "too big".into() }));
}

#[test]
fn sibling_products_without_message_id_deduplicate_by_state() {
    let message = json!({ "documentId": "d", "status": "FAILED", "notifyTime": "2016-12-08T08:45:37Z", "extra": 1 });
    let envelope =
        json!({ "messageBody": message.to_string(), "subscriptionName": "s", "version": "v1", "signature": "x" });
    let update = Request::post(envelope.to_string()).update(&open(Vendor::Baidu));
    assert_eq!(update.dedup_key.as_deref(), Some("state:FAILED:2016-12-08T08:45:37Z:d"));
    assert_eq!(update.result.map(Value::Object), Some(json!({ "extra": 1 })));
}

#[test]
fn integer_document_id_is_accepted() {
    let update = body(&json!({ "documentId": 77, "status": "PUBLISHED" })).update(&open(Vendor::Baidu));
    assert_eq!(update.vendor_id.as_str(), "77");
}

#[test]
fn blank_message_id_is_not_a_deduplication_key() {
    for id in [json!(""), json!(" "), json!({}), json!([]), json!(false), json!(null), json!(1.5)] {
        let keys = ["a", "b"].map(|document| {
            let message = json!({ "documentId": document, "status": "PUBLISHED" });
            let envelope = json!({ "messageId": id, "messageBody": message });
            Request::post(envelope.to_string()).update(&open(Vendor::Baidu)).dedup_key
        });
        assert_ne!(keys[0], keys[1], "{id}");
    }
}

#[test]
fn deduplication_ignores_the_case_of_uuids() {
    let keys = ["626626a0-749f-11e2-bfd6-00000000000a", "626626A0-749F-11E2-BFD6-00000000000A"].map(|id| {
        let message = json!({ "documentId": id, "status": "FAILED", "notifyTime": "2016-12-08T08:45:37Z" });
        body(&message).update(&open(Vendor::Baidu)).dedup_key
    });
    assert_eq!(keys[0], keys[1]);
}

#[test]
fn signature_expiry_is_at_most_a_day_ahead() {
    let body = r#"{"messageBody":{"documentId":"d","status":"FAILED"}}"#;
    let day = 24 * 3600 * 1000;
    let signed_until = |expire: i64| {
        let expire = expire.to_string();
        let text = format!("POST;{ENDPOINT};{body};{expire};user");
        let tag = crate::vendor::shared_secret::hex(&crate::vendor::shared_secret::hmac(b"s3cret", &[text.as_bytes()]));
        Request::post(body)
            .header("notification-auth-expire", &expire)
            .header("notification-auth-user", "user")
            .header("notification-auth-token", &tag)
    };
    for expire in [NOW * 1000 - 300_000, NOW * 1000 + day] {
        signed_until(expire).update(&signed());
    }
    for expire in [NOW * 1000 - 300_001, NOW * 1000 + day + 1, NOW * 1_000_000, i64::MAX] {
        assert!(signed_until(expire).is_unauthorized(&signed()), "{expire}");
    }
}

#[test]
fn own_signature_is_accepted_for_endpoint_or_host() {
    let out = render(Vendor::Baidu, &outgoing_event("doc-1", Status::Completed), ENDPOINT, &verify(), now());
    let request = Request::of(&out.expect("written"));
    request.update(&signed());
    let by_host = request.clone().header("host", "relay.example");
    let mut inbound = by_host.inbound();
    inbound.endpoint = None;
    assert!(verify_and_parse(&signed(), &inbound, now()).is_ok());
    let other_host = request.header("host", "other.example");
    let mut inbound = other_host.inbound();
    inbound.endpoint = None;
    assert!(matches!(verify_and_parse(&signed(), &inbound, now()), Err(WebhookError::Unauthorized(_))));
}

#[test]
fn signature_over_the_documented_text_is_accepted() {
    let body = r#"{"messageBody":"{\"documentId\":\"d\",\"status\":\"FAILED\"}"}"#;
    let expire = (NOW * 1000).to_string();
    let text = format!("POST;{ENDPOINT};{body};{expire};user");
    let tag = crate::vendor::shared_secret::hex(&crate::vendor::shared_secret::hmac(b"s3cret", &[text.as_bytes()]));
    let good = Request::post(body)
        .header("notification-auth-expire", &expire)
        .header("notification-auth-user", "user")
        .header("notification-auth-token", &tag);
    good.update(&signed());
    let doubled = good.clone().header("notification-auth-token", &tag);
    let mut changed = good.clone();
    changed.body.push(b' ');
    for bad in [doubled, changed, good.clone().without("notification-auth-user"), Request::post(body)] {
        assert!(bad.is_unauthorized(&signed()), "{bad:?}");
    }
    for expire in ["", "-1", "inf", "-9223372036854775808", "99999999999999999999", "1490254000000"] {
        let bad = good.clone().without("notification-auth-expire").header("notification-auth-expire", expire);
        assert!(bad.is_unauthorized(&signed()), "{expire}");
    }
    for token in ["", "00", &"0".repeat(64)] {
        let bad = good.clone().without("notification-auth-token").header("notification-auth-token", token);
        assert!(bad.is_unauthorized(&signed()), "{token}");
    }
}

#[test]
fn envelope_is_rendered_as_documented() {
    let mut event = outgoing_event("doc-gkideq542yb44diy", Status::Completed);
    event.update = Request::post(PUBLISHED).update(&open(Vendor::Baidu));
    event.message_id = "<message_id>".into();
    event.notification = "<notification_name>".into();
    let out = render(Vendor::Baidu, &event, ENDPOINT, &Verify::None {}, now()).expect("written");
    let compact: Value = serde_json::from_str(PUBLISHED).expect("JSON");
    assert_eq!(out.body, compact.to_string());
    assert_eq!(out.headers, [("content-type".into(), "application/json".into())]);
}

#[test]
fn pending_status_is_not_rendered() {
    let answer = render(Vendor::Baidu, &outgoing_event("d", Status::Pending), ENDPOINT, &Verify::None {}, now());
    assert_eq!(
        answer.map(|o| o.url),
        Err(RenderError::UnsupportedStatus { vendor: Vendor::Baidu, status: Status::Pending })
    );
}

#[test]
fn incomplete_message_is_malformed() {
    let bodies = [
        "",
        "[]",
        "{}",
        r#"{"messageBody":5}"#,
        r#"{"messageBody":""}"#,
        r#"{"messageBody":"[]"}"#,
        r#"{"messageBody":{"status":"PUBLISHED"}}"#,
        r#"{"messageBody":{"documentId":"d"}}"#,
        r#"{"messageBody":{"documentId":5.5,"status":"PUBLISHED"}}"#,
        r#"{"messageBody":{"documentId":"a\nb","status":"PUBLISHED"}}"#,
    ];
    for body in bodies {
        assert!(Request::post(body).is_malformed(&open(Vendor::Baidu)), "{body}");
    }
}
