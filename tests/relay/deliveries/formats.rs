//! Formats of deliveries: every vendor's message in every format, unchanged in the vendor's own format.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::receiver::{Received, Receiver, Reply};
use crate::harness::request::Request;
use crate::harness::response::{assert_problem, stored_event_id, string_at};
use crate::harness::vendor_bodies::{
    BAIDU_PUBLISHED, GINI_COMPLETED, PPJ_COMPLETE, STANDARD_COMPLETED, ZOFFICE_SUCCESS,
};

/// A vendor, a message of success, and the id of its document.
const MESSAGES: [(&str, &str, &str); 5] = [
    ("ppj", PPJ_COMPLETE, "8v9iSKnj"),
    ("baidu", BAIDU_PUBLISHED, "doc-gkideq542yb44diy"),
    ("zoffice", ZOFFICE_SUCCESS, "1c1cf10b-d9e6-4927-b75e-dddf6b441445"),
    ("gini", GINI_COMPLETED, "626626a0-749f-11e2-bfd6-000000000000"),
    ("standard", STANDARD_COMPLETED, "job_1"),
];

/// Posts a message to a new hook of the vendor.
fn post_message(client: &TestClient<'_>, vendor: &str, message: &str) -> String {
    let hook = client.add_unverified_hook(vendor).path;
    stored_event_id(&client.relay.send(&match vendor {
        "ppj" => Request::get(&format!("{hook}?{message}")),
        _ => Request::post(&hook).json(message),
    }))
}

/// Reads a delivery in its format: the document and whether it is complete.
fn document_and_success(format: &str, request: &Received) -> (String, bool) {
    match format {
        "ppj" => {
            (request.parameter("token").expect("a token"), request.parameter("type").as_deref() == Some("complete"))
        }
        "baidu" => {
            let inner: Value =
                serde_json::from_str(&string_at(&request.json(), "messageBody")).expect("JSON in a string");
            (string_at(&inner, "documentId"), inner["status"] == "PUBLISHED")
        }
        "zoffice" => (string_at(&request.json(), "taskId"), request.json()["code"] == "TaskSuccessNotify"),
        "gini" => {
            let event = request.json();
            let id = event.get("vendorId").unwrap_or(&event["documentId"]);
            (id.as_str().expect("text").to_owned(), event["status"] == "COMPLETED")
        }
        _ => {
            let event = request.json();
            let data = &event["data"];
            let id = data.get("vendorId").unwrap_or(&data["id"]);
            (id.as_str().expect("text").to_owned(), event["type"] == "document.completed")
        }
    }
}

#[test]
fn every_vendor_message_is_delivered_in_every_format() {
    let relay = TestRelay::allowing_loopback_endpoints();
    for format in ["ppj", "baidu", "zoffice", "gini", "standard"] {
        let acme = TestClient::new(&relay, format);
        let receiver = Receiver::passing_handshake();
        let shown = acme.add_default_notification(format, &receiver.url("/notify?own=1"));
        assert_eq!((shown["format"].as_str(), shown["state"].as_str()), (Some(format), Some("active")), "{shown}");
        let handshakes = usize::from(format == "ppj");
        for (nth, (vendor, message, id)) in MESSAGES.iter().enumerate() {
            post_message(&acme, vendor, message);
            let request = receiver.wait(handshakes + nth + 1).pop().expect("one more");
            assert_eq!(
                document_and_success(format, &request),
                ((*id).to_owned(), true),
                "{vendor} to {format}: {request:?}"
            );
            assert_eq!(request.method, if format == "ppj" { "GET" } else { "POST" });
            assert!(request.target.starts_with("/notify?own=1"), "{request:?}");
            if *vendor != format {
                continue;
            }
            match format {
                "ppj" => assert_eq!(request.target, format!("/notify?own=1&{message}")),
                _ => assert_eq!(String::from_utf8_lossy(&request.body), *message, "byte for byte"),
            }
        }
        acme.wait_for_deliveries("state=delivered", |all| all.len() == MESSAGES.len());
    }
}

