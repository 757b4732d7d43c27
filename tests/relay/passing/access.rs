//! Where nothing goes: to closed addresses, after redirects, to who was removed.

use std::time::Duration;

use serde_json::json;

use super::{relay, say};
use crate::support::TestRelay;
use crate::support::receiver::{Receiver, Reply};
use crate::support::tenant::{Tenant, problem, text};
use crate::support::wire::Request;

#[test]
fn private_addresses_are_refused_in_every_spelling_unless_they_are_opened() {
    let relay = TestRelay::start();
    let acme = Tenant::new(&relay, "acme");
    for host in [
        "127.0.0.1",
        "localhost",
        "LOCALHOST.",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "100.64.0.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fc00::1]",
        "[fe80::1]",
        "[::127.0.0.1]",
        "224.0.0.1",
        "255.255.255.255",
    ] {
        let body = json!({ "name": "n", "endpoint": format!("http://{host}:8080/x") }).to_string();
        let refused = acme.post("/v2/notification", &body);
        assert_eq!((refused.status, refused.json()["code"].as_str()), (400, Some("BceValidationException")), "{host}");
        assert!(text(&refused.json(), "message").starts_with("endpoint:endpoint="), "{refused:?}");
        let callback = json!({ "vendor": "gini", "vendorId": "a",
            "callback": { "url": format!("http://{host}/"), "format": "gini" } });
        problem(&acme.post("/documents", &callback.to_string()), 400);
    }
    for bad in ["ftp://example.com/", "http://", "/x", "http://u:p@example.com/", "javascript:alert(1)"] {
        let body = json!({ "name": "n", "endpoint": bad }).to_string();
        assert_eq!(acme.post("/v2/notification", &body).status, 400, "{bad}");
    }
    assert!(acme.documents().is_empty());
}

