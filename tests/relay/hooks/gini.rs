//! Gini's format on a hook: one relay can feed another.

use serde_json::json;

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::request::Request;
use crate::harness::response::{assert_problem, stored_event_id};
use crate::harness::vendor_bodies::{GINI_COMPLETED, GINI_ERROR, GINI_PENDING};

#[test]
fn gini_documented_messages_become_events() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("gini").path;
    let ids = [GINI_PENDING, GINI_COMPLETED, GINI_ERROR]
        .map(|body| stored_event_id(&relay.send(&Request::post(&hook).json(body))));
    for ((event, id), status) in acme.events(3).iter().zip(ids).zip(["PENDING", "COMPLETED", "ERROR"]) {
        assert_eq!((&event.id, &event.json()["status"]), (&id, &json!(status)));
        assert_eq!(event.json()["documentId"], "626626a0-749f-11e2-bfd6-000000000000");
    }
}

#[test]
fn gini_document_id_is_kept_and_repeats_are_detected() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_hook(r#"{"vendor":"gini","verify":{"type":"authorization","secret":"BEARER gini"}}"#).path;
    let send = |status: &str| {
        let body =
            format!(r#"{{"documentId":"626626A0-749F-11E2-BFD6-000000000000","status":"{status}","progress":1}}"#);
        relay.send(&Request::post(&hook).header("Authorization", "BEARER gini").json(&body))
    };
    let ids = ["PENDING", "COMPLETED"].map(|status| stored_event_id(&send(status)));
    assert_eq!(stored_event_id(&send("COMPLETED")), ids[1]);
    assert_problem(&relay.send(&Request::post(&hook).json(r#"{"documentId":"x","status":"PENDING"}"#)), 401);
    let events = acme.events(2);
    assert_eq!([&events[0].id, &events[1].id], [&ids[0], &ids[1]]);
    let json = events[1].json();
    assert_eq!(json["documentId"], "626626a0-749f-11e2-bfd6-000000000000");
    assert_eq!(json["result"], json!({"progress": 1}), "unknown keys become the result");
}
