//! The API of deliveries: what it shows and what it refuses. What is sent, and when, is told elsewhere.

use serde_json::{Value, json};

use crate::support::TestRelay;
use crate::support::tenant::{Tenant, problem, stored, text};
use crate::support::wire::Request;

/// A port of this machine at which nobody listens.
const NOBODY: &str = "http://127.0.0.1:9/notify?secret=1";

fn relay() -> TestRelay {
    TestRelay::with(&[("allow_private_endpoints", "127.0.0.0/8")])
}

fn list(tenant: &Tenant<'_>, query: &str) -> Value {
    let answer = tenant.get(&format!("/deliveries{query}"));
    assert_eq!(answer.status, 200, "{query} {answer:?}");
    answer.json()
}

fn ids(list: &Value) -> Vec<String> {
    list["deliveries"].as_array().expect("a list").iter().map(|d| text(d, "id")).collect()
}

fn tell(tenant: &Tenant<'_>, hook: &str, document: &str) -> String {
    let body = format!(r#"{{"documentId":"{document}","status":"COMPLETED"}}"#);
    stored(&tenant.relay.ask(&Request::post(hook).json(&body)))
}

#[test]
fn a_delivery_shows_its_event_its_document_and_where_it_goes() {
    let relay = relay();
    let acme = Tenant::new(&relay, "acme");
    assert_eq!(acme.get("/deliveries").text(), r#"{"deliveries":[],"next":null}"#);
    let new = format!(r#"{{"name":"main","endpoint":"{NOBODY}","format":"gini","isDefault":true}}"#);
    assert_eq!(acme.post("/v2/notification", &new).status, 200);
    let hook = acme.open_hook("gini").path;
    let event = tell(&acme, &hook, "job-1");

    let all = list(&acme, "");
    let one = &all["deliveries"][0];
    assert_eq!([&one["eventId"], &one["notification"], &one["state"]], [&event, "main", "pending"]);
    assert_eq!(one["documentId"], acme.documents()[0]["documentId"]);
    assert!(one["attempts"].is_array() && one.get("callback").is_none(), "{one}");
    assert!(text(one, "createTime").ends_with('Z'), "{one}");
    let id = text(one, "id");
    assert_eq!(text(&acme.get(&format!("/deliveries/{id}")).json(), "eventId"), event);

    // A callback shows its origin alone: the rest of its address may be a secret.
    let body = json!({"vendor": "gini", "vendorId": "job-2", "callback": {"url": NOBODY, "format": "gini"}});
    assert_eq!(acme.post("/documents", &body.to_string()).status, 201);
    let all = acme.get("/deliveries");
    assert!(!all.text().contains("secret"), "{}", all.text());
    let callbacks: Vec<Value> = all.json()["deliveries"].as_array().expect("a list").clone();
    let callback = callbacks.iter().find(|d| d.get("callback").is_some()).expect("a callback's");
    assert_eq!(callback["callback"], "http://127.0.0.1:9");
    assert!(callback.get("notification").is_none(), "{callback}");
}

#[test]
fn deliveries_are_listed_newest_first_filtered_and_paged() {
    let relay = relay();
    let acme = Tenant::new(&relay, "acme");
    let new = format!(r#"{{"name":"main","endpoint":"{NOBODY}","format":"gini","isDefault":true}}"#);
    assert_eq!(acme.post("/v2/notification", &new).status, 200);
    let hook = acme.open_hook("gini").path;
    let events: Vec<String> = (0..5).map(|n| tell(&acme, &hook, &format!("job-{n}"))).collect();
    let all = list(&acme, "");
    let shown: Vec<String> =
        all["deliveries"].as_array().expect("a list").iter().rev().map(|d| text(d, "eventId")).collect();
    assert_eq!(shown, events);
    assert_eq!(all["next"], Value::Null);

    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = list(&acme, &format!("?limit=2&cursor={cursor}"));
        paged.extend(ids(&page));
        match page["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(paged, ids(&all));
    assert_eq!(ids(&list(&acme, "?limit=5"))[..], paged[..]);
    assert_eq!(list(&acme, "?limit=5")["next"], Value::Null, "there is no empty page at the end");
    assert_eq!(ids(&list(&acme, "?state=pending&notification=main")), paged);
    assert!(ids(&list(&acme, "?state=dead")).is_empty());
    assert!(ids(&list(&acme, "?notification=another")).is_empty());
    for bad in ["limit=0", "limit=x", "cursor=x", "state=DEAD", "notification=No"] {
        let why = problem(&acme.get(&format!("/deliveries?{bad}")), 400);
        assert!(why.contains(bad.split('=').next().expect("a name")), "{why}");
    }
}

#[test]
fn a_retry_is_accepted_and_one_to_nowhere_is_not() {
    let relay = relay();
    let acme = Tenant::new(&relay, "acme");
    let new = format!(r#"{{"name":"main","endpoint":"{NOBODY}","format":"gini","isDefault":true}}"#);
    assert_eq!(acme.post("/v2/notification", &new).status, 200);
    let hook = acme.open_hook("gini").path;
    tell(&acme, &hook, "job-1");
    let id = ids(&list(&acme, "")).remove(0);
    let retry = || acme.ask(Request::post(&format!("/deliveries/{id}/retry")));
    let answer = retry();
    assert_eq!((answer.status, text(&answer.json(), "id")), (202, id.clone()), "{answer:?}");
    assert_eq!(answer.json()["state"], "pending");

    assert_eq!(acme.ask(Request::new("DELETE", "/v1/notification/main")).status, 200);
    assert_eq!(acme.get(&format!("/deliveries/{id}")).json()["state"], "dead");
    assert!(problem(&retry(), 404).contains("notification"));
}

#[test]
fn deliveries_need_the_scope_manage_and_belong_to_one_client() {
    let relay = relay();
    let (acme, other) = (Tenant::new(&relay, "acme"), Tenant::new(&relay, "other"));
    let new = format!(r#"{{"name":"main","endpoint":"{NOBODY}","format":"gini","isDefault":true}}"#);
    assert_eq!(acme.post("/v2/notification", &new).status, 200);
    tell(&acme, &acme.open_hook("gini").path, "job-1");
    let id = ids(&list(&acme, "")).remove(0);
    assert!(ids(&list(&other, "")).is_empty());
    assert!(ids(&list(&other, &format!("?cursor={}", u64::MAX))).is_empty());
    problem(&other.get(&format!("/deliveries/{id}")), 404);
    problem(&other.ask(Request::post(&format!("/deliveries/{id}/retry"))), 404);
    let events = relay.cli(&["token", "--client", "acme", "--scope", "events"]).succeeded().stdout;
    for request in [
        Request::get("/deliveries"),
        Request::get(&format!("/deliveries/{id}")),
        Request::post(&format!("/deliveries/{id}/retry")),
    ] {
        problem(&relay.ask(&request), 401);
        assert!(problem(&relay.ask(&request.bearer(events.trim())), 403).contains("manage"));
    }
    for nobody in ["/deliveries/0", "/deliveries/x", "/deliveries/-1", "/deliveries/99999999999999999999"] {
        problem(&acme.get(nobody), 404);
        problem(&acme.ask(Request::post(&format!("{nobody}/retry"))), 404);
    }
    problem(&acme.ask(Request::post("/deliveries")), 405);
    problem(&acme.ask(Request::new("DELETE", &format!("/deliveries/{id}"))), 405);
    problem(&acme.get(&format!("/deliveries/{id}/retry")), 405);
}
