//! Changes of clients, notifications, documents, hooks and rejects: what the relay has acknowledged of them survives a
//! power cut as its events do.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::connection::Connection;
use crate::harness::request::Request;
use crate::harness::response::{Response, string_at};

/// Objects of each kind that one round creates. Every fifth of them is not removed.
const MAX_OBJECTS: usize = 10;

/// Fewer than a client may have.
const NOTIFICATIONS: usize = 4;

/// How long the objects of a round are expected.
const ROUNDS: usize = 3;

/// The address with the object, and text that its page has only while the object is there.
#[derive(Clone, Debug)]
struct Page {
    kind: &'static str,
    is_admin: bool,
    target: String,
    text: String,
}

/// What the relay has acknowledged last of one object.
#[derive(Debug)]
struct Expected {
    round: usize,
    page: Page,
    is_present: bool,
}

/// Acknowledged changes of the last rounds.
pub(super) struct Changes {
    mapped_hook: String,
    unmapped_hook: String,
    expected: Vec<Expected>,
}

impl Changes {
    /// Adds the hooks on which requests are rejected and replayed.
    #[track_caller]
    pub(super) fn new(acme: &TestClient<'_>) -> Self {
        let hook = |statuses: Value| {
            let mapping = json!({"vendorId": "/id", "status": "/state", "statuses": statuses});
            acme.add_hook(&json!({"vendor": "generic", "mapping": mapping}).to_string())
        };
        let (mapped_hook, unmapped_hook) =
            (hook(json!({"finished": "COMPLETED"})).id, hook(json!({"done": "COMPLETED"})).path);
        Self { mapped_hook, unmapped_hook, expected: Vec::new() }
    }

    /// The sender of the changes of one round.
    #[track_caller]
    pub(super) fn sender(&self, relay: &TestRelay, token: &str, round: usize) -> ChangeSender {
        ChangeSender {
            public: relay.listen,
            admin: relay.admin_listen,
            token: token.to_owned(),
            admin_token: relay.admin_token(),
            mapped_hook: self.mapped_hook.clone(),
            unmapped_hook: self.unmapped_hook.clone(),
            round,
            expected: Vec::new(),
        }
    }

    /// Adds what a sender has seen acknowledged.
    pub(super) fn add(&mut self, sender: ChangeSender) {
        // The notifications of the round before have the same names.
        let is_valid = |expected: &Expected| match expected.page.kind {
            "notification" => false,
            _ => expected.round + ROUNDS > sender.round,
        };
        self.expected.retain(is_valid);
        self.expected.extend(sender.expected);
    }

    /// The acknowledged changes that the relay does not show, each with the kind of its object.
    #[track_caller]
    pub(super) fn lost(&self, relay: &TestRelay, token: &str) -> Vec<String> {
        let admin_token = relay.admin_token();
        let mut connections = [relay.listen, relay.admin_listen].map(Connection::open);
        let mut lost = Vec::new();
        for Expected { page, is_present, .. } in &self.expected {
            let request = Request::get(&page.target).bearer(if page.is_admin { &admin_token } else { token });
            let response = connections[usize::from(page.is_admin)].send(&request);
            let is_found = response.status == 200 && response.text().contains(&page.text);
            if is_found != *is_present {
                let change = if *is_present { "addition or change" } else { "removal" };
                lost.push(format!("an acknowledged {change} of a {} is lost: {page:?}", page.kind));
            }
        }
        lost
    }
}

/// Sends changes, one after the other.
pub(super) struct ChangeSender {
    public: SocketAddr,
    admin: SocketAddr,
    token: String,
    admin_token: String,
    mapped_hook: String,
    unmapped_hook: String,
    round: usize,
    expected: Vec<Expected>,
}

impl ChangeSender {
    /// Sends until the relay dies, or all changes of a round are acknowledged.
    pub(super) fn run(mut self) -> Self {
        if let (Ok(mut public), Ok(mut admin)) = (Connection::try_open(self.public), Connection::try_open(self.admin)) {
            for number in 0..MAX_OBJECTS {
                if self.send_all(&mut public, &mut admin, number).is_none() {
                    break;
                }
            }
        }
        self
    }

    /// The number of objects with an acknowledged state.
    pub(super) fn len(&self) -> usize {
        self.expected.len()
    }

