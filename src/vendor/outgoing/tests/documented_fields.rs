//! Translated requests have every field of the vendor's documentation with its type, and no other: receivers with
//! strict types refuse anything else.

use serde_json::{Map, Value, json};

use super::{PPJ_SECRET, secrets, value};
use crate::domain::{Format, Status, Timestamp, VendorError};
use crate::vendor::fixture::{ENDPOINT, now, outgoing_event};
use crate::vendor::{OutgoingEvent, render_notification};

fn event(status: Status, result: Value) -> OutgoingEvent {
    let mut event = outgoing_event("job-1", status);
    event.update.result = result.as_object().cloned();
    event
}

fn body(format: Format, event: &OutgoingEvent) -> Map<String, Value> {
    let out = render_notification(format, event, None, ENDPOINT, &[], now()).expect("rendered");
    serde_json::from_slice(&out.body).expect("an object")
}

/// `messageBody` of Baidu's format.
fn message(event: &OutgoingEvent) -> Value {
    let text = body(Format::Baidu, event)["messageBody"].as_str().expect("a string").to_owned();
    serde_json::from_str(&text).expect("JSON in a string")
}

#[test]
fn baidu_publish_info_has_its_three_fields_and_no_other() {
    let neutral = json!({ "pageCount": 0, "sizeInBytes": 0, "publishTime": "2017-03-23T07:49:58Z" });
    for unknown in [
        Value::Null,
        json!({ "pages": 3, "url": "u" }),
        json!({ "pageCount": "3", "sizeInBytes": -1, "publishTime": "yesterday" }),
        json!({ "pageCount": 1.5, "sizeInBytes": null, "publishTime": 7 }),
    ] {
        let message = message(&event(Status::Completed, unknown));
        assert_eq!(message["publishInfo"], neutral);
        assert_eq!((&message["title"], message.get("error")), (&json!(""), None));
    }
    let known = json!({ "pageCount": 1, "sizeInBytes": 33, "publishTime": "2016-12-08T08:45:37Z" });
    assert_eq!(message(&event(Status::Completed, known.clone()))["publishInfo"], known);
    let exact = json!({ "publishTime": "2016-12-08T08:45:37.123+00:00" });
    assert_eq!(message(&event(Status::Completed, exact))["publishInfo"]["publishTime"], "2016-12-08T08:45:37Z");
    let mut timed = event(Status::Completed, Value::Null);
    timed.update.vendor_time = Some(Timestamp::from_seconds(1_481_186_737));
    assert_eq!(message(&timed)["publishInfo"]["publishTime"], "2016-12-08T08:45:37Z");
}

#[test]
fn baidu_error_has_code_and_message_without_publish_info() {
    let message = message(&event(Status::Error, json!({ "pages": 3 })));
    assert_eq!((&message["error"], message.get("publishInfo")), (&json!({ "code": "", "message": "" }), None));
}

#[test]
fn zoffice_detail_has_its_documented_fields_and_no_other() {
    let neutral = json!({ "taskStatus": "SUCCESS", "defaultDownloadPath": "", "contentId": "", "filename": "" });
    for unknown in [Value::Null, json!({ "pages": 3 }), json!({ "contentId": 7, "defaultDownloadPath": null })] {
        assert_eq!(body(Format::Zoffice, &event(Status::Completed, unknown))["detail"], neutral);
    }
    let mut known = event(
        Status::Completed,
        json!({ "contentId": "640eeac02a9baf5dbc69d426", "defaultDownloadPath": "/d", "filename": "a.pdf", "msg": "x" }),
    );
    let all = json!({ "taskStatus": "SUCCESS", "defaultDownloadPath": "/d", "contentId": "640eeac02a9baf5dbc69d426",
        "filename": "a.pdf" });
    assert_eq!(body(Format::Zoffice, &known)["detail"], all);
    known.update.title = Some("b.pdf".to_owned());
    assert_eq!(body(Format::Zoffice, &known)["detail"]["filename"], "b.pdf");

    let failed = |error: Option<VendorError>| {
        let mut event = event(Status::Error, json!({ "pages": 3 }));
        event.update.error = error;
        body(Format::Zoffice, &event)["detail"].clone()
    };
    assert_eq!(failed(None), json!({ "taskStatus": "FAIL", "msg": "", "filename": "" }));
    let error = VendorError { code: "E1".into(), message: String::new() };
    assert_eq!(failed(Some(error)), json!({ "taskStatus": "FAIL", "msg": "E1", "filename": "" }));
    assert_eq!(body(Format::Zoffice, &event(Status::Pending, Value::Null))["detail"], Value::Null);
}

#[test]
fn ppj_request_always_has_type_token_and_code() {
    for (status, sent) in
        [(Status::Completed, "type=complete&token=job-1&code=0"), (Status::Error, "type=error&token=job-1&code=1")]
    {
        let out = render_notification(
            Format::Ppj,
            &event(status, Value::Null),
            None,
            "https://h/n",
            &secrets(&[PPJ_SECRET]),
            now(),
        );
        let out = out.expect("rendered");
        assert_eq!(out.url, format!("https://h/n?{sent}"));
        assert_eq!(value(&out.headers, "x-ppj-signature").len(), 64);
    }
}

#[test]
fn standard_data_has_identifiers_and_status() {
    let body = body(Format::Standard, &event(Status::Error, Value::Null));
    assert_eq!((&body["type"], &body["timestamp"]), (&json!("document.failed"), &json!(now())));
    assert_eq!(body["data"], json!({ "vendorId": "job-1", "documentId": "job-1", "status": "ERROR" }));
}
