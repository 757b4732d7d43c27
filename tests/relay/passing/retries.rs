//! What fails is tried again, in order, and is a dead letter in the end; a restart forgets nothing.

use std::time::Duration;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{relay, say};
use crate::support::receiver::{Received, Receiver, Reply};
use crate::support::tenant::{Tenant, text};
use crate::support::wire::Request;

fn vendor_ids(all: &[Received]) -> Vec<String> {
    all.iter().map(|r| text(&r.json(), "vendorId")).collect()
}

#[test]
fn an_endpoint_that_fails_twice_gets_the_event_after_a_power_cut_in_between() {
    let mut relay = relay();
    let receiver = Receiver::start(|_, before| match before {
        0 => Reply { body: "not now".into(), ..Reply::status(500) },
        1 => Reply { headers: "Retry-After: 1\r\n", ..Reply::status(503) },
        _ => Reply::status(204),
    });
    let id = {
        let acme = Tenant::new(&relay, "acme");
        acme.notify("standard", &receiver.url("/hear"));
        let id = say(&acme, &acme.open_hook("gini").path, "a", "COMPLETED");
        acme.wait_for_deliveries("state=pending", |all| all.len() == 1 && all[0]["attempts"][0].is_object());
        id
    };
    relay.kill9();
    relay.restart();
    let all = receiver.wait_until(Duration::from_secs(90), |all| all.len() == 3);
    let waits: Vec<f64> = all.windows(2).map(|pair| (pair[1].at - pair[0].at).as_secs_f64()).collect();
    // A fifth to either side, and a little for a machine that is busy.
    assert!((3.9..12.0).contains(&waits[0]) && (23.9..45.0).contains(&waits[1]), "{waits:?}");
    let message = format!("msg_{}", id.replace('.', "_"));
    assert!(all.iter().all(|r| r.header("webhook-id") == Some(message.as_str()) && r.body == all[0].body), "{all:?}");
    let token = relay.token("acme");
    let asked = || relay.ask(&Request::get("/deliveries?state=delivered").bearer(&token)).json();
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while asked()["deliveries"][0].is_null() && std::time::Instant::now() < deadline {}
    let list = asked();
    let attempts = list["deliveries"][0]["attempts"].as_array().expect("attempts").clone();
    assert_eq!(attempts.iter().map(|a| a["status"].as_u64()).collect::<Vec<_>>(), [Some(500), Some(503), Some(204)]);
    assert_eq!(attempts[0]["answer"], "not now");
    assert!(text(&attempts[0], "reason").contains("500"), "{list}");
    assert_eq!(list["deliveries"][0]["eventId"], id);
}

#[test]
fn order_is_kept_for_a_document_and_others_do_not_wait_for_it() {
    let relay = relay();
    let acme = Tenant::new(&relay, "acme");
    let receiver = Receiver::start(|received, before| {
        let first_of_a = before == 0 && received.json()["vendorId"] == "a";
        Reply::status(if first_of_a { 500 } else { 200 })
    });
    acme.notify("gini", &receiver.url("/"));
    // Of another vendor than Gini, whose own words would go out as they came.
    let hook = acme.open_hook("standard").path;
    let tell = |id: &str, kind: &str| {
        let body = json!({ "type": kind, "data": { "id": id } }).to_string();
        assert_eq!(acme.relay.ask(&Request::post(&hook).json(&body)).status, 200);
    };
    tell("a", "document.pending");
    receiver.wait(1);
    tell("a", "document.completed");
    tell("b", "document.completed");
    let all = receiver.wait(4);
    let told: Vec<_> = all.iter().map(|r| (text(&r.json(), "vendorId"), text(&r.json(), "status"))).collect();
    let told: Vec<_> = told.iter().map(|(id, status)| (id.as_str(), status.as_str())).collect();
    assert_eq!(told, [("a", "PENDING"), ("b", "COMPLETED"), ("a", "PENDING"), ("a", "COMPLETED")]);
}

#[test]
fn an_endpoint_that_answers_410_is_disabled_and_what_failed_can_be_recovered() {
    let relay = relay();
    let acme = Tenant::new(&relay, "acme");
    let gone = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let back = gone.clone();
    let receiver = Receiver::start(move |_, _| {
        Reply::status(if gone.load(std::sync::atomic::Ordering::SeqCst) { 410 } else { 200 })
    });
    acme.notify("gini", &receiver.url("/"));
    let hook = acme.open_hook("zoffice").path;
    let tell = |id: &str| {
        let body = json!({ "taskId": id, "code": "TaskSuccessNotify", "detail": {} }).to_string();
        assert_eq!(acme.relay.ask(&Request::post(&hook).json(&body)).status, 200);
    };
    tell("a");
    acme.wait_for_deliveries("state=dead", |all| all.len() == 1);
    assert_eq!(acme.get("/v2/notification/main").json()["state"], "disabled");
    tell("b");
    let dead = acme.wait_for_deliveries("state=dead&notification=main", |all| all.len() == 2);
    assert!(text(&dead[0]["attempts"][0], "reason").contains("disabled"), "{dead:?}");
    assert_eq!(receiver.received().len(), 1, "nothing is sent to who said that it is gone");
    back.store(false, std::sync::atomic::Ordering::SeqCst);
    let enabled = acme.ask(Request::new("PUT", "/v2/notification/main").json("{}"));
    assert_eq!((enabled.status, enabled.json()["state"].as_str()), (200, Some("active")), "{enabled:?}");
    // One by hand.
    let id = text(&dead[1], "id");
    assert_eq!(acme.post(&format!("/deliveries/{id}/retry"), "").status, 202);
    assert_eq!(vendor_ids(&receiver.wait(2)), ["a", "a"]);
    acme.wait_for_deliveries("state=delivered", |all| all.len() == 1);
    // And all the rest.
    let recovered = acme.post("/v2/notification/main/recover", r#"{"since":"2020-01-01T00:00:00Z"}"#);
    assert_eq!((recovered.status, &recovered.json()["recovered"]), (200, &Value::from(1)), "{recovered:?}");
    assert_eq!(vendor_ids(&receiver.wait(3)), ["a", "a", "b"]);
    acme.wait_for_deliveries("state=delivered", |all| all.len() == 2);
    assert!(acme.deliveries("state=dead").is_empty());
}

#[test]
fn a_retry_by_hand_does_not_wait_for_the_schedule() {
    let relay = relay();
    let acme = Tenant::new(&relay, "acme");
    let receiver = Receiver::start(|_, before| Reply {
        headers: "Retry-After: 86400\r\n",
        ..Reply::status(if before == 0 { 429 } else { 200 })
    });
    acme.notify("gini", &receiver.url("/"));
    say(&acme, &acme.open_hook("gini").path, "a", "COMPLETED");
    let waits = acme.wait_for_deliveries("state=pending", |all| all.len() == 1 && all[0]["attempts"][0].is_object());
    let next = OffsetDateTime::parse(&text(&waits[0], "nextAttempt"), &Rfc3339).expect("a time");
    let wait = (next - OffsetDateTime::now_utc()).whole_seconds();
    assert!((86_300..=86_400).contains(&wait), "{wait}");
    let id = text(&waits[0], "id");
    assert_eq!(acme.post(&format!("/deliveries/{id}/retry"), "").status, 202);
    receiver.wait(2);
    acme.wait_for_deliveries("state=delivered", |all| all.len() == 1);
}
