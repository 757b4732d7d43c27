//! Parsing, verifying and rendering the format of zOffice.

use serde_json::{Value, json};

use crate::domain::{Hook, Secret, Status, Vendor, VendorError, Verify};
use crate::vendor::fixture::{ENDPOINT, Request, hook, now, open, outgoing_event};
use crate::vendor::render;

const SUCCESS: &str = include_str!("../../../tests/fixtures/zoffice/success.json");
const FAILURE: &str = include_str!("../../../tests/fixtures/zoffice/failure.json");

fn with_cookie(value: &str) -> Hook {
    hook(Vendor::Zoffice, Verify::Cookie { secret: Secret::new(value) })
}

fn post(code: &str, detail: &Value) -> Request {
    Request::post(json!({ "taskId": "t", "code": code, "detail": detail }).to_string())
}

#[test]
fn documented_success_is_parsed() {
    let update = Request::post(SUCCESS).update(&open(Vendor::Zoffice));
    assert_eq!(update.vendor_id.as_str(), "1c1cf10b-d9e6-4927-b75e-dddf6b441445");
    assert_eq!((update.status, update.title.as_deref()), (Status::Completed, Some("demo-docx.pdf")));
    let result = json!({
        "defaultDownloadPath": "/docs/open/v1/convert/download",
        "contentId": "640eeac02a9baf5dbc69d426",
        "filename": "demo-docx.pdf",
    });
    assert_eq!(update.result.map(Value::Object), Some(result));
    assert_eq!(update.dedup_key.as_deref(), Some("tasksuccessnotify:1c1cf10b-d9e6-4927-b75e-dddf6b441445"));
}

#[test]
fn documented_failure_is_parsed() {
    let update = Request::post(FAILURE).update(&open(Vendor::Zoffice));
    let error = VendorError { code: "TaskFailNotify".into(), message: "conversion format err".into() };
    assert_eq!((update.status, update.error), (Status::Error, Some(error)));
    assert_eq!(update.title.as_deref(), Some("demo-docx.pdf"));
}

#[test]
fn codes_are_case_insensitive_and_unknown_ones_malformed() {
    for (code, status) in [
        ("ConvertSuccessNotify", Status::Completed),
        ("TaskSuccessNotify", Status::Completed),
        ("ConvertFailNotify", Status::Error),
        ("convertFailNotify", Status::Error),
        ("TASKFAILNOTIFY", Status::Error),
        ("TaskHandingNotify", Status::Pending),
    ] {
        assert_eq!(post(code, &json!(null)).update(&open(Vendor::Zoffice)).status, status, "{code}");
    }
    for code in ["", "SuccessNotify", "IN_QUEUE", "TaskSuccessNotify "] {
        assert!(post(code, &json!(null)).is_malformed(&open(Vendor::Zoffice)), "{code}");
    }
    let keys = ["convertFailNotify", "ConvertFailNotify"]
        .map(|code| post(code, &json!(null)).update(&open(Vendor::Zoffice)).dedup_key);
    assert_eq!(keys[0], keys[1]);
}

