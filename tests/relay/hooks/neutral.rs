//! The formats that belong to no vendor of the seeds, and Gini's own: a relay can feed a relay.

use serde_json::json;

use crate::support::TestRelay;
use crate::support::proof::{base64_hmac, hex_hmac, now, webhook};
use crate::support::tenant::{Tenant, problem, stored};
use crate::support::wire::Request;

const OLD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

#[test]
fn ginis_words_keep_ginis_document_id_and_a_state_that_is_known_is_a_repeat() {
    let relay = TestRelay::start();
    let acme = Tenant::new(&relay, "acme");
    let hook = acme.hook(r#"{"vendor":"gini","verify":{"type":"authorization","secret":"BEARER gini"}}"#).path;
    let send = |status: &str| {
        let body =
            format!(r#"{{"documentId":"626626A0-749F-11E2-BFD6-000000000000","status":"{status}","progress":1}}"#);
        relay.ask(&Request::post(&hook).header("Authorization", "BEARER gini").json(&body))
    };
    let ids = ["PENDING", "COMPLETED"].map(|status| stored(&send(status)));
    assert_eq!(stored(&send("COMPLETED")), ids[1]);
    problem(&relay.ask(&Request::post(&hook).json(r#"{"documentId":"x","status":"PENDING"}"#)), 401);
    let events = acme.events(2);
    assert_eq!([&events[0].id, &events[1].id], [&ids[0], &ids[1]]);
    let json = events[1].json();
    assert_eq!(json["documentId"], "626626a0-749f-11e2-bfd6-000000000000");
    assert_eq!(json["result"], json!({"progress": 1}), "unknown keys are not lost");
}

#[test]
fn a_standard_webhook_is_taken_from_either_of_two_secrets_and_known_again_by_its_id() {
    let relay = TestRelay::start();
    let acme = Tenant::new(&relay, "acme");
    let verify = format!(r#"{{"type":"standard","secrets":["{NEW}","{OLD}"]}}"#);
    let hook = acme.hook(&format!(r#"{{"vendor":"standard","verify":{verify}}}"#)).path;
    let body = r#"{"type":"document.completed","timestamp":"2026-01-01T00:00:00Z","data":{"vendorId":"job-1","title":"t","pages":3}}"#;
    let send = |id: &str, time: &str, signature: &str| {
        let request = Request::post(&hook).header("webhook-id", id).header("webhook-timestamp", time);
        relay.ask(&request.header("webhook-signature", signature).json(body))
    };
    let time = now().to_string();
    let by = |secret: &str, id: &str| format!("v1,{}", webhook(secret, id, &time, body));
    let first = stored(&send("msg_1", &time, &by(OLD, "msg_1")));
    assert_eq!(stored(&send("msg_1", &time, &format!("v1a,AAAA v2,x {}", by(NEW, "msg_1")))), first);
    assert_ne!(stored(&send("msg_2", &time, &by(NEW, "msg_2"))), first);

    let stale = (now() - 400).to_string();
    let old = format!("v1,{}", webhook(NEW, "msg_3", &stale, body));
    let forged = by("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "msg_3");
    for (time, signature) in
        [(&*stale, &*old), (&time, &forged), (&time, "v1,"), (&time, ""), ("-9223372036854775808", "v1,AAAA")]
    {
        problem(&send("msg_3", time, signature), 401);
    }
    problem(&relay.ask(&Request::post(&hook).json(body)), 401);
    let json = acme.events(1)[0].json();
    assert_eq!([&json["status"], &json["vendorId"], &json["title"]], ["COMPLETED", "job-1", "t"]);
    assert_eq!([&json["result"], &json["vendorTime"]], [&json!({"pages": 3}), &json!("2026-01-01T00:00:00.000Z")]);
}

#[test]
fn messages_whose_id_says_nothing_are_not_taken_for_one() {
    let relay = TestRelay::start();
    let acme = Tenant::new(&relay, "acme");
    let hook = acme.open_hook("standard").path;
    let send = |job: &str| {
        let body = format!(r#"{{"type":"document.completed","data":{{"vendorId":"{job}"}}}}"#);
        stored(&relay.ask(&Request::post(&hook).header("webhook-id", "").json(&body)))
    };
    let first = send("job-1");
    assert_ne!(send("job-2"), first);
    assert_eq!(send("job-1"), first, "the same state again is still a repeat");

    let verify = format!(r#"{{"type":"standard","secrets":["{NEW}"]}}"#);
    let signed = acme.hook(&format!(r#"{{"vendor":"standard","verify":{verify}}}"#)).path;
    let (time, body) = (now().to_string(), r#"{"type":"document.completed","data":{"vendorId":"job-3"}}"#);
    let request = Request::post(&signed).header("webhook-id", "").header("webhook-timestamp", &time);
    let signature = format!("v1,{}", webhook(NEW, "", &time, body));
    problem(&relay.ask(&request.header("webhook-signature", &signature).json(body)), 401);
    assert_eq!(acme.documents().len(), 2);
}

#[test]
fn a_cloudevent_is_one_event_in_either_mode_and_its_handshake_is_answered() {
    let relay = TestRelay::start();
    let acme = Tenant::new(&relay, "acme");
    let hook = acme.open_hook("standard").path;
    let data = r#"{"title":"t","result":{"pages":3}}"#;
    let structured = format!(
        r#"{{"specversion":"1.0","id":"e1","source":"/jobs","type":"com.example.document.failed.v1","subject":"job-9","time":"2026-01-01T00:00:00Z","data":{data}}}"#
    );
    let post = Request::post(&hook).header("Content-Type", "application/cloudevents+json; charset=utf-8");
    let id = stored(&relay.ask(&post.clone().body(structured)));
    let binary = Request::post(&hook)
        .header("ce-specversion", "1.0")
        .header("ce-id", "e1")
        .header("ce-source", "/jobs")
        .header("ce-type", "com.example.document.failed.v1")
        .header("ce-subject", "job-9");
    assert_eq!(stored(&relay.ask(&binary.json(data))), id, "source and id make the event");
    let json = acme.events(1)[0].json();
    assert_eq!([&json["status"], &json["vendorId"]], ["ERROR", "job-9"]);
    assert_eq!(json["result"], json!({"pages": 3}));

    let options = Request::new("OPTIONS", &hook);
    let asked = options.clone().header("WebHook-Request-Origin", "eventemitter.example.com");
    let greeting = relay.ask(&asked.header("WebHook-Request-Rate", "120"));
    assert_eq!(greeting.status, 200, "{greeting:?}");
    assert_eq!(greeting.header("webhook-allowed-origin"), Some("eventemitter.example.com"));
    assert!(greeting.header("webhook-allowed-rate").is_some(), "{greeting:?}");
    problem(&relay.ask(&options), 405);
    let unnamed = r#"{"specversion":"1.0","id":"","source":"/jobs","type":"a.failed","subject":"job-9"}"#;
    problem(&relay.ask(&post.clone().body(unnamed)), 422);
    let null =
        r#"{"specversion":"1.0","id":"e2","source":"/jobs","type":"a.done","data":{"id":"job-8"},"data_base64":null}"#;
    assert_ne!(stored(&relay.ask(&post.clone().body(null))), id);
    problem(&relay.ask(&post.body(r#"{"specversion":"0.3","id":"e","source":"/","type":"a.failed","data":{}}"#)), 422);
    let batch = Request::post(&hook).header("Content-Type", "application/cloudevents-batch+json").body("[]");
    problem(&relay.ask(&batch), 422);
}

#[test]
fn a_generic_hook_finds_what_its_pointers_say_and_checks_its_hmac() {
    let relay = TestRelay::start();
    let acme = Tenant::new(&relay, "acme");
    let mapping = r#"{"vendorId":"/job/id","status":"/state","statuses":{"done":"COMPLETED","0":"ERROR","true":"PENDING"},
        "title":"/job/name","result":"/out","errorCode":"/e/0","errorMessage":"/e/1","time":"/at","messageId":"/n"}"#;
    let hook = |encoding: &str| {
        let verify = format!(
            r#"{{"type":"hmac-sha256","secret":"k","header":"X-Hub-Signature","prefix":"sha256=","encoding":"{encoding}"}}"#
        );
        acme.hook(&format!(r#"{{"vendor":"generic","verify":{verify},"mapping":{mapping}}}"#)).path
    };
    let (hex, base64) = (hook("hex"), hook("base64"));
    let send = |path: &str, signature: &str, body: &str| {
        relay.ask(&Request::post(path).header("x-hub-signature", &format!("sha256={signature}")).json(body))
    };
    let done = r#"{"job":{"id":17,"name":"n"},"state":"done","out":{"url":"u"},"at":1480000000,"n":"1"}"#;
    let failed = r#"{"job":{"id":"17"},"state":0,"e":["E9","bad"],"n":"2"}"#;
    let first = stored(&send(&hex, &hex_hmac("k", done), done));
    assert_eq!(stored(&send(&base64, &base64_hmac("k", done), done)), first);
    stored(&send(&hex, &hex_hmac("k", failed).to_uppercase(), failed));
    for bad in [hex_hmac("K", done), String::new(), hex_hmac("k", done)[..62].to_owned(), base64_hmac("k", done)] {
        problem(&send(&hex, &bad, done), 401);
    }
    let events = acme.events(2);
    let (done, failed) = (events[0].json(), events[1].json());
    assert_eq!([&done["vendorId"], &done["title"], &done["status"]], ["17", "n", "COMPLETED"]);
    assert_eq!([&done["result"], &done["vendorTime"]], [&json!({"url": "u"}), &json!("2016-11-24T15:06:40.000Z")]);
    assert_eq!(failed["error"], json!({"code": "E9", "message": "bad"}));
    assert_eq!(failed["documentId"], done["documentId"]);
}
