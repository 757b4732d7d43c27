//! A client of the relay, as its own application sees it: tokens, hooks, documents, notifications, deliveries. All
//! calls go over HTTP, so that a test starts no further process.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::command::hook_path;
use super::connection::{Connection, ReadOutcome};
use super::request::Request;
use super::response::{Response, array_at, stored_event_id, string_at};
use super::sse::Event;
use super::{TIMEOUT, TestRelay, delay};

/// A client with a token of both scopes.
pub(crate) struct TestClient<'a> {
    pub(crate) relay: &'a TestRelay,
    pub(crate) id: String,
    /// Empty for a client that another `TestClient` has created.
    pub(crate) secret: String,
    pub(crate) token: String,
}

/// Posts a webhook to a relay that may be killed meanwhile. Returns the event id; `None` when the connection ends
/// before the response is complete.
#[track_caller]
pub(crate) fn try_store_event(connection: &mut Connection, request: &Request) -> Option<String> {
    connection.try_write(request.bytes()).ok()?;
    let mut response = Vec::new();
    while !response.ends_with(b"\r\n\r\n{}") {
        match connection.read(TIMEOUT) {
            ReadOutcome::Bytes(bytes) => response.extend(bytes),
            ReadOutcome::Closed | ReadOutcome::TimedOut => return None,
        }
    }
    let head = String::from_utf8(response).expect("a response in UTF-8");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let id = head.lines().find_map(|line| line.strip_prefix("docrelay-event-id: "));
    Some(id.expect("the event id").to_owned())
}

/// A hook of a client.
pub(crate) struct Hook {
    pub(crate) id: String,
    /// The absolute URL that a vendor is given.
    pub(crate) url: String,
    /// The URL without scheme and host.
    pub(crate) path: String,
}

impl<'a> TestClient<'a> {
    /// Creates the client and a token.
    #[track_caller]
    pub(crate) fn new(relay: &'a TestRelay, id: &str) -> Self {
        let body = format!(r#"{{"clientId":"{id}"}}"#);
        let created = relay.send_admin(&Request::post("/admin/clients").bearer(&relay.admin_token()).json(&body));
        assert_eq!(created.status, 201, "{created:?}");
        let secret = string_at(&created.json(), "clientSecret");
        let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
        let issued = relay.send(&Request::post("/oauth/token").form(&form));
        let token = string_at(&issued.json(), "access_token");
        Self { relay, id: id.to_owned(), secret, token }
    }

    /// A client that exists already, such as after a restart of its relay.
    pub(crate) fn with_token(relay: &'a TestRelay, id: &str, token: String) -> Self {
        Self { relay, id: id.to_owned(), secret: String::new(), token }
    }

    /// Sends a request with the client's token.
    #[track_caller]
    pub(crate) fn send(&self, request: Request) -> Response {
        self.relay.send(&request.bearer(&self.token))
    }

    /// Sends GET with the client's token.
    #[track_caller]
    pub(crate) fn get(&self, target: &str) -> Response {
        self.send(Request::get(target))
    }

    /// Sends POST of JSON with the client's token.
    #[track_caller]
    pub(crate) fn post(&self, target: &str, body: &str) -> Response {
        self.send(Request::post(target).json(body))
    }

    /// Sends DELETE with the client's token.
    #[track_caller]
    pub(crate) fn delete(&self, target: &str) -> Response {
        self.send(Request::new("DELETE", target))
    }

    /// Creates a hook with this body of `POST /hooks`.
    #[track_caller]
    pub(crate) fn add_hook(&self, body: &str) -> Hook {
        let created = self.post("/hooks", body);
        assert_eq!(created.status, 201, "{created:?}");
        let (json, url) = (created.json(), string_at(&created.json(), "url"));
        Hook { id: string_at(&json, "id"), path: hook_path(&url), url }
    }

    /// Creates a hook of this vendor without signature verification.
    #[track_caller]
    pub(crate) fn add_unverified_hook(&self, vendor: &str) -> Hook {
        let mapping = r#","mapping":{"vendorId":"/id","status":"/state","statuses":{"done":"COMPLETED"}}"#;
        let mapping = if vendor == "generic" { mapping } else { "" };
        self.add_hook(&format!(r#"{{"vendor":"{vendor}"{mapping}}}"#))
    }

    /// Posts a Gini webhook without a signature. Returns the event id.
    #[track_caller]
    pub(crate) fn post_gini(&self, hook: &str, document: &str, status: &str) -> String {
        let body = format!(r#"{{"documentId":"{document}","status":"{status}"}}"#);
        stored_event_id(&self.relay.send(&Request::post(hook).json(&body)))
    }

    /// Creates a notification with this body of `POST /v2/notification`. Returns it as the API shows it.
    #[track_caller]
    pub(crate) fn add_notification(&self, body: &Value) -> Value {
        let created = self.post("/v2/notification", &body.to_string());
        assert_eq!(created.status, 200, "{created:?} {}", String::from_utf8_lossy(&created.body));
        self.get(&format!("/v2/notification/{}", string_at(body, "name"))).json()
    }

    /// Creates a default notification named `main`.
    #[track_caller]
    pub(crate) fn add_default_notification(&self, format: &str, endpoint: &str) -> Value {
        self.add_notification(&json!({ "name": "main", "endpoint": endpoint, "format": format, "isDefault": true }))
    }

    /// Deliveries that match the query, newest first.
    #[track_caller]
    pub(crate) fn deliveries(&self, query: &str) -> Vec<Value> {
        self.list(&format!("/deliveries?{query}"), "deliveries")
    }

    /// Polls until the deliveries that match the query satisfy the condition; the relay streams no deliveries.
    #[track_caller]
    pub(crate) fn wait_for_deliveries(&self, query: &str, condition: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let all = self.deliveries(query);
            if condition(&all) {
                return all;
            }
            assert!(Instant::now() < deadline, "{all:#?}");
            delay(Duration::from_millis(10));
        }
    }

    /// Polls until `count` deliveries match the query.
    #[track_caller]
    pub(crate) fn wait_for_delivery_count(&self, query: &str, count: usize) -> Vec<Value> {
        self.wait_for_deliveries(query, |all| all.len() == count)
    }

    /// Polls until the only delivery that matches the query has an attempt. Returns the delivery.
    #[track_caller]
    pub(crate) fn wait_for_attempt(&self, query: &str) -> Value {
        let attempted = |all: &[Value]| all.len() == 1 && all[0]["attempts"][0].is_object();
        self.wait_for_deliveries(query, attempted).remove(0)
    }

    /// The first retained events.
    #[track_caller]
    pub(crate) fn events(&self, count: usize) -> Vec<Event> {
        self.relay.follow_from(&self.token, "earliest").events(count)
    }

    /// The first page of documents, newest first.
    #[track_caller]
    pub(crate) fn documents(&self) -> Vec<Value> {
        self.list("/documents", "documents")
    }

    /// The first page of rejects, newest first.
    #[track_caller]
    pub(crate) fn rejects(&self) -> Vec<Value> {
        self.list("/rejects", "rejects")
    }

    #[track_caller]
    fn list(&self, target: &str, key: &str) -> Vec<Value> {
        let list = self.get(target);
        assert_eq!(list.status, 200, "{target} {list:?}");
        array_at(&list.json(), key)
    }
}
