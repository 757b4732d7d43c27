//! Baidu's notification API through the socket: its bytes, its codes, who may use it, and what the relay adds to it.

mod access;
mod api;
mod change;
mod routes;

use serde_json::{Value, json};

use crate::support::TestRelay;
use crate::support::tenant::{Tenant, text};
use crate::support::wire::{Answer, Request};

/// A port of this machine at which nobody listens.
const NOBODY: &str = "http://127.0.0.1:9/notify";

/// A relay that may call this machine.
fn relay() -> TestRelay {
    TestRelay::with(&[("allow_private_endpoints", "127.0.0.0/8")])
}

/// `POST /v2/notification` with a name, [`NOBODY`] and more.
#[track_caller]
fn add(tenant: &Tenant<'_>, name: &str, more: &Value) -> Answer {
    let mut body = json!({"name": name, "endpoint": NOBODY});
    for (key, value) in more.as_object().expect("an object") {
        body[key] = value.clone();
    }
    named(tenant.post("/v2/notification", &body.to_string()))
}

fn put(tenant: &Tenant<'_>, name: &str, body: &Value) -> Answer {
    named(tenant.ask(Request::new("PUT", &format!("/v2/notification/{name}")).json(&body.to_string())))
}

#[track_caller]
fn shown(tenant: &Tenant<'_>, name: &str) -> Value {
    let answer = named(tenant.get(&format!("/v2/notification/{name}")));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// Every answer names its request in Baidu's header, too.
#[track_caller]
fn named(answer: Answer) -> Answer {
    let id = answer.header("x-bce-request-id").unwrap_or_else(|| panic!("no request id: {answer:?}"));
    assert_eq!(answer.header("x-request-id"), Some(id));
    answer
}

/// Checks an error's form to the byte, and returns its message.
#[track_caller]
fn error(answer: &Answer, status: u16, code: &str) -> String {
    let answer = named(answer.clone());
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let message = text(&answer.json(), "message");
    let id = answer.header("x-bce-request-id").expect("named");
    let expected = format!(r#"{{"requestId":"{id}","code":"{code}","message":{}}}"#, json!(message));
    assert_eq!(answer.text(), expected);
    message
}
