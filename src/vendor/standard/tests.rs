//! Parsing, verifying and rendering of Standard Webhooks and CloudEvents.

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::domain::{Hook, Secret, Status, Timestamp, Vendor, VendorError, Verify};
use crate::vendor::fixture::{ENDPOINT, NOW, Request, hook, now, open, outgoing_event};
use crate::vendor::{ParsedMessage, WebhookError, verify_and_parse};

use super::{Mode, render};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn verify(secrets: &[&str]) -> Verify {
    Verify::Standard { secrets: secrets.iter().map(|s| Secret::new(s)).collect() }
}

fn signed() -> Hook {
    hook(Vendor::Standard, verify(&[SECRET]))
}

fn sent(mode: Mode, secrets: &[&str]) -> Request {
    let out = render(mode, &outgoing_event("job-1", Status::Completed), ENDPOINT, &verify(secrets), now());
    Request::of(&out.expect("written"))
}

#[test]
fn published_vector_is_accepted_at_its_time() {
    let request = Request::post(r#"{"test": 2432232314}"#)
        .header("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
        .header("webhook-timestamp", "1614265330")
        .header("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    for (apart, good) in [(0, true), (300, true), (-300, true), (301, false), (-301, false)] {
        let answer = verify_and_parse(&signed(), &request.inbound(), Timestamp::from_seconds(1_614_265_330 + apart));
        assert_eq!(matches!(answer, Err(WebhookError::Malformed(_))), good, "{apart}: {answer:?}");
    }
}

#[test]
fn any_secret_with_any_listed_signature_is_accepted() {
    let other = format!("whsec_{}", BASE64.encode(&[9; 32]));
    let third = format!("whsec_{}", BASE64.encode(&[8; 32]));
    for mode in [Mode::Webhook, Mode::Structured, Mode::Binary] {
        sent(mode, &[&other]).update(&hook(Vendor::Standard, verify(&[SECRET, &other])));
        sent(mode, &[&other, SECRET]).update(&signed());
        assert!(sent(mode, &[&third]).is_unauthorized(&hook(Vendor::Standard, verify(&[SECRET, &other]))));
    }
}

// Rule 15: signatures are compared whole.
// Rule 16: nothing verifies by being empty, unknown or repeated.
#[test]
fn empty_short_wrong_or_repeated_signatures_are_rejected() {
    let good = sent(Mode::Webhook, &[SECRET]);
    let signature = good.headers["webhook-signature"].to_str().expect("text").to_owned();
    let bare = signature.trim_start_matches("v1,");
    for bad in [
        "",
        "v1,",
        "v1",
        " ",
        "v1, v1,",
        bare,
        &signature[..signature.len() - 4],
        &format!("v1a,{bare}"),
        &format!("v2,{bare}"),
        &format!("V1,{bare}"),
        &signature.replace(',', "="),
        &"v1, ".repeat(500),
    ] {
        let request = good.clone().without("webhook-signature").header("webhook-signature", bad);
        assert!(request.is_unauthorized(&signed()), "{bad}");
    }
    assert!(good.clone().header("webhook-signature", &signature).is_unauthorized(&signed()));
    for (name, value) in [
        ("webhook-id", ""),
        ("webhook-id", " \t"),
        ("webhook-id", "other"),
        ("webhook-timestamp", ""),
        ("webhook-timestamp", "inf"),
        ("webhook-timestamp", "-9223372036854775808"),
        ("webhook-timestamp", "9223372036854775807"),
        ("webhook-timestamp", &(NOW + 1).to_string()),
        ("webhook-timestamp", "1e300"),
    ] {
        assert!(good.clone().without(name).header(name, value).is_unauthorized(&signed()), "{name}: {value}");
    }
    let mut changed = good;
    changed.body.push(b' ');
    assert!(changed.is_unauthorized(&signed()));
}

#[test]
fn type_or_data_status_selects_the_status() {
    for (kind, event, status) in [
        ("document.completed", json!(null), Some(Status::Completed)),
        ("document.failed", json!(null), Some(Status::Error)),
        ("document.pending", json!(null), Some(Status::Pending)),
        ("com.example.Document.Succeeded.v1", json!(null), Some(Status::Completed)),
        ("completed", json!("ERROR"), Some(Status::Completed)),
        ("document.updated", json!("ERROR"), Some(Status::Error)),
        ("document.updated", json!("processing"), Some(Status::Pending)),
        ("document.updated", json!("unheard of"), None),
        ("document.updated", json!(1), None),
        ("", json!(null), None),
    ] {
        let body = json!({ "type": kind, "timestamp": "2016-12-08T08:45:37Z", "data": { "id": 7, "status": event } });
        let request = Request::post(body.to_string());
        match status {
            Some(status) => assert_eq!(request.update(&open(Vendor::Standard)).status, status, "{kind} {event}"),
            None => assert!(request.is_malformed(&open(Vendor::Standard)), "{kind} {event}"),
        }
    }
}

#[test]
fn standard_webhook_envelope_is_parsed() {
    let body = json!({
        "type": "document.failed", "timestamp": "2016-12-08T08:45:37Z",
        "data": {
            "documentId": "d", "vendorId": "v", "title": "t", "error": { "code": 7, "message": "m" },
            "result": { "a": 1 }, "pages": 2,
        },
    });
    let update = Request::post(body.to_string()).header("webhook-id", "msg_1").update(&open(Vendor::Standard));
    assert_eq!((update.vendor_id.as_str(), update.title.as_deref()), ("v", Some("t")));
    assert_eq!(update.error, Some(VendorError { code: "7".into(), message: "m".into() }));
    assert_eq!(update.result.map(Value::Object), Some(json!({ "a": 1, "pages": 2 })));
    assert_eq!(update.vendor_time.map(|t| t.seconds()), Some(1_481_186_737));
    assert_eq!(update.dedup_key.as_deref(), Some("webhook:msg_1"));
    for bad in [
        "{}",
        r#"{"type":"a.completed"}"#,
        r#"{"type":"a.completed","data":[]}"#,
        r#"{"type":5,"data":{"id":"a"}}"#,
        r#"{"type":"a.completed","data":{}}"#,
        r#"{"type":"a.completed","data":{"id":{}}}"#,
        r#"{"type":"a.completed","data":{"id":"\u0000"}}"#,
        "[]",
    ] {
        assert!(Request::post(bad).is_malformed(&open(Vendor::Standard)), "{bad}");
    }
}

#[test]
fn blank_webhook_id_is_neither_key_nor_valid_signature() {
    let body = r#"{"type":"a.completed","data":{"id":"a"}}"#;
    for id in ["", " ", "\t"] {
        let open_to_all = Request::post(body).header("webhook-id", id).update(&open(Vendor::Standard));
        assert_eq!(open_to_all.dedup_key, None, "{id:?}");
        let mut event = outgoing_event("job-1", Status::Completed);
        event.message_id = id.into();
        let out = render(Mode::Webhook, &event, ENDPOINT, &verify(&[SECRET]), now()).expect("written");
        assert!(Request::of(&out).is_unauthorized(&signed()), "{id:?}");
    }
    assert_eq!(Request::post(body).update(&open(Vendor::Standard)).dedup_key, None);
}

fn structured(change: impl Fn(&mut Value)) -> Request {
    let mut event = json!({
        "specversion": "1.0", "id": "1", "source": "/s", "type": "a.completed", "subject": "job-1",
        "time": "2016-12-08T08:45:37Z",
    });
    change(&mut event);
    Request::post(event.to_string()).header("content-type", "application/cloudevents+json; charset=utf-8")
}

#[test]
fn structured_cloudevent_is_parsed_with_each_form_of_data() {
    let hook = open(Vendor::Standard);
    let bare = structured(|_| {}).update(&hook);
    assert_eq!((bare.vendor_id.as_str(), bare.status), ("job-1", Status::Completed));
    assert_eq!(bare.dedup_key.as_deref(), Some("cloudevent:2:/s:1"));
    assert_eq!(bare.vendor_time.map(|t| t.seconds()), Some(1_481_186_737));
    let with_data = structured(|e| e["data"] = json!({ "vendorId": "v", "title": "t" })).update(&hook);
    assert_eq!((with_data.vendor_id.as_str(), with_data.title.as_deref()), ("v", Some("t")));
    let encoded = structured(|e| e["data_base64"] = json!(BASE64.encode(br#"{"id":"w"}"#))).update(&hook);
    assert_eq!(encoded.vendor_id.as_str(), "w");
    for (key, value) in [
        ("specversion", json!("0.3")),
        ("specversion", json!(null)),
        ("id", json!("")),
        ("source", json!(null)),
        ("type", json!(5)),
        ("data", json!("text")),
        ("data_base64", json!("!")),
        ("subject", json!(null)),
    ] {
        assert!(structured(|e| e[key] = value.clone()).is_malformed(&hook), "{key} {value}");
    }
}

#[test]
fn null_member_of_structured_cloudevent_counts_as_absent() {
    let hook = open(Vendor::Standard);
    let (data, base64) = (json!({ "id": "w" }), json!(BASE64.encode(br#"{"id":"w"}"#)));
    let both = |data: &Value, base64: &Value| {
        structured(|e| {
            e["data"] = data.clone();
            e["data_base64"] = base64.clone();
        })
    };
    for (data, base64, id) in
        [(&data, &json!(null), "w"), (&json!(null), &base64, "w"), (&json!(null), &json!(null), "job-1")]
    {
        assert_eq!(both(data, base64).update(&hook).vendor_id.as_str(), id, "{data} {base64}");
    }
    for (data, base64) in [(&data, &base64), (&data, &json!(5)), (&json!(null), &json!({}))] {
        assert!(both(data, base64).is_malformed(&hook), "{data} {base64}");
    }
}

#[test]
fn cloudevent_without_id_or_source_is_malformed() {
    let hook = open(Vendor::Standard);
    let binary = Request::post("")
        .header("ce-specversion", "1.0")
        .header("ce-id", "1")
        .header("ce-source", "/s")
        .header("ce-type", "a.failed")
        .header("ce-subject", "job-1");
    binary.update(&hook);
    for name in ["id", "source"] {
        for value in [json!(""), json!(null), json!(1), json!({})] {
            assert!(structured(|e| e[name] = value.clone()).is_malformed(&hook), "{name} {value}");
        }
        let header = format!("ce-{name}");
        assert!(binary.clone().without(&header).is_malformed(&hook), "{name}");
        for value in ["", "\"\""] {
            let empty = binary.clone().without(&header).header(&header, value);
            assert!(empty.is_malformed(&hook), "{name} {value:?}");
        }
    }
}

#[test]
fn binary_cloudevent_headers_are_decoded() {
    let hook = open(Vendor::Standard);
    let request = Request::post("")
        .header("ce-specversion", "1.0")
        .header("ce-id", "1")
        .header("ce-source", "\"/s \\\"q\\\"\"")
        .header("ce-type", "a.failed")
        .header("ce-subject", "Euro%20%E2%82%AC%20100%+1");
    let update = request.update(&hook);
    assert_eq!((update.vendor_id.as_str(), update.status), ("Euro € 100%+1", Status::Error));
    assert_eq!(update.dedup_key.as_deref(), Some("cloudevent:6:/s \"q\":1"));
    assert!(request.clone().header("ce-id", "2").is_malformed(&hook));
    assert!(request.clone().without("ce-id").is_malformed(&hook));
    assert!(request.clone().without("ce-subject").header("ce-subject", "%FF").is_malformed(&hook));
    let mut pdf = request.header("content-type", "application/pdf");
    pdf.body = b"%PDF".to_vec();
    assert!(pdf.is_malformed(&hook));
}

#[test]
fn cloudevent_batches_and_other_formats_are_malformed() {
    for media in ["application/cloudevents-batch+json", "application/cloudevents+avro", "Application/CloudEvents+XML"] {
        assert!(Request::post("[]").header("content-type", media).is_malformed(&open(Vendor::Standard)), "{media}");
    }
}

#[test]
fn options_handshake_grants_requested_rate_without_credentials() {
    let mut ask = Request::post("").header("WebHook-Request-Origin", "eventemitter.example.com");
    ask.method = http::Method::OPTIONS;
    let allowed = |request: &Request| match request.parse(&signed()) {
        Ok(ParsedMessage::Handshake(reply)) => reply.headers,
        other => panic!("{other:?}"),
    };
    let origin = ("WebHook-Allowed-Origin", "eventemitter.example.com".to_owned());
    assert_eq!(allowed(&ask), [origin.clone(), ("WebHook-Allowed-Rate", "*".into())]);
    let rated = ask.clone().header("WebHook-Request-Rate", "120");
    assert_eq!(allowed(&rated), [origin.clone(), ("WebHook-Allowed-Rate", "120".into())]);
    let odd = ask.clone().header("WebHook-Request-Rate", "-1");
    assert_eq!(allowed(&odd), [origin, ("WebHook-Allowed-Rate", "*".into())]);
    let preflight = ask.without("WebHook-Request-Origin");
    assert!(matches!(preflight.parse(&signed()), Err(WebhookError::MethodNotAllowed("POST, OPTIONS"))));
}
