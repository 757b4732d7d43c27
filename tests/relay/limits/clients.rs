//! Limits that the administrator sets for single clients: stored, shown, and in force at once.

use serde_json::{Value, json};

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::request::Request;
use crate::harness::response::{Response, assert_problem, stored_event_id};

fn patch(relay: &TestRelay, client: &str, body: &Value) -> Response {
    let request = Request::new("PATCH", &format!("/admin/clients/{client}")).bearer(&relay.admin_token());
    relay.send_admin(&request.json(&body.to_string()))
}

/// Sets limits; returns all of them.
#[track_caller]
fn set(relay: &TestRelay, client: &str, limits: &Value) -> Value {
    let response = patch(relay, client, &json!({"limits": limits}));
    assert_eq!(response.status, 200, "{response:?} {}", String::from_utf8_lossy(&response.body));
    response.json()["limits"].clone()
}

fn no_limits() -> Value {
    json!({"eventsPerSecond": null, "followers": null, "storedBytes": null, "notifications": null})
}

#[test]
fn limits_are_shown_changed_one_by_one_and_survive_a_restart() {
    let mut relay = TestRelay::start();
    let acme = relay.add_client("acme");
    relay.add_client("other");
    let shown = |relay: &TestRelay| relay.admin("GET", "/admin/clients/acme").json()["limits"].clone();
    assert_eq!(shown(&relay), no_limits());
    assert_eq!(set(&relay, "acme", &json!({"followers": 7}))["followers"], 7);
    set(&relay, "acme", &json!({"eventsPerSecond": 100, "storedBytes": 1 << 30}));
    let expected = json!({"eventsPerSecond": 100, "followers": 7, "storedBytes": 1 << 30, "notifications": null});
    assert_eq!(shown(&relay), expected);
    // A change of the secret keeps them.
    assert_eq!(relay.admin("POST", "/admin/clients/acme/secret").status, 200);
    relay.restart();
    let clients = relay.admin("GET", "/admin/clients").json()["clients"].clone();
    assert_eq!([&clients[0]["limits"], &clients[1]["limits"]], [&expected, &no_limits()]);
    assert_eq!(set(&relay, "acme", &json!({"followers": null}))["followers"], Value::Null);
    assert_eq!(set(&relay, "acme", &json!({}))["eventsPerSecond"], 100, "absent limits stay");
    assert_eq!(set(&relay, "acme", &Value::Null), no_limits());
    assert_eq!(patch(&relay, "acme", &json!({})).json()["limits"], no_limits());
    // A later client of the same name has the defaults.
    set(&relay, "acme", &json!({"followers": 7}));
    relay.remove_client(&acme.id);
    relay.add_client("acme");
    assert_eq!(shown(&relay), no_limits());
}

#[test]
fn unusable_limits_are_refused_and_change_nothing() {
    let relay = TestRelay::start();
    relay.add_client("acme");
    for body in [
        json!({"limits": {"followers": 0}}),
        json!({"limits": {"followers": "7"}}),
        json!({"limits": {"hooks": 7}}),
        json!({"limits": {"storedBytes": 1024}}),
        json!({"limits": {"notifications": 101}}),
        json!({"limits": {"eventsPerSecond": 1, "notifications": 0}}),
        json!({"limits": 7}),
        json!({"clientId": "x"}),
        json!([]),
    ] {
        assert_problem(&patch(&relay, "acme", &body), 400);
    }
    assert_eq!(relay.admin("GET", "/admin/clients/acme").json()["limits"], no_limits());
    assert_problem(&patch(&relay, "unknown", &json!({"limits": {"followers": 7}})), 404);
    let request = Request::new("PATCH", "/admin/clients/acme").json("{}");
    assert_problem(&relay.send_admin(&request), 401);
}

