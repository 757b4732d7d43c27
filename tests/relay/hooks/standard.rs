//! Standard Webhooks and CloudEvents, which share a hook.

use serde_json::json;

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::request::Request;
use crate::harness::response::{assert_problem, stored_event_id};
use crate::harness::signature::{now, webhook_signature};
use crate::harness::vendor_bodies::{CLOUDEVENT_BINARY, CLOUDEVENT_STRUCTURED, STANDARD_COMPLETED, STANDARD_FAILED};

const OLD_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

#[test]
fn standard_webhook_verifies_with_either_of_two_secrets() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let verify = format!(r#"{{"type":"standard","secrets":["{NEW_SECRET}","{OLD_SECRET}"]}}"#);
    let hook = acme.add_hook(&format!(r#"{{"vendor":"standard","verify":{verify}}}"#)).path;
    let body = r#"{"type":"document.completed","timestamp":"2026-01-01T00:00:00Z","data":{"vendorId":"job-1","title":"t","pages":3}}"#;
    let send = |id: &str, time: &str, signature: &str| {
        let request = Request::post(&hook).header("webhook-id", id).header("webhook-timestamp", time);
        relay.send(&request.header("webhook-signature", signature).json(body))
    };
    let time = now().to_string();
    let by = |secret: &str, id: &str| format!("v1,{}", webhook_signature(secret, id, &time, body));
    let first = stored_event_id(&send("msg_1", &time, &by(OLD_SECRET, "msg_1")));
    assert_eq!(stored_event_id(&send("msg_1", &time, &format!("v1a,AAAA v2,x {}", by(NEW_SECRET, "msg_1")))), first);
    assert_ne!(stored_event_id(&send("msg_2", &time, &by(NEW_SECRET, "msg_2"))), first);

    let stale = (now() - 400).to_string();
    let old = format!("v1,{}", webhook_signature(NEW_SECRET, "msg_3", &stale, body));
    let forged = by("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "msg_3");
    for (time, signature) in
        [(&*stale, &*old), (&time, &forged), (&time, "v1,"), (&time, ""), ("-9223372036854775808", "v1,AAAA")]
    {
        assert_problem(&send("msg_3", time, signature), 401);
    }
    assert_problem(&relay.send(&Request::post(&hook).json(body)), 401);
    let json = acme.events(1)[0].json();
    assert_eq!([&json["status"], &json["vendorId"], &json["title"]], ["COMPLETED", "job-1", "t"]);
    assert_eq!([&json["result"], &json["vendorTime"]], [&json!({"pages": 3}), &json!("2026-01-01T00:00:00.000Z")]);
}

#[test]
fn svix_headers_verify_with_same_secret_and_id() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook =
        acme.add_hook(&format!(r#"{{"vendor":"standard","verify":{{"type":"standard","secret":"{NEW_SECRET}"}}}}"#));
    let (time, body) = (now().to_string(), r#"{"type":"document.completed","data":{"vendorId":"job-1"}}"#);
    let send = |prefix: &str, id: &str, signature: &str| {
        let request = Request::post(&hook.path).header(&format!("{prefix}-id"), id);
        let request = request.header(&format!("{prefix}-timestamp"), &time);
        relay.send(&request.header(&format!("{prefix}-signature"), signature).json(body))
    };
    let good = format!("v1,{}", webhook_signature(NEW_SECRET, "msg_1", &time, body));
    let first = stored_event_id(&send("svix", "msg_1", &good));
    assert_eq!(stored_event_id(&send("webhook", "msg_1", &good)), first, "the same message under the other names");
    assert_problem(&send("svix", "msg_2", &good), 401);
    // The id that identifies duplicates is the signed one.
    let request = Request::post(&hook.path).header("svix-id", "msg_1").header("svix-timestamp", &time);
    let request = request.header("svix-signature", &good).header("webhook-id", "msg_9").json(body);
    assert_eq!(stored_event_id(&relay.send(&request)), first);
    assert!(acme.rejects().is_empty());
}

#[test]
fn standard_payloads_become_events_with_result_and_error() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("standard").path;
    for body in [STANDARD_COMPLETED, STANDARD_FAILED] {
        stored_event_id(&relay.send(&Request::post(&hook).json(body)));
    }
    let events = acme.events(2);
    let (completed, failed) = (events[0].json(), events[1].json());
    assert_eq!([&completed["status"], &completed["title"]], ["COMPLETED", "Angebot für \"A & B\".docx"]);
    assert_eq!([&completed["vendorId"], &failed["vendorId"]], ["job_1", "job_1"]);
    assert_eq!((&failed["status"], &failed["error"]), (&json!("ERROR"), &json!({"code": "E17", "message": "too big"})));
}

#[test]
fn messages_with_empty_webhook_id_are_not_merged() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("standard").path;
    let send = |job: &str| {
        let body = format!(r#"{{"type":"document.completed","data":{{"vendorId":"{job}"}}}}"#);
        stored_event_id(&relay.send(&Request::post(&hook).header("webhook-id", "").json(&body)))
    };
    let first = send("job-1");
    assert_ne!(send("job-2"), first);
    assert_eq!(send("job-1"), first, "the same status again is a repeat");

    let verify = format!(r#"{{"type":"standard","secrets":["{NEW_SECRET}"]}}"#);
    let signed = acme.add_hook(&format!(r#"{{"vendor":"standard","verify":{verify}}}"#)).path;
    let (time, body) = (now().to_string(), r#"{"type":"document.completed","data":{"vendorId":"job-3"}}"#);
    let request = Request::post(&signed).header("webhook-id", "").header("webhook-timestamp", &time);
    let signature = format!("v1,{}", webhook_signature(NEW_SECRET, "", &time, body));
    assert_problem(&relay.send(&request.header("webhook-signature", &signature).json(body)), 401);
    assert_eq!(acme.documents().len(), 2);
}

#[test]
fn cloudevent_modes_are_equal_and_handshake_is_answered() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("standard").path;
    let post = Request::post(&hook).header("Content-Type", "application/cloudevents+json; charset=utf-8");
    let id = stored_event_id(&relay.send(&post.clone().body(CLOUDEVENT_STRUCTURED)));
    let binary = Request::post(&hook)
        .header("ce-specversion", "1.0")
        .header("ce-id", "e1")
        .header("ce-source", "/jobs")
        .header("ce-type", "com.example.document.failed.v1")
        .header("ce-subject", "job-9");
    assert_eq!(stored_event_id(&relay.send(&binary.json(CLOUDEVENT_BINARY))), id, "source and id identify the event");
    let json = acme.events(1)[0].json();
    assert_eq!([&json["status"], &json["vendorId"]], ["ERROR", "job-9"]);
    assert_eq!(json["result"], json!({"pages": 3}));

    let options = Request::new("OPTIONS", &hook);
    let handshake = options.clone().header("WebHook-Request-Origin", "eventemitter.example.com");
    let response = relay.send(&handshake.header("WebHook-Request-Rate", "120"));
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(response.header("webhook-allowed-origin"), Some("eventemitter.example.com"));
    assert!(response.header("webhook-allowed-rate").is_some(), "{response:?}");
    assert_problem(&relay.send(&options), 405);
    let unnamed = r#"{"specversion":"1.0","id":"","source":"/jobs","type":"a.failed","subject":"job-9"}"#;
    assert_problem(&relay.send(&post.clone().body(unnamed)), 422);
    let null =
        r#"{"specversion":"1.0","id":"e2","source":"/jobs","type":"a.done","data":{"id":"job-8"},"data_base64":null}"#;
    assert_ne!(stored_event_id(&relay.send(&post.clone().body(null))), id);
    assert_problem(
        &relay.send(&post.body(r#"{"specversion":"0.3","id":"e","source":"/","type":"a.failed","data":{}}"#)),
        422,
    );
    let batch = Request::post(&hook).header("Content-Type", "application/cloudevents-batch+json").body("[]");
    assert_problem(&relay.send(&batch), 422);
}
