//! What comes in between: an endpoint that fails while more waits for it, owners who change their minds while a request is
//! under way, a receiver whose name is taken by the next.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{relay, say};
use crate::support::TestRelay;
use crate::support::receiver::{Receiver, Reply};
use crate::support::tenant::{Tenant, problem, stored, text};
use crate::support::wire::{Request, Wire};

/// Waits for a while, so that a few fail at the same time.
fn fails() -> Receiver {
    Receiver::start(|_, _| Reply { after: Duration::from_millis(300), ..Reply::status(500) })
}

/// A default notification to an endpoint that fails, with forty events that wait for it and an open breaker.
fn in_trouble(tenant: &Tenant<'_>, endpoint: &Receiver) -> String {
    let hook = tenant.open_hook("gini").path;
    tenant.notify("gini", &endpoint.url("/"));
    for n in 0..40 {
        say(tenant, &hook, &format!("d{n}"), "COMPLETED");
    }
    tenant.relay.wait_until_metric("docrelay_endpoints_open", |n| n == 1.0);
    hook
}

#[test]
fn an_endpoint_in_trouble_holds_up_nothing_and_nobody() {
    let mut relay = relay();
    {
        let (acme, other) = (Tenant::new(&relay, "acme"), Tenant::new(&relay, "other"));
        let (bad, good) = (fails(), Receiver::well());
        in_trouble(&acme, &bad);
        let seen = bad.received().len();
        other.notify("gini", &good.url("/"));
        let hook = other.open_hook("gini").path;
        // Until the pause of the breaker is over and the endpoint is tried once more.
        let mut n = 0;
        while bad.received().len() == seen {
            let began = Instant::now();
            n += 1;
            say(&other, &hook, &format!("x{n}"), "COMPLETED");
            good.wait(n);
            assert_eq!(relay.ask_admin(&Request::get("/readyz")).status, 200);
            assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        }
        assert_eq!(acme.deliveries("state=pending&limit=100").len(), 40);
    }
    assert!(relay.stop().success());
}

#[test]
fn a_new_notification_of_an_old_name_inherits_neither_events_nor_bad_luck() {
    let relay = relay();
    let acme = Tenant::new(&relay, "acme");
    let (bad, next) = (fails(), Receiver::well());
    let hook = in_trouble(&acme, &bad);
    assert_eq!(acme.ask(Request::new("DELETE", "/v2/notification/main")).status, 200);
    acme.notify("standard", &next.url("/next"));
    let began = Instant::now();
    say(&acme, &hook, "fresh", "COMPLETED");
    next.wait(1);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    acme.wait_for_deliveries("state=delivered", |all| all.len() == 1);
    assert_eq!(next.received().len(), 1, "the old one's events are dead");
    assert_eq!(acme.deliveries("state=dead&limit=100").len(), 40);
}

#[test]
fn a_new_client_of_an_old_name_gets_nothing_of_the_old_ones() {
    let relay = relay();
    let bad = fails();
    in_trouble(&Tenant::new(&relay, "acme"), &bad);
    let erase = Request::new("DELETE", "/admin/clients/acme").bearer(&relay.admin_token());
    assert_eq!(relay.ask_admin(&erase).status, 204);
    let again = Tenant::new(&relay, "acme");
    let (next, hook) = (Receiver::well(), again.open_hook("gini").path);
    again.notify("standard", &next.url("/next"));
    say(&again, &hook, "fresh", "COMPLETED");
    again.wait_for_deliveries("state=delivered", |all| all.len() == 1);
    assert_eq!(next.received().len(), 1);
}

#[test]
fn a_changed_endpoint_is_tried_at_once_with_all_that_waits() {
    let relay = relay();
    let acme = Tenant::new(&relay, "acme");
    let (bad, next) = (fails(), Receiver::well());
    in_trouble(&acme, &bad);
    let began = Instant::now();
    change(&acme, &next.url("/next"));
    next.wait(40);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    acme.wait_for_deliveries("state=delivered&limit=100", |all| all.len() == 40);
}