#[test]
fn webhooks_beyond_the_rate_of_their_client_get_429() {
    let relay = TestRelay::start();
    let (acme, other) = (TestClient::new(&relay, "acme"), TestClient::new(&relay, "other"));
    let hooks = [acme.add_unverified_hook("gini").path, acme.add_unverified_hook("gini").path];
    let send = |hook: &str| relay.send(&Request::post(hook).json(r#"{"documentId":"d","status":"PENDING"}"#));
    set(&relay, "acme", &json!({"eventsPerSecond": 1}));
    // Both hooks share the rate; a slow machine may need more than a second for two requests.
    let limited = (0..200).map(|number| send(&hooks[number % 2])).find(|response| response.status != 200);
    let limited = limited.expect("a refusal");
    let detail = assert_problem(&limited, 429);
    assert!(detail.contains("eventsPerSecond"), "{detail}");
    assert_eq!((&limited.json()["limit"], limited.header("retry-after")), (&"eventsPerSecond".into(), Some("1")));
    assert!(relay.metric("docrelay_events_in_total{vendor=\"gini\",outcome=\"rate_limited\"}") >= 1);
    stored_event_id(&send(&other.add_unverified_hook("gini").path));
    set(&relay, "acme", &json!({"eventsPerSecond": 1000}));
    (0..20).for_each(|_| drop(stored_event_id(&send(&hooks[0]))));
}

#[test]
fn registrations_beyond_the_rate_of_their_client_get_429() {
    let relay = TestRelay::start();
    let (acme, other) = (TestClient::new(&relay, "acme"), TestClient::new(&relay, "other"));
    set(&relay, "acme", &json!({"eventsPerSecond": 1}));
    let register = |client: &TestClient, number: usize| {
        let body = json!({"vendor": "gini", "vendorId": format!("d-{number}")}).to_string();
        relay.send(&Request::post("/documents").bearer(&client.token).json(&body))
    };
    let limited = (0..200).map(|number| register(&acme, number)).find(|response| response.status != 201);
    let limited = limited.expect("a refusal");
    let detail = assert_problem(&limited, 429);
    assert!(detail.contains("eventsPerSecond"), "{detail}");
    assert_eq!((&limited.json()["limit"], limited.header("retry-after")), (&"eventsPerSecond".into(), Some("1")));
    (0..20).for_each(|number| assert_eq!(register(&other, number).status, 201));
}

#[test]
fn common_event_rate_bounds_every_client() {
    let relay = TestRelay::with_config(&[("event_rate_per_client", "1")]);
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("gini").path;
    let send = || relay.send(&Request::post(&hook).json(r#"{"documentId":"d","status":"PENDING"}"#));
    let limited = (0..200).map(|_| send()).find(|response| response.status != 200).expect("a refusal");
    assert_eq!((limited.status, &limited.json()["limit"]), (429, &"eventsPerSecond".into()));
    set(&relay, "acme", &json!({"eventsPerSecond": 1000}));
    (0..20).for_each(|_| drop(stored_event_id(&send())));
}

#[test]
fn own_limit_of_followers_replaces_the_common_one() {
    let relay = TestRelay::with_config(&[("max_followers_per_client", "2")]);
    let acme = TestClient::new(&relay, "acme");
    let mut followers: Vec<_> = (0..2).map(|_| relay.follow(&acme.token)).collect();
    let refused = || relay.send(&Request::get("/events/client").bearer(&acme.token)).text().to_owned();
    assert!(refused().starts_with(": too many followers of this client (max_followers_per_client)\n"));
    set(&relay, "acme", &json!({"followers": 3}));
    followers.push(relay.follow(&acme.token));
    assert!(refused().starts_with(": too many followers of this client (max_followers_per_client)\n"));
    set(&relay, "acme", &json!({"followers": 1}));
    assert!(refused().starts_with(": too many followers of this client (max_followers_per_client)\n"));
    let hook = acme.add_unverified_hook("gini").path;
    let id = acme.post_gini(&hook, "d", "COMPLETED");
    for follower in &mut followers {
        assert_eq!(follower.next_event().id, id, "a lower limit ends no stream");
    }
}

#[test]
fn notifications_beyond_the_own_limit_get_429_with_its_name() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let add = |number: usize| {
        let body = json!({"name": format!("n{number}"), "endpoint": "https://example.com/", "format": "gini"});
        acme.post("/v2/notification", &body.to_string())
    };
    let statuses: Vec<u16> = (0..6).map(|number| add(number).status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 400], "five by default, as at Baidu");
    set(&relay, "acme", &json!({"notifications": 6}));
    assert_eq!(add(5).status, 200);
    let limited = add(6);
    assert_eq!((limited.status, &limited.json()["limit"]), (429, &"notifications".into()), "{}", limited.text());
    assert_eq!(limited.json()["code"], "DocExceptions.NotificationQuotaExceeded");
    set(&relay, "acme", &json!({"notifications": 2}));
    assert_eq!(add(6).status, 429);
    let list = acme.get("/v2/notification").json()["notifications"].as_array().map(Vec::len);
    assert_eq!(list, Some(6), "a lower limit removes nothing");
}

#[test]
fn own_limit_of_stored_bytes_removes_the_oldest_events_at_once() {
    let relay = TestRelay::with_config(&[("max_body_bytes", "8KiB")]);
    let (acme, other) = (TestClient::new(&relay, "acme"), TestClient::new(&relay, "other"));
    let hooks = [&acme, &other].map(|client| client.add_unverified_hook("gini").path);
    let body = |number: usize| {
        json!({"documentId": format!("d{number}"), "status": "COMPLETED", "detail": "x".repeat(4000)}).to_string()
    };
    for hook in &hooks {
        for number in 0..20 {
            stored_event_id(&relay.send(&Request::post(hook).json(&body(number))));
        }
    }
    let count = |client: &TestClient| {
        client.get("/documents?limit=100").json()["documents"].as_array().map(|documents| {
            let retained = |document: &&Value| {
                let id = document["documentId"].as_str().expect("an id");
                let events = client.get(&format!("/documents/{id}/events")).json();
                events["events"].as_array().is_some_and(|events| !events.is_empty())
            };
            documents.iter().filter(retained).count()
        })
    };
    assert_eq!([count(&acme), count(&other)], [Some(20), Some(20)]);
    set(&relay, "acme", &json!({"storedBytes": 40_000}));
    crate::harness::wait_until("old events are removed", || count(&acme).is_some_and(|count| (1..10).contains(&count)));
    assert_eq!(count(&other), Some(20));
}

#[test]
fn limit_command_works_online_and_offline() {
    let mut relay = TestRelay::start();
    relay.add_client("acme");
    let shown = relay.cli(&["client", "limit", "acme", "--followers", "7", "--events-per-second", "100"]).json();
    assert_eq!((&shown["limits"]["followers"], &shown["limits"]["eventsPerSecond"]), (&7.into(), &100.into()));
    relay.stop();
    let shown = relay.cli(&["client", "limit", "acme", "--followers", "default", "--notifications", "9"]).json();
    let expected = json!({"eventsPerSecond": 100, "followers": null, "storedBytes": null, "notifications": 9});
    assert_eq!(shown["limits"], expected);
    relay.restart();
    assert_eq!(relay.admin("GET", "/admin/clients/acme").json()["limits"], expected);
    let usage = relay.cli(&["client", "limit", "acme", "--followers", "many"]);
    assert_eq!(usage.status.code(), Some(2), "{usage:?}");
    let unknown = relay.cli(&["client", "limit", "unknown", "--followers", "7"]);
    assert_eq!((unknown.status.code(), unknown.stderr.lines().count()), (Some(1), 1), "{unknown:?}");
}

#[test]
fn follower_list_has_pages() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let _followers: Vec<_> = (0..5).map(|_| relay.follow(&acme.token)).collect();
    let ids = |page: &serde_json::Value| -> Vec<String> {
        let followers = page["followers"].as_array().expect("a list").iter();
        followers.map(|follower| follower["id"].as_str().expect("an id").to_owned()).collect()
    };
    let all = relay.admin("GET", "/admin/followers").json();
    assert_eq!((ids(&all).len(), all.get("next")), (5, None));
    let (mut found, mut cursor) = (Vec::new(), String::new());
    for size in [2, 2, 1] {
        let page = relay.admin("GET", &format!("/admin/followers?limit=2{cursor}")).json();
        assert_eq!(ids(&page).len(), size);
        found.extend(ids(&page));
        cursor = format!("&cursor={}", page["next"].as_str().unwrap_or_default());
    }
    assert_eq!((found, cursor.as_str()), (ids(&all), "&cursor="));
    assert_problem(&relay.admin("GET", "/admin/followers?cursor=7"), 400);
}
