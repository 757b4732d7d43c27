//! Requests and tokens of a client that was removed while they were in use, and created again under the same name.

use serde_json::json;

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::connection::Connection;
use crate::harness::request::Request;
use crate::harness::response::Response;

/// A request whose head the relay has accepted, and which waits for its body.
struct HeldRequest {
    connection: Connection,
    body: String,
}

impl HeldRequest {
    /// `100 Continue` comes when the handler reads the body, hence after the credentials were checked.
    #[track_caller]
    fn open(relay: &TestRelay, request: Request, body: &str) -> Self {
        let mut connection = Connection::open(relay.listen);
        let bytes = request.header("Expect", "100-continue").json(body).bytes();
        connection.write(&bytes[..bytes.len() - body.len()]);
        let interim = connection.read_head();
        assert_eq!(interim.status, 100, "{interim:?}");
        Self { connection, body: body.to_owned() }
    }

    fn finish(mut self) -> Response {
        self.connection.write(&self.body);
        self.connection.read_response()
    }
}

#[test]
fn request_held_over_recreation_changes_nothing_in_successor() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("gini");
    let main = json!({"name": "main", "endpoint": "http://127.0.0.1:9/", "format": "gini"}).to_string();
    assert_eq!(acme.post("/v2/notification", &main).status, 200);
    let hold = |request: Request, body: &str| HeldRequest::open(&relay, request, body);
    let post = |target: &str| Request::post(target).bearer(&acme.token);
    let webhook = r#"{"documentId":"held","status":"COMPLETED"}"#;
    let held = [
        hold(Request::post(&hook.path), webhook),
        hold(Request::post(&hook.path), r#"{"documentId":"#),
        hold(post("/hooks"), r#"{"vendor":"gini"}"#),
        hold(post("/documents"), r#"{"vendor":"gini","vendorId":"registered"}"#),
        hold(post("/v2/notification"), &main.replace("main", "spy")),
        hold(Request::new("PUT", "/v2/notification/main").bearer(&acme.token), r#"{"endpoint":"http://127.0.0.1:7/"}"#),
        hold(post("/v2/notification/main/recover"), r#"{"since":"2026-01-01T00:00:00Z"}"#),
        hold(post("/events/ticket"), "{}"),
    ];

    relay.remove_client("acme");
    let successor = TestClient::new(&relay, "acme");
    assert_eq!(successor.post("/v2/notification", &main).status, 200);
    let own = successor.add_unverified_hook("gini");
    for request in held {
        let body = request.body.clone();
        let response = request.finish();
        assert!((400..500).contains(&response.status), "{body}: {response:?}");
    }

    assert!(successor.documents().is_empty() && successor.rejects().is_empty());
    let hooks = successor.get("/hooks").json();
    assert_eq!((hooks["hooks"].as_array().map(Vec::len), &hooks["hooks"][0]["id"]), (Some(1), &own.id.into()));
    let notifications = successor.get("/v2/notification").json();
    assert_eq!(notifications["notifications"].as_array().map(Vec::len), Some(1), "{notifications}");
    assert_eq!(notifications["notifications"][0]["endpoint"], "http://127.0.0.1:9/");
}

#[test]
fn token_of_removed_client_fails_in_successor_of_same_second() {
    let relay = TestRelay::start();
    let mut tokens: Vec<String> = Vec::new();
    // Several rounds: creation, removal and creation fall into one second in most of them.
    for _ in 0..3 {
        let acme = TestClient::new(&relay, "acme");
        for token in &tokens {
            assert_eq!(relay.send(&Request::get("/documents").bearer(token)).status, 401);
        }
        tokens.push(acme.token.clone());
        relay.remove_client("acme");
    }
}