#[test]
fn deliveries_carry_credentials_signatures_and_message_ids() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    let (receiver, hook) = (Receiver::ok(), acme.add_unverified_hook("gini").path);
    acme.add_notification(&json!({ "name": "office", "endpoint": receiver.url("/office"), "format": "zoffice",
        "tokenType": "cookie", "tokenValue": "fileZTaskId=7;b=2" }));
    acme.add_notification(&json!({ "name": "baidus", "endpoint": receiver.url("/baidus"), "secret": "s" }));
    let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    acme.add_notification(&json!({ "name": "main", "endpoint": receiver.url("/main"), "format": "standard",
        "secret": key, "isDefault": true }));
    for name in ["office", "baidus"] {
        let body = json!({ "vendor": "gini", "vendorId": name, "notification": name });
        assert_eq!(acme.post("/documents", &body.to_string()).status, 201);
    }
    // zOffice's format has a message for PENDING, Baidu's has none.
    let pending = receiver.wait(1).pop().expect("one");
    assert_eq!((pending.target.as_str(), &pending.json()["code"]), ("/office", &json!("TaskHandingNotify")));
    let mut ids = Vec::new();
    for name in ["office", "baidus", "other"] {
        ids.push(acme.post_gini(&hook, name, "COMPLETED"));
    }
    let all = receiver.wait(4);
    let of = |path: &str| all.iter().rfind(|r| r.target == path).unwrap_or_else(|| panic!("nothing at {path}"));
    assert_eq!(of("/office").header("cookie"), Some("fileZTaskId=7;b=2"));
    let baidu = of("/baidus");
    assert_eq!(string_at(&baidu.json(), "messageId"), format!("msg_{}", ids[1].replace('.', "_")));
    assert_eq!(string_at(&baidu.json(), "notification"), "baidus");
    assert_eq!(baidu.header("notification-auth-token").map(str::len), Some(64));
    let main = of("/main");
    assert_eq!(main.header("webhook-id"), Some(format!("msg_{}", ids[2].replace('.', "_")).as_str()));
    assert!(main.header("webhook-signature").is_some_and(|s| s.starts_with("v1,") && !s.contains(' ')));
    // During a rotation, both secrets sign.
    let fresh = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDazfgh5bs";
    let changed = acme.send(Request::new("PUT", "/v2/notification/main").json(&json!({ "secret": fresh }).to_string()));
    assert_eq!(changed.status, 200, "{changed:?}");
    acme.post_gini(&hook, "another", "COMPLETED");
    let rotated = receiver.wait(5).pop().expect("one more");
    assert_eq!(rotated.header("webhook-signature").map(|s| s.split(' ').count()), Some(2));
}

#[test]
fn document_callback_is_called_besides_default_notification() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    let (default, own, hook) = (Receiver::ok(), Receiver::ok(), acme.add_unverified_hook("gini").path);
    acme.add_default_notification("gini", &default.url("/"));
    let callback =
        json!({ "url": own.url("/own"), "format": "zoffice", "tokenType": "header", "tokenValue": "Basic x" });
    let body = json!({ "vendor": "gini", "vendorId": "a", "callback": callback });
    assert_eq!(acme.post("/documents", &body.to_string()).status, 201);
    acme.post_gini(&hook, "a", "ERROR");
    acme.post_gini(&hook, "b", "COMPLETED");
    let own = own.wait(2);
    assert_eq!(
        own.iter().map(|r| string_at(&r.json(), "code")).collect::<Vec<_>>(),
        ["TaskHandingNotify", "TaskFailNotify"]
    );
    assert!(own.iter().all(|r| r.target == "/own" && r.header("authorization") == Some("Basic x")), "{own:?}");
    assert_eq!(default.wait(3).len(), 3, "two events of a and one of b");
    // The webhook may arrive before the application registers the document.
    let late = Receiver::ok();
    let callback = json!({ "url": late.url("/late"), "format": "gini" });
    let body = json!({ "vendor": "gini", "vendorId": "b", "callback": callback });
    assert_eq!(acme.post("/documents", &body.to_string()).status, 200);
    // The original message, because the vendor's format is that of the callback.
    assert_eq!(late.wait(1)[0].json(), json!({ "documentId": "b", "status": "COMPLETED" }));
    assert_problem(&acme.post("/documents", r#"{"vendor":"gini","vendorId":"c","notification":"unknown"}"#), 400);
}

#[test]
fn ppj_endpoint_receives_nothing_before_handshake_succeeds() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    let passes = Arc::new(AtomicBool::new(false));
    let endpoint_passes = passes.clone();
    let receiver = Receiver::start(move |received, _| {
        let mut reply = Reply::status(200);
        if let (Some(nonce), true) = (received.parameter("nonce"), endpoint_passes.load(Ordering::SeqCst)) {
            reply.body = format!(r#"{{"nonce":"{nonce}"}}"#);
        }
        reply
    });
    let hook = acme.add_unverified_hook("gini").path;
    assert_eq!(acme.add_default_notification("ppj", &receiver.url("/n"))["state"], "unverified");
    acme.post_gini(&hook, "a", "COMPLETED");
    // One handshake at the creation, one before the first attempt.
    let handshakes = receiver.wait(2);
    assert!(handshakes.iter().all(|r| r.parameter("type").as_deref() == Some("verify")), "{handshakes:?}");
    let delivery = acme.wait_for_attempt("state=pending");
    assert!(string_at(&delivery["attempts"][0], "reason").contains("verif"), "{delivery:?}");
    let refused = acme.post("/v2/notification/main/verify", "");
    assert_eq!((refused.status, refused.json()["message"].is_string()), (400, true), "{refused:?}");
    passes.store(true, Ordering::SeqCst);
    let passed = acme.post("/v2/notification/main/verify", "");
    assert_eq!((passed.status, passed.json()["state"].as_str()), (200, Some("active")), "{passed:?}");
    // Pending deliveries are sent at once, before their scheduled time.
    let all = receiver.wait(5);
    assert_eq!(all[4].target, "/n?type=complete&token=a&code=0");
    assert_eq!(all.len(), 5);
}