fn change(tenant: &Tenant<'_>, endpoint: &str) -> String {
    let body = json!({ "endpoint": endpoint }).to_string();
    let changed = tenant.ask(Request::new("PUT", "/v2/notification/main").json(&body));
    assert_eq!(changed.status, 200, "{changed:?}");
    text(&changed.json(), "state")
}

#[test]
fn what_the_old_endpoint_says_late_is_not_held_against_the_new_one() {
    let relay = relay();
    let acme = Tenant::new(&relay, "acme");
    let old = Receiver::start(|_, _| Reply { after: Duration::from_secs(2), ..Reply::status(410) });
    let (new, hook) = (Receiver::well(), acme.open_hook("gini").path);
    acme.notify("gini", &old.url("/"));
    say(&acme, &hook, "a", "COMPLETED");
    old.wait(1);
    assert_eq!(change(&acme, &new.url("/")), "active");
    // Its answer comes, and the event goes to where it belongs now.
    new.wait(1);
    acme.wait_for_deliveries("state=delivered", |all| all.len() == 1);
    assert_eq!(acme.get("/v2/notification/main").json()["state"], "active");
}

#[test]
fn a_handshake_that_another_endpoint_passed_counts_for_nothing() {
    let relay = relay();
    let acme = Tenant::new(&relay, "acme");
    let old = Receiver::start(|received, before| {
        let body = received.parameter("nonce").map(|nonce| format!(r#"{{"nonce":"{nonce}"}}"#)).unwrap_or_default();
        // The first is that of the notification's making.
        Reply { body, after: Duration::from_secs(if before == 0 { 0 } else { 2 }), ..Reply::status(200) }
    });
    let (new, hook) = (Receiver::well(), acme.open_hook("gini").path);
    acme.notify("ppj", &old.url("/"));
    std::thread::scope(|scope| {
        let (to, request) = (relay.listen, Request::post("/v2/notification/main/verify").bearer(&acme.token));
        let verifying = scope.spawn(move || Wire::connect(to).ask(&request));
        old.wait(2);
        assert_eq!(change(&acme, &new.url("/")), "unverified");
        assert_eq!(verifying.join().expect("an answer").status, 400);
    });
    assert_eq!(acme.get("/v2/notification/main").json()["state"], "unverified");
    say(&acme, &hook, "a", "COMPLETED");
    acme.wait_for_deliveries("state=pending", |all| all.len() == 1 && all[0]["attempts"][0].is_object());
    assert!(new.received().iter().all(|r| r.parameter("type").as_deref() == Some("verify")), "{:?}", new.received());
}

#[test]
fn a_retry_by_hand_while_an_attempt_is_under_way_is_not_forgotten() {
    let relay = relay();
    let acme = Tenant::new(&relay, "acme");
    let receiver = Receiver::start(|_, before| Reply {
        headers: "Retry-After: 80000\r\n",
        after: Duration::from_secs(if before == 0 { 1 } else { 0 }),
        ..Reply::status(if before == 0 { 503 } else { 200 })
    });
    acme.notify("gini", &receiver.url("/"));
    say(&acme, &acme.open_hook("gini").path, "a", "COMPLETED");
    receiver.wait(1);
    let id = text(&acme.deliveries("")[0], "id");
    assert_eq!(acme.post(&format!("/deliveries/{id}/retry"), "").status, 202);
    receiver.wait(2);
    acme.wait_for_deliveries("state=delivered", |all| all.len() == 1);
}

#[test]
fn changes_at_the_same_time_are_all_made() {
    let relay = relay();
    let acme = Tenant::new(&relay, "acme");
    acme.notification(&json!({ "name": "main", "endpoint": "http://127.0.0.1:9/", "format": "zoffice" }));
    let (to, token) = (relay.listen, acme.token.clone());
    let put = |body: &str| {
        let request = Request::new("PUT", "/v2/notification/main").bearer(&token).json(body);
        let changed = Wire::connect(to).ask(&request);
        assert_eq!(changed.status, 200, "{changed:?}");
    };
    for _ in 0..20 {
        put(r#"{"isDefault":false,"tokenType":""}"#);
        std::thread::scope(|scope| {
            scope.spawn(|| put(r#"{"isDefault":true}"#));
            scope.spawn(|| put(r#"{"tokenType":"header","tokenValue":"z"}"#));
        });
        let shown = acme.get("/v2/notification/main").json();
        assert_eq!((&shown["isDefault"], &shown["tokenType"]), (&json!(true), &json!("header")));
    }
}

#[test]
fn an_event_does_not_go_round_through_a_hook_of_its_own_client() {
    let relay = relay();
    let (acme, other) = (Tenant::new(&relay, "acme"), Tenant::new(&relay, "other"));
    let (own, theirs) = (acme.open_hook("standard"), other.open_hook("standard"));
    acme.notify("standard", &own.url);
    let message = json!({ "type": "document.completed", "data": { "id": "a" } }).to_string();
    stored(&relay.ask(&Request::post(&own.path).json(&message)));
    let waits = acme.wait_for_deliveries("state=pending", |all| all.len() == 1 && all[0]["attempts"][0].is_object());
    assert_eq!(waits[0]["attempts"][0]["status"], 508, "{waits:?}");
    // To another client of the same relay it is a webhook like any other.
    change(&acme, &theirs.url);
    acme.wait_for_deliveries("state=delivered", |all| all.len() == 1);
    assert_eq!((other.documents().len(), acme.documents().len()), (1, 1));
}

#[test]
fn one_clients_slow_callbacks_do_not_delay_anothers_deliveries() {
    let relay = TestRelay::with(&[
        ("allow_private_endpoints", "127.0.0.0/8"),
        ("delivery_concurrency", "8"),
        ("delivery_timeout", "2s"),
    ]);
    let (many, one) = (Tenant::new(&relay, "many"), Tenant::new(&relay, "one"));
    let (hangs, well) =
        (Receiver::start(|_, _| Reply { after: Duration::from_secs(3), ..Reply::status(200) }), Receiver::well());
    one.notify("gini", &well.url("/"));
    let hook = one.open_hook("gini").path;
    for n in 0..60 {
        let callback = json!({ "url": hangs.url(&format!("/{n}")), "format": "gini" });
        let body = json!({ "vendor": "gini", "vendorId": format!("e{n}"), "callback": callback }).to_string();
        assert_eq!(many.post("/documents", &body).status, 201);
    }
    let began = Instant::now();
    say(&one, &hook, "mine", "COMPLETED");
    well.wait(1);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    // And those of one address do not delay the same client's others.
    let quick = Receiver::well();
    let callback = json!({ "url": quick.url("/"), "format": "gini" });
    let body = json!({ "vendor": "gini", "vendorId": "quick", "callback": callback }).to_string();
    assert_eq!(one.post("/documents", &body).status, 201);
    quick.wait(1);
}

#[test]
fn a_callback_that_moves_on_the_same_host_is_told_and_the_old_one_is_not() {
    let relay = relay();
    let acme = Tenant::new(&relay, "acme");
    let receiver = Receiver::start(|received, _| Reply::status(if received.target == "/old" { 500 } else { 200 }));
    let hook = acme.open_hook("zoffice").path;
    let announce = |path: &str, token: &str| {
        let callback =
            json!({ "url": receiver.url(path), "format": "gini", "tokenType": "header", "tokenValue": token });
        acme.post("/documents", &json!({ "vendor": "zoffice", "vendorId": "a", "callback": callback }).to_string())
    };
    let done = json!({ "taskId": "a", "code": "TaskSuccessNotify", "detail": {} }).to_string();
    stored(&relay.ask(&Request::post(&hook).json(&done)));
    assert_eq!(announce("/old", "old").status, 200);
    receiver.wait(1);
    assert_eq!(announce("/new", "new").status, 200);
    let told = receiver.wait(2);
    assert_eq!((told[1].target.as_str(), told[1].header("authorization")), ("/new", Some("new")));
    // The old one's next attempt finds that it is no longer the document's.
    acme.wait_for_deliveries("state=dead", |all| all.len() == 1);
    assert_eq!(receiver.received().iter().filter(|r| r.target == "/old").count(), 1);
    problem(&announce("/x\\y", "x"), 400);
}
