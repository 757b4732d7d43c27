//! A client of a relay as its own application sees it: a token, hooks, documents. All of it over HTTP, so that a test
//! needs no further process.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::sse::Event;
use super::wire::{Answer, Request};
use super::{PATIENCE, TestRelay, spend};

/// A client with a token of both scopes.
pub(crate) struct Tenant<'a> {
    pub(crate) relay: &'a TestRelay,
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) token: String,
}

/// A hook of a client.
pub(crate) struct Hook {
    pub(crate) id: String,
    /// Absolute, as a vendor is given it.
    pub(crate) url: String,
    /// The same without scheme and host.
    pub(crate) path: String,
}

impl<'a> Tenant<'a> {
    /// Makes the client.
    #[track_caller]
    pub(crate) fn new(relay: &'a TestRelay, id: &str) -> Self {
        let body = format!(r#"{{"clientId":"{id}"}}"#);
        let made = relay.ask_admin(&Request::post("/admin/clients").bearer(&relay.admin_token()).json(&body));
        assert_eq!(made.status, 201, "{made:?}");
        let secret = text(&made.json(), "clientSecret");
        let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
        let issued = relay.ask(&Request::post("/oauth/token").form(&form));
        let token = text(&issued.json(), "access_token");
        Self { relay, id: id.to_owned(), secret, token }
    }

    /// `POST /hooks` with this body.
    #[track_caller]
    pub(crate) fn hook(&self, body: &str) -> Hook {
        let made = self.post("/hooks", body);
        assert_eq!(made.status, 201, "{made:?}");
        let (json, url) = (made.json(), text(&made.json(), "url"));
        let path = url.find("/in/").map(|at| url[at..].to_owned()).expect("a hook's address holds /in/");
        Hook { id: text(&json, "id"), url, path }
    }

    /// A hook of this vendor that asks for no proof.
    #[track_caller]
    pub(crate) fn open_hook(&self, vendor: &str) -> Hook {
        let mapping = r#","mapping":{"vendorId":"/id","status":"/state","statuses":{"done":"COMPLETED"}}"#;
        let mapping = if vendor == "generic" { mapping } else { "" };
        self.hook(&format!(r#"{{"vendor":"{vendor}"{mapping}}}"#))
    }

    /// `POST /v2/notification` with this body.
    #[track_caller]
    pub(crate) fn notification(&self, body: &Value) -> Value {
        let made = self.post("/v2/notification", &body.to_string());
        assert_eq!(made.status, 200, "{made:?} {}", String::from_utf8_lossy(&made.body));
        let name = text(body, "name");
        self.get(&format!("/v2/notification/{name}")).json()
    }

    /// A default notification named `main`.
    #[track_caller]
    pub(crate) fn notify(&self, format: &str, endpoint: &str) -> Value {
        self.notification(&json!({ "name": "main", "endpoint": endpoint, "format": format, "isDefault": true }))
    }

    /// All deliveries, newest first.
    #[track_caller]
    pub(crate) fn deliveries(&self, query: &str) -> Vec<Value> {
        let list = self.get(&format!("/deliveries?{query}"));
        assert_eq!(list.status, 200, "{list:?}");
        list.json()["deliveries"].as_array().expect("a list").clone()
    }

    /// Waits until the deliveries are as they should be.
    #[track_caller]
    pub(crate) fn wait_for_deliveries(&self, query: &str, good: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let all = self.deliveries(query);
            if good(&all) {
                return all;
            }
            assert!(Instant::now() < deadline, "{all:#?}");
            // There is no stream of deliveries: what becomes of one is asked for.
            spend(Duration::from_millis(10));
        }
    }

    /// A request with the client's token.
    #[track_caller]
    pub(crate) fn ask(&self, request: Request) -> Answer {
        self.relay.ask(&request.bearer(&self.token))
    }

    /// GET, with the client's token.
    #[track_caller]
    pub(crate) fn get(&self, target: &str) -> Answer {
        self.ask(Request::get(target))
    }

    /// POST of JSON, with the client's token.
    #[track_caller]
    pub(crate) fn post(&self, target: &str, body: &str) -> Answer {
        self.ask(Request::post(target).json(body))
    }

    /// The first events of all that is retained.
    #[track_caller]
    pub(crate) fn events(&self, count: usize) -> Vec<Event> {
        self.relay.follow_from(&self.token, "earliest").events(count)
    }

    /// Every document, as the API lists them: newest first.
    #[track_caller]
    pub(crate) fn documents(&self) -> Vec<Value> {
        let list = self.get("/documents");
        assert_eq!(list.status, 200, "{list:?}");
        list.json()["documents"].as_array().expect("a list").clone()
    }

    /// All rejects, newest first.
    #[track_caller]
    pub(crate) fn rejects(&self) -> Vec<Value> {
        let list = self.get("/rejects");
        assert_eq!(list.status, 200, "{list:?}");
        list.json()["rejects"].as_array().expect("a list").clone()
    }
}

/// The id of the event that an answer says was stored; the answer must be what every vendor expects.
#[track_caller]
pub(crate) fn stored(answer: &Answer) -> String {
    assert_eq!((answer.status, answer.text()), (200, "{}"), "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    answer.header("docrelay-event-id").unwrap_or_else(|| panic!("no event in {answer:?}")).to_owned()
}

/// Checks a problem's form, and returns its detail.
#[track_caller]
pub(crate) fn problem(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status, status, "{answer:?} {}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
    let json = answer.json();
    assert_eq!(json["status"], status);
    assert!(json["title"].as_str().is_some_and(|title| !title.is_empty()), "{json}");
    assert!(answer.header("x-request-id").is_some_and(|id| json["requestId"] == id), "{answer:?}");
    text(&json, "detail")
}

/// The text under a key.
#[track_caller]
pub(crate) fn text(json: &Value, key: &str) -> String {
    json[key].as_str().unwrap_or_else(|| panic!("no {key} in {json}")).to_owned()
}
