//! The API of deliveries: list, paging, filters, retry and access.

use serde_json::{Value, json};

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::request::Request;
use crate::harness::response::{assert_problem, string_at};

/// An endpoint on which nothing listens.
const CLOSED_ENDPOINT: &str = "http://127.0.0.1:9/notify?secret=1";

fn list(client: &TestClient<'_>, query: &str) -> Value {
    let response = client.get(&format!("/deliveries{query}"));
    assert_eq!(response.status, 200, "{query} {response:?}");
    response.json()
}

fn ids(list: &Value) -> Vec<String> {
    list["deliveries"].as_array().expect("a list").iter().map(|d| string_at(d, "id")).collect()
}

#[test]
fn delivery_shows_event_document_and_destination() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    assert_eq!(acme.get("/deliveries").text(), r#"{"deliveries":[],"next":null}"#);
    acme.add_default_notification("gini", CLOSED_ENDPOINT);
    let hook = acme.add_unverified_hook("gini").path;
    let event = acme.post_gini(&hook, "job-1", "COMPLETED");

    let all = list(&acme, "");
    let one = &all["deliveries"][0];
    assert_eq!([&one["eventId"], &one["notification"], &one["state"]], [&event, "main", "pending"]);
    assert_eq!(one["documentId"], acme.documents()[0]["documentId"]);
    assert!(one["attempts"].is_array() && one.get("callback").is_none(), "{one}");
    assert!(string_at(one, "createTime").ends_with('Z'), "{one}");
    let id = string_at(one, "id");
    assert_eq!(string_at(&acme.get(&format!("/deliveries/{id}")).json(), "eventId"), event);

    // A callback shows only the origin of its URL: path and query may be secret.
    let body = json!({"vendor": "gini", "vendorId": "job-2", "callback": {"url": CLOSED_ENDPOINT, "format": "gini"}});
    assert_eq!(acme.post("/documents", &body.to_string()).status, 201);
    let all = acme.get("/deliveries");
    assert!(!all.text().contains("secret"), "{}", all.text());
    let callbacks: Vec<Value> = all.json()["deliveries"].as_array().expect("a list").clone();
    let callback = callbacks.iter().find(|d| d.get("callback").is_some()).expect("a callback's");
    assert_eq!(callback["callback"], "http://127.0.0.1:9");
    assert!(callback.get("notification").is_none(), "{callback}");
}

#[test]
fn delivery_list_is_newest_first_filtered_and_paged() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    acme.add_default_notification("gini", CLOSED_ENDPOINT);
    let hook = acme.add_unverified_hook("gini").path;
    let events: Vec<String> = (0..5).map(|n| acme.post_gini(&hook, &format!("job-{n}"), "COMPLETED")).collect();
    let all = list(&acme, "");
    let shown: Vec<String> =
        all["deliveries"].as_array().expect("a list").iter().rev().map(|d| string_at(d, "eventId")).collect();
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
    assert_eq!(list(&acme, "?limit=5")["next"], Value::Null, "the last page has no cursor");
    assert_eq!(ids(&list(&acme, "?state=pending&notification=main")), paged);
    assert!(ids(&list(&acme, "?state=dead")).is_empty());
    assert!(ids(&list(&acme, "?notification=another")).is_empty());
    for bad in ["limit=0", "limit=x", "cursor=x", "state=DEAD", "notification=No"] {
        let detail = assert_problem(&acme.get(&format!("/deliveries?{bad}")), 400);
        assert!(detail.contains(bad.split('=').next().expect("a name")), "{detail}");
    }
}

#[test]
fn retry_without_notification_gets_404() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    acme.add_default_notification("gini", CLOSED_ENDPOINT);
    let hook = acme.add_unverified_hook("gini").path;
    acme.post_gini(&hook, "job-1", "COMPLETED");
    let id = ids(&list(&acme, "")).remove(0);
    let retry = || acme.send(Request::post(&format!("/deliveries/{id}/retry")));
    let response = retry();
    assert_eq!((response.status, string_at(&response.json(), "id")), (202, id.clone()), "{response:?}");
    assert_eq!(response.json()["state"], "pending");

    assert_eq!(acme.delete("/v1/notification/main").status, 200);
    assert_eq!(acme.get(&format!("/deliveries/{id}")).json()["state"], "dead");
    assert!(assert_problem(&retry(), 404).contains("notification"));
}

#[test]
fn deliveries_require_manage_scope_and_owning_client() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let (acme, other) = (TestClient::new(&relay, "acme"), TestClient::new(&relay, "other"));
    acme.add_default_notification("gini", CLOSED_ENDPOINT);
    acme.post_gini(&acme.add_unverified_hook("gini").path, "job-1", "COMPLETED");
    let id = ids(&list(&acme, "")).remove(0);
    assert!(ids(&list(&other, "")).is_empty());
    assert!(ids(&list(&other, &format!("?cursor={}", u64::MAX))).is_empty());
    assert_problem(&other.get(&format!("/deliveries/{id}")), 404);
    assert_problem(&other.send(Request::post(&format!("/deliveries/{id}/retry"))), 404);
    let events = relay.token_with_scope("acme", "events");
    for request in [
        Request::get("/deliveries"),
        Request::get(&format!("/deliveries/{id}")),
        Request::post(&format!("/deliveries/{id}/retry")),
    ] {
        assert_problem(&relay.send(&request), 401);
        assert!(assert_problem(&relay.send(&request.bearer(events.trim())), 403).contains("manage"));
    }
    for unknown in ["/deliveries/0", "/deliveries/x", "/deliveries/-1", "/deliveries/99999999999999999999"] {
        assert_problem(&acme.get(unknown), 404);
        assert_problem(&acme.send(Request::post(&format!("{unknown}/retry"))), 404);
    }
    assert_problem(&acme.send(Request::post("/deliveries")), 405);
    assert_problem(&acme.delete(&format!("/deliveries/{id}")), 405);
    assert_problem(&acme.get(&format!("/deliveries/{id}/retry")), 405);
}
