//! Hooks for zOffice, which sends each callback once: every known variant must be accepted.

use serde_json::json;

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::request::Request;
use crate::harness::response::{assert_problem, stored_event_id};
use crate::harness::vendor_bodies::{ZOFFICE_FAILURE, ZOFFICE_HANDING, ZOFFICE_SUCCESS};

#[test]
fn zoffice_sample_success_and_failure_keep_task_uuid() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("zoffice").path;
    for body in [ZOFFICE_SUCCESS, ZOFFICE_FAILURE] {
        let id = stored_event_id(&relay.send(&Request::post(&hook).json(body)));
        assert_eq!(stored_event_id(&relay.send(&Request::post(&hook).json(body))), id);
    }
    let events = acme.events(2);
    let (done, failed) = (events[0].json(), events[1].json());
    assert_eq!([&done["status"], &done["documentId"]], ["COMPLETED", "1c1cf10b-d9e6-4927-b75e-dddf6b441445"]);
    assert_eq!(done["vendorId"], done["documentId"]);
    assert_eq!(done["title"], "demo-docx.pdf");
    assert_eq!(done["result"]["defaultDownloadPath"], "/docs/open/v1/convert/download");
    assert_eq!(done["result"]["contentId"], "640eeac02a9baf5dbc69d426");
    assert_eq!(failed["status"], "ERROR");
    assert_eq!(failed["error"], json!({"code": "TaskFailNotify", "message": "conversion format err"}));
}

#[test]
fn zoffice_spelling_variants_and_details_are_accepted() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("zoffice").path;
    let bodies = [
        (ZOFFICE_HANDING, "PENDING"),
        (
            r#"{"taskId":"1c1cf10b-d9e6-4927-b75e-dddf6b441445","code":"convertFailNotify","detail":{"taskStatus":"FAIL","msg":-7}}"#,
            "ERROR",
        ),
        (r#"{"taskId":"t2","code":"ConvertSuccessNotify"}"#, "COMPLETED"),
        (r#"{"taskId":"t3","code":"ConvertFailNotify","detail":{"taskStatus":"FAIL","msg":"{\"a\":1}"}}"#, "ERROR"),
        (r#"{"taskId":"t4","code":"TaskSuccessNotify","detail":"ready","extra":{"a":[1]}}"#, "COMPLETED"),
    ];
    for (body, _) in bodies {
        stored_event_id(&relay.send(&Request::post(&hook).json(body)));
    }
    let events = acme.events(bodies.len());
    for (event, (body, status)) in events.iter().zip(bodies) {
        assert_eq!(event.json()["status"], status, "{body}");
    }
    assert_eq!(events[1].json()["error"]["message"], "-7");
    assert_eq!(events[3].json()["error"]["message"], r#"{"a":1}"#);
    assert_eq!(events[4].json()["result"], json!({"detail": "ready", "extra": {"a": [1]}}));
    // In progress, then failed: two events of one document.
    assert_eq!(events[0].json()["documentId"], events[1].json()["documentId"]);
}

#[test]
fn zoffice_numeric_and_uppercase_task_ids_are_normalized() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("zoffice").path;
    let send = |task: &str| {
        relay.send(&Request::post(&hook).json(&format!(r#"{{"taskId":{task},"code":"TaskSuccessNotify"}}"#)))
    };
    let number = stored_event_id(&send("77"));
    assert_eq!(stored_event_id(&send(r#""77""#)), number);
    assert_problem(&send("77.5"), 422);
    let uuid = stored_event_id(&send(r#""1c1cf10b-d9e6-4927-b75e-dddf6b441445""#));
    assert_eq!(stored_event_id(&send(r#""1C1CF10B-D9E6-4927-B75E-DDDF6B441445""#)), uuid);
    assert_eq!(acme.events(2)[0].json()["vendorId"], "77");
}

#[test]
fn label_cookies_become_labels_and_others_are_dropped() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_hook(
        r#"{"vendor":"zoffice","verify":{"type":"cookie","secret":"fileZTaskId=row-7; sid=s3cr3t-cookie"},
            "labels":{"env":"test"},"labelCookies":["fileZTaskId"]}"#,
    );
    let send = |cookie: &str| relay.send(&Request::post(&hook.path).header("Cookie", cookie).json(ZOFFICE_SUCCESS));
    for wrong in ["fileZTaskId=row-7", "fileZTaskId=row-7; sid=s3cr3t-cookies", "sid=s3cr3t-cookie; fileZTaskId=row-7"]
    {
        assert_problem(&send(wrong), 401);
    }
    assert_problem(&relay.send(&Request::post(&hook.path).json(ZOFFICE_SUCCESS)), 401);
    let id = stored_event_id(&send("fileZTaskId=row-7; sid=s3cr3t-cookie"));
    assert_eq!(acme.events(1)[0].json()["labels"], json!({"env": "test", "fileZTaskId": "row-7"}));
    let raw = acme.get(&format!("/events/{id}/raw"));
    assert_eq!(raw.json()["headers"]["cookie"], "fileZTaskId=row-7");
    assert!(!raw.text().contains("s3cr3t"), "{}", raw.text());
}

#[test]
fn authorization_credential_is_compared_whole_and_never_stored() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_hook(r#"{"vendor":"zoffice","verify":{"type":"authorization","secret":"Token s3cr3t-value"}}"#);
    let with = |value: &str| Request::post(&hook.path).header("Authorization", value).json(ZOFFICE_SUCCESS);
    for wrong in ["Token s3cr3t-valu", "token s3cr3t-value", "Token s3cr3t-value2", "", "Bearer x"] {
        let why = assert_problem(&relay.send(&with(wrong)), 401);
        assert!(!why.contains("s3cr3t"), "{why}");
    }
    assert_problem(&relay.send(&with("Token s3cr3t-value").header("Authorization", "Token s3cr3t-value")), 401);
    let id = stored_event_id(&relay.send(&with("Token s3cr3t-value")));
    assert!(!acme.get(&format!("/events/{id}/raw")).text().contains("s3cr3t"));
}