#[test]
fn an_address_that_was_open_is_not_called_once_it_is_closed() {
    let mut relay = relay();
    let receiver = Receiver::well();
    let (token, hook) = {
        let acme = Tenant::new(&relay, "acme");
        acme.notify("gini", &receiver.url("/"));
        (acme.token.clone(), acme.open_hook("gini").path)
    };
    relay.set("allow_private_endpoints", "none");
    relay.restart();
    relay.ask(&Request::post(&hook).json(r#"{"documentId":"a","status":"COMPLETED"}"#));
    let acme = Tenant { relay: &relay, id: "acme".to_owned(), secret: String::new(), token };
    let waits = acme.wait_for_deliveries("state=pending", |all| all.len() == 1 && all[0]["attempts"][0].is_object());
    assert!(text(&waits[0]["attempts"][0], "reason").contains("not called"), "{waits:?}");
    assert_eq!(receiver.connections(), 0);
}

#[test]
fn a_redirect_is_a_failure_and_is_not_followed() {
    let relay = relay();
    let acme = Tenant::new(&relay, "acme");
    let receiver = Receiver::start(|_, _| Reply { headers: "Location: /elsewhere\r\n", ..Reply::status(302) });
    acme.notify("gini", &receiver.url("/"));
    say(&acme, &acme.open_hook("gini").path, "a", "COMPLETED");
    let waits = acme.wait_for_deliveries("state=pending", |all| all.len() == 1 && all[0]["attempts"][0].is_object());
    assert_eq!(waits[0]["attempts"][0]["status"], 302);
    assert_eq!(receiver.received().len(), 1);
}

/// Answers after ten seconds or so: whatever was under way is, still.
fn hangs() -> Receiver {
    Receiver::start(|_, _| Reply { after: Duration::from_secs(9), ..Reply::status(200) })
}

#[test]
fn a_notification_that_is_deleted_gets_nothing_more() {
    let relay = relay();
    let acme = Tenant::new(&relay, "acme");
    let (receiver, hook) = (hangs(), acme.open_hook("gini").path);
    acme.notify("gini", &receiver.url("/"));
    for n in 0..50 {
        say(&acme, &hook, &format!("d{n}"), "COMPLETED");
    }
    receiver.wait(4);
    let deleted = acme.ask(Request::new("DELETE", "/v2/notification/main"));
    assert_eq!((deleted.status, deleted.body.len()), (200, 0), "{deleted:?}");
    let before = receiver.received().len();
    assert_eq!(relay.metric("docrelay_deliveries_running"), Some(0.0), "what was under way is called back");
    let dead = acme.deliveries("state=dead&limit=1000");
    assert_eq!((dead.len(), acme.deliveries("state=pending").len()), (50, 0));
    // The name is free again, and its new owner inherits nothing.
    let next = Receiver::well();
    acme.notify("gini", &next.url("/next"));
    say(&acme, &hook, "last", "COMPLETED");
    assert_eq!(next.wait(1).len(), 1);
    acme.wait_for_deliveries("state=delivered", |all| all.len() == 1);
    assert_eq!((receiver.received().len(), next.received().len()), (before, 1));
}

#[test]
fn a_client_that_is_erased_gets_nothing_more() {
    let relay = relay();
    let acme = Tenant::new(&relay, "acme");
    let (receiver, hook) = (hangs(), acme.open_hook("gini").path);
    acme.notify("gini", &receiver.url("/"));
    let callback = json!({ "vendor": "standard", "vendorId": "x",
        "callback": { "url": receiver.url("/own"), "format": "zoffice" } });
    assert_eq!(acme.post("/documents", &callback.to_string()).status, 201);
    for n in 0..50 {
        say(&acme, &hook, &format!("d{n}"), "COMPLETED");
    }
    receiver.wait(5);
    let erase = Request::new("DELETE", "/admin/clients/acme").bearer(&relay.admin_token());
    assert_eq!(relay.ask_admin(&erase).status, 204);
    let before = receiver.received().len();
    assert_eq!(relay.metric("docrelay_deliveries_running"), Some(0.0));
    let again = Tenant::new(&relay, "acme");
    assert!(again.deliveries("").is_empty());
    let (next, hook) = (Receiver::well(), again.open_hook("gini").path);
    again.notify("gini", &next.url("/"));
    say(&again, &hook, "first", "COMPLETED");
    again.wait_for_deliveries("state=delivered", |all| all.len() == 1);
    assert_eq!((receiver.received().len(), next.received().len()), (before, 1));
    relay.wait_until_metric("docrelay_deliveries_pending", |n| n == 0.0);
}

#[test]
fn deliveries_are_their_owners_alone_and_the_log_holds_no_secret() {
    let relay = relay();
    let (acme, other) = (Tenant::new(&relay, "acme"), Tenant::new(&relay, "other"));
    let receiver = Receiver::start(|_, _| Reply { body: "answer-with-a-secret".into(), ..Reply::status(500) });
    acme.notification(
        &json!({ "name": "main", "endpoint": receiver.url("/hear?key=endpoint-secret"), "format": "zoffice",
        "tokenType": "header", "tokenValue": "token-value-secret", "isDefault": true }),
    );
    say(&acme, &acme.open_hook("gini").path, "a", "COMPLETED");
    let mine = acme.wait_for_deliveries("", |all| all.len() == 1 && all[0]["attempts"][0].is_object());
    let id = text(&mine[0], "id");
    assert!(other.deliveries("").is_empty());
    problem(&other.get(&format!("/deliveries/{id}")), 404);
    problem(&other.post(&format!("/deliveries/{id}/retry"), ""), 404);
    problem(&relay.ask(&Request::get("/deliveries")), 401);
    relay.wait_until_said("a delivery failed");
    let said = relay.said();
    for secret in ["endpoint-secret", "token-value-secret", "answer-with-a-secret"] {
        assert!(!said.contains(secret), "{secret} in the log:\n{said}");
    }
    let metrics = relay.ask_admin(&Request::get("/metrics"));
    assert!(metrics.text().contains("docrelay_delivery_attempts_total{outcome=\"failed\"} 1"), "{}", metrics.text());
    assert!(!metrics.text().contains("acme") && !metrics.text().contains("main"), "{}", metrics.text());
}