    /// One object of each kind. `None` when the relay has died or is stopping.
    fn send_all(&mut self, public: &mut Connection, admin: &mut Connection, number: usize) -> Option<()> {
        let (name, is_kept) = (format!("r{}_{number}", self.round), number % 5 == 4);
        let page =
            |kind, target: String, text: &str| Page { kind, is_admin: kind == "client", target, text: text.to_owned() };

        let target = format!("/admin/clients/{name}");
        let client = page("client", target.clone(), &name);
        self.send(admin, &client, true, Request::post("/admin/clients").json(&json!({"clientId": name}).to_string()))?;
        if !is_kept {
            self.send(admin, &client, false, Request::new("DELETE", &target))?;
        }

        // The same names again and again.
        let target = format!("/v2/notification/n{}", number % NOTIFICATIONS);
        let endpoint = |path: &str| format!("http://127.0.0.1:9/{name}/{path}");
        let notification = |path| page("notification", target.clone(), &endpoint(path));
        let removal = Request::new("DELETE", &target);
        self.forget(&notification("added"));
        public.try_send(&self.request(removal.clone(), false))?;
        let body =
            json!({"name": format!("n{}", number % NOTIFICATIONS), "endpoint": endpoint("added"), "format": "gini"})
                .to_string();
        self.send(public, &notification("added"), true, Request::post("/v2/notification").json(&body))?;
        let body = json!({"endpoint": endpoint("changed")}).to_string();
        self.send(public, &notification("changed"), true, Request::new("PUT", &target).json(&body))?;
        if !is_kept {
            self.send(public, &notification("changed"), false, removal)?;
        }

        let body = json!({"vendor": "standard", "vendorId": name}).to_string();
        let registration = self.request(Request::post("/documents").json(&body), false);
        let document = string_at(&acknowledged(public, &registration)?.json(), "documentId");
        self.expect(page("document", format!("/documents/{document}"), &name), true);

        let creation = self.request(Request::post("/hooks").json(r#"{"vendor":"gini"}"#), false);
        let id = string_at(&acknowledged(public, &creation)?.json(), "id");
        let target = format!("/hooks/{id}");
        self.expect(page("hook", target.clone(), &id), true);
        if !is_kept {
            self.send(public, &page("hook", target.clone(), &id), false, Request::new("DELETE", &target))?;
        }

        let body = json!({"id": format!("{name}_replayed"), "state": "finished"}).to_string();
        let rejected = answered(public, &Request::post(&self.unmapped_hook).json(&body))?;
        assert_eq!(rejected.status, 422, "{rejected:?}");
        let list = self.request(Request::get("/rejects?limit=1"), false);
        let id = string_at(&acknowledged(public, &list)?.json()["rejects"][0], "id");
        let reject = page("reject", "/rejects?limit=1000".to_owned(), &format!("\"{id}\""));
        self.expect(reject.clone(), true);
        if !is_kept {
            let target = format!("/rejects/{id}/replay?hook={}", self.mapped_hook);
            let replayed = self.send(public, &reject, false, Request::post(&target))?.json();
            let target = format!("/documents/{}", string_at(&replayed, "documentId"));
            self.expect(page("document", target, &format!("{name}_replayed")), true);
        }
        Some(())
    }

    /// Sends a change. While its response is missing, nothing is known of the object.
    fn send(&mut self, connection: &mut Connection, page: &Page, adds: bool, request: Request) -> Option<Response> {
        self.forget(page);
        let response = acknowledged(connection, &self.request(request, page.is_admin))?;
        self.expect(page.clone(), adds);
        Some(response)
    }

    fn forget(&mut self, page: &Page) {
        // All rejects are on one page.
        let is_other = |other: &Page| other.target != page.target || (page.kind == "reject" && other.text != page.text);
        self.expected.retain(|expected| is_other(&expected.page));
    }

    fn expect(&mut self, page: Page, is_present: bool) {
        self.expected.push(Expected { round: self.round, page, is_present });
    }

    fn request(&self, request: Request, is_admin: bool) -> Request {
        request.bearer(if is_admin { &self.admin_token } else { &self.token })
    }
}

/// A response; `None` when the relay has died or is stopping.
fn answered(connection: &mut Connection, request: &Request) -> Option<Response> {
    connection.try_send(request).filter(|response| response.status != 503)
}

/// The response to a change, which must succeed; `None` when the relay has died or is stopping.
#[track_caller]
fn acknowledged(connection: &mut Connection, request: &Request) -> Option<Response> {
    let response = answered(connection, request)?;
    assert!((200..300).contains(&response.status), "{request:?}: {response:?} {}", response.text());
    Some(response)
}
