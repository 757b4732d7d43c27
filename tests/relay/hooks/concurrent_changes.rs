//! Changes of one hook or client by requests that overlap.

use std::thread;

use serde_json::json;

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::connection::Connection;
use crate::harness::request::Request;
use crate::harness::response::string_at;

/// Rounds of overlapping requests. Each takes some milliseconds, and most of them overlap.
const ROUNDS: usize = 20;

#[test]
fn overlapping_hook_changes_keep_both_fields() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("gini");
    let (listen, request) = (relay.listen, Request::new("PATCH", &format!("/hooks/{}", hook.id)).bearer(&acme.token));
    let patch = &|body: String| {
        let response = Connection::open(listen).send(&request.clone().json(&body));
        assert_eq!(response.status, 200, "{response:?}");
    };
    for round in 0..ROUNDS {
        thread::scope(|scope| {
            for change in [
                json!({ "name": format!("name {round}") }),
                json!({ "labels": { "round": round.to_string() } }),
                json!({ "verify": {"type": "authorization", "secret": format!("secret {round}")} }),
            ] {
                scope.spawn(move || patch(change.to_string()));
            }
        });
        let shown = acme.get(&format!("/hooks/{}", hook.id)).json();
        assert_eq!(shown["name"], format!("name {round}"), "{shown}");
        assert_eq!(shown["labels"]["round"], round.to_string(), "{shown}");
        let body = format!(r#"{{"documentId":"d{round}","status":"PENDING"}}"#);
        let signed = Request::post(&hook.path).header("Authorization", &format!("secret {round}")).json(&body);
        assert_eq!(relay.send(&signed).status, 200, "round {round}: the new secret verifies");
    }
}

#[test]
fn overlapping_secret_rotations_leave_both_secrets_valid() {
    let relay = TestRelay::start();
    TestClient::new(&relay, "acme");
    let (listen, request) =
        (relay.admin_listen, Request::post("/admin/clients/acme/secret").bearer(&relay.admin_token()));
    let rotate = || {
        let rotated = Connection::open(listen).send(&request);
        string_at(&rotated.json(), "clientSecret")
    };
    for round in 0..ROUNDS {
        let secrets = thread::scope(|scope| {
            let rotations = [scope.spawn(rotate), scope.spawn(rotate)];
            rotations.map(|rotation| rotation.join().expect("a rotation"))
        });
        for secret in secrets {
            let form = format!("grant_type=client_credentials&client_id=acme&client_secret={secret}");
            assert_eq!(relay.send(&Request::post("/oauth/token").form(&form)).status, 200, "round {round}");
        }
    }
}
