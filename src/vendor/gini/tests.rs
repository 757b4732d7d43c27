//! Parsing, verifying and rendering the format of Gini.

use serde_json::{Value, json};

use crate::domain::{Secret, Status, Vendor, VendorError, Verify};
use crate::vendor::fixture::{ENDPOINT, Request, hook, now, open, outgoing_event};
use crate::vendor::render;

#[test]
fn documented_event_is_parsed() {
    let body = include_str!("../../../tests/fixtures/gini/completed.json");
    let update = Request::post(body).update(&open(Vendor::Gini));
    assert_eq!(update.vendor_id.as_str(), "626626a0-749f-11e2-bfd6-000000000000");
    assert_eq!((update.status, update.result, update.dedup_key), (Status::Completed, None, None));
}

#[test]
fn three_statuses_are_known_and_others_malformed() {
    for status in Status::ALL {
        let body = json!({ "documentId": "d", "status": status }).to_string();
        assert_eq!(Request::post(body).update(&open(Vendor::Gini)).status, status);
    }
    for bad in [json!("completed"), json!(""), json!(1), json!(null), json!(["COMPLETED"])] {
        let body = json!({ "documentId": "d", "status": bad }).to_string();
        assert!(Request::post(body).is_malformed(&open(Vendor::Gini)), "{bad}");
    }
}

#[test]
fn integer_document_id_is_accepted_and_rounded_one_malformed() {
    let post = |id: Value| Request::post(json!({ "documentId": id, "status": "COMPLETED" }).to_string());
    assert_eq!(post(json!(77)).update(&open(Vendor::Gini)).vendor_id.as_str(), "77");
    for id in [json!(1.5), json!(1e30), json!(null), json!(true), json!({})] {
        assert!(post(id.clone()).is_malformed(&open(Vendor::Gini)), "{id}");
    }
}

#[test]
fn unknown_keys_are_added_to_the_result() {
    let body = json!({
        "documentId": "d", "status": "ERROR", "title": "t", "error": { "code": 5, "message": "m" },
        "vendorTime": "2016-12-08T08:45:37Z", "progress": 7, "result": { "pages": 3 },
    });
    let update = Request::post(body.to_string()).update(&open(Vendor::Gini));
    assert_eq!(update.title.as_deref(), Some("t"));
    assert_eq!(update.error, Some(VendorError { code: "5".into(), message: "m".into() }));
    assert_eq!(update.vendor_time.map(|t| t.seconds()), Some(1_481_186_737));
    assert_eq!(update.result.map(Value::Object), Some(json!({ "pages": 3, "progress": 7 })));
}

#[test]
fn stored_event_is_rendered_unchanged() {
    let mut event = outgoing_event("d", Status::Completed);
    event.event = Some("{\"documentId\":\"x\",\"status\":\"COMPLETED\",\"time\":1}".into());
    let out = render(Vendor::Gini, &event, ENDPOINT, &Verify::None {}, now()).expect("written");
    assert_eq!(Some(out.body), event.event);
    event.event = None;
    let out = render(Vendor::Gini, &event, ENDPOINT, &Verify::None {}, now()).expect("written");
    assert_eq!(out.body, r#"{"documentId":"d","status":"COMPLETED"}"#);
}

#[test]
fn authorization_must_be_equal() {
    let verify = Verify::Authorization { secret: Secret::new("BEARER x") };
    let out = render(Vendor::Gini, &outgoing_event("d", Status::Pending), ENDPOINT, &verify, now()).expect("written");
    let good = Request::of(&out);
    let hook = hook(Vendor::Gini, verify);
    good.update(&hook);
    assert!(good.without("authorization").is_unauthorized(&hook));
}
