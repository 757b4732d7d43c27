//! A relay with one client: the starting point of most tests of streams.

use serde_json::{Value, json};

use super::TestRelay;
use super::connection::Connection;
use super::follower::Follower;
use super::request::Request;

/// A relay with the client `acme`, its Gini hook and a token of both scopes.
pub(crate) struct Fixture {
    pub(crate) relay: TestRelay,
    /// The path of the hook.
    pub(crate) hook: String,
    pub(crate) token: String,
}

impl Fixture {
    pub(crate) fn start() -> Self {
        Self::with_config(&[])
    }

    #[track_caller]
    pub(crate) fn with_config(config: &[(&str, &str)]) -> Self {
        let relay = TestRelay::with_config(config);
        relay.add_client("acme");
        let hook = relay.add_hook("acme", "gini", &[]).path;
        let token = relay.token("acme");
        Self { relay, hook, token }
    }

    /// Posts a webhook: the document of this number is complete. Returns the event id.
    #[track_caller]
    pub(crate) fn complete(&self, number: u32) -> String {
        self.post(&json!({"documentId": document_id(number), "status": "COMPLETED"}))
    }

    /// Posts a webhook with this body. Returns the event id.
    #[track_caller]
    pub(crate) fn post(&self, body: &Value) -> String {
        let response = self.relay.send(&Request::post(&self.hook).json(&body.to_string()));
        assert_eq!(response.status, 200, "{response:?}");
        response.header("docrelay-event-id").expect("the event id").to_owned()
    }

    /// Opens a live stream. Every event that is stored after this call is in it.
    #[track_caller]
    pub(crate) fn follow(&self) -> Follower {
        self.relay.follow(&self.token)
    }

    /// Opens a stream with this query and the token in the header.
    #[track_caller]
    pub(crate) fn follow_with_query(&self, query: &str) -> Follower {
        self.relay.open_stream(&Request::get(&format!("/events/client?{query}")).bearer(&self.token))
    }

    /// Opens a connection to the public address and writes these bytes.
    #[track_caller]
    pub(crate) fn write(&self, bytes: impl AsRef<[u8]>) -> Connection {
        let mut connection = Connection::open(self.relay.listen);
        connection.write(bytes);
        connection
    }

    /// The head of `GET /events/client` without its last empty line.
    pub(crate) fn stream_request_head(&self) -> String {
        format!("GET /events/client HTTP/1.1\r\nHost: relay.test\r\nAuthorization: Bearer {}\r\n", self.token)
    }
}

/// The id of the document of this number.
pub(crate) fn document_id(number: u32) -> String {
    format!("626626a0-749f-11e2-bfd6-{number:012x}")
}