#[test]
fn error_message_of_any_json_type_becomes_text() {
    for (msg, text) in [
        (json!("conversion fotmat err"), "conversion fotmat err"),
        (json!(-104), "-104"),
        (json!({ "a": [1] }), r#"{"a":[1]}"#),
        (json!(r#"{"code":3}"#), r#"{"code":3}"#),
        (json!(null), ""),
    ] {
        let update = post("TaskFailNotify", &json!({ "msg": msg })).update(&open(Vendor::Zoffice));
        assert_eq!(update.error.map(|e| e.message).as_deref(), Some(text));
    }
}

#[test]
fn only_task_id_and_code_are_required() {
    for body in [
        r#"{"taskId":"t","code":"TaskFailNotify"}"#,
        r#"{"taskId":"t","code":"TaskHandingNotify","detail":null}"#,
        r#"{"taskId":"t","code":"TaskSuccessNotify","detail":{}}"#,
        r#"{"taskId":"t","code":"TaskSuccessNotify","detail":{"taskStatus":"SUCCESS"}}"#,
    ] {
        assert_eq!(Request::post(body).update(&open(Vendor::Zoffice)).result, None, "{body}");
    }
    for body in ["{}", r#"{"code":"TaskFailNotify"}"#, r#"{"taskId":"t"}"#, r#"{"taskId":1.5,"code":"TaskFailNotify"}"#]
    {
        assert!(Request::post(body).is_malformed(&open(Vendor::Zoffice)), "{body}");
    }
    let odd = post("TaskSuccessNotify", &json!("done")).update(&open(Vendor::Zoffice));
    assert_eq!(odd.result.map(Value::Object), Some(json!({ "detail": "done" })));
}

#[test]
fn integer_task_id_is_accepted_and_rounded_one_malformed() {
    let post = |id: Value| Request::post(json!({ "taskId": id, "code": "TaskSuccessNotify" }).to_string());
    let update = post(json!(77)).update(&open(Vendor::Zoffice));
    assert_eq!((update.vendor_id.as_str(), update.dedup_key.as_deref()), ("77", Some("tasksuccessnotify:77")));
    for id in [json!(1e30), json!(null), json!(true), json!([77])] {
        assert!(post(id.clone()).is_malformed(&open(Vendor::Zoffice)), "{id}");
    }
}

#[test]
fn deduplication_ignores_case_of_uuid_task_ids() {
    let upper = SUCCESS.replace("1c1cf10b-d9e6-4927-b75e-dddf6b441445", "1C1CF10B-D9E6-4927-B75E-DDDF6B441445");
    let keys = [SUCCESS, &upper].map(|body| Request::post(body).update(&open(Vendor::Zoffice)).dedup_key);
    assert_eq!(keys[0], keys[1]);
}

#[test]
fn end_time_becomes_vendor_time() {
    let detail = json!({ "startTime": 1_678_699_200_000_i64, "endTime": "1678699201500" });
    let update = post("TaskSuccessNotify", &detail).update(&open(Vendor::Zoffice));
    assert_eq!(update.vendor_time.map(|t| t.millis()), Some(1_678_699_201_500));
    let update = post("TaskSuccessNotify", &json!({ "startTime": 1_678_699_200_000_i64 }));
    assert_eq!(update.update(&open(Vendor::Zoffice)).vendor_time.map(|t| t.millis()), Some(1_678_699_200_000));
}

#[test]
fn cookie_must_equal_the_whole_header() {
    let hook = with_cookie("key=value;key2=value2");
    let request = Request::post(SUCCESS);
    request.clone().header("Cookie", "key=value;key2=value2").update(&hook);
    for cookie in ["", "key=value", "key=value;key2=value22", "key=value; key2=value2"] {
        assert!(request.clone().header("Cookie", cookie).is_unauthorized(&hook), "{cookie}");
    }
    assert!(request.is_unauthorized(&hook));
    let twice = request.clone().header("Cookie", "key=value;key2=value2").header("Cookie", "key=value;key2=value2");
    assert!(twice.is_unauthorized(&hook));
    // An HTTP/2 client may send one header in pieces.
    request.header("Cookie", "a=1").header("Cookie", "b=2").update(&with_cookie("a=1; b=2"));
}

#[test]
fn authorization_must_occur_once_and_be_equal() {
    let hook = hook(Vendor::Zoffice, Verify::Authorization { secret: Secret::new("Bearer abc") });
    let request = Request::post(SUCCESS);
    request.clone().header("Authorization", "Bearer abc").update(&hook);
    for value in ["", "Bearer", "Bearer ab", "Bearer abcd", "bearer abc"] {
        assert!(request.clone().header("Authorization", value).is_unauthorized(&hook), "{value}");
    }
    let twice = request.header("Authorization", "Bearer abc").header("Authorization", "Bearer abc");
    assert!(twice.is_unauthorized(&hook));
}

#[test]
fn only_named_cookies_become_labels() {
    let mut hook = open(Vendor::Zoffice);
    hook.label_cookies = vec!["fileZTaskId".into(), "absent".into()];
    let update = Request::post(SUCCESS)
        .header("Cookie", "session=secret;fileZTaskId=42 ; x")
        .header("Cookie", "fileZTaskId=43")
        .update(&hook);
    assert_eq!(update.labels.into_iter().collect::<Vec<_>>(), [("fileZTaskId".into(), "42".into())]);
}

#[test]
fn pending_task_is_rendered_without_detail() {
    let out = render(Vendor::Zoffice, &outgoing_event("t", Status::Pending), ENDPOINT, &Verify::None {}, now());
    assert_eq!(out.expect("written").body, r#"{"taskId":"t","code":"TaskHandingNotify","detail":null}"#);
}

#[test]
fn configured_credential_header_is_sent() {
    for (verify, name) in [
        (Verify::Cookie { secret: Secret::new("k=v") }, "cookie"),
        (Verify::Authorization { secret: Secret::new("k=v") }, "authorization"),
    ] {
        let out = render(Vendor::Zoffice, &outgoing_event("t", Status::Completed), ENDPOINT, &verify, now())
            .expect("written");
        assert_eq!(out.headers[1], (name.to_owned(), "k=v".to_owned()));
        Request::of(&out).update(&hook(Vendor::Zoffice, verify));
    }
}
