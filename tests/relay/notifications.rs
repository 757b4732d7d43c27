//! Baidu's notification API: exact responses, error codes, authentication, and the relay's extensions.

mod api;
mod authentication;
mod document_routes;
mod updates;

use serde_json::{Value, json};

use crate::harness::client::TestClient;
use crate::harness::request::Request;
use crate::harness::response::{Response, string_at};

/// An endpoint on which nothing listens.
const CLOSED_ENDPOINT: &str = "http://127.0.0.1:9/notify";

/// `POST /v2/notification` with a name, [`CLOSED_ENDPOINT`] and further fields.
#[track_caller]
fn add(client: &TestClient<'_>, name: &str, more: &Value) -> Response {
    let mut body = json!({"name": name, "endpoint": CLOSED_ENDPOINT});
    for (key, value) in more.as_object().expect("an object") {
        body[key] = value.clone();
    }
    with_request_id(client.post("/v2/notification", &body.to_string()))
}

fn put(client: &TestClient<'_>, name: &str, body: &Value) -> Response {
    with_request_id(client.send(Request::new("PUT", &format!("/v2/notification/{name}")).json(&body.to_string())))
}

#[track_caller]
fn get(client: &TestClient<'_>, name: &str) -> Value {
    let response = with_request_id(client.get(&format!("/v2/notification/{name}")));
    assert_eq!(response.status, 200, "{response:?}");
    response.json()
}

/// Asserts that a response carries the request id in Baidu's header as well.
#[track_caller]
fn with_request_id(response: Response) -> Response {
    let id = response.header("x-bce-request-id").unwrap_or_else(|| panic!("no request id: {response:?}"));
    assert_eq!(response.header("x-request-id"), Some(id));
    response
}

/// Asserts the exact bytes of an error. Returns its message.
#[track_caller]
fn assert_bce_error(response: &Response, status: u16, code: &str) -> String {
    let response = with_request_id(response.clone());
    assert_eq!(response.status, status, "{}", response.text());
    assert_eq!(response.header("content-type"), Some("application/json"));
    let message = string_at(&response.json(), "message");
    let id = response.header("x-bce-request-id").expect("the request id");
    let expected = format!(r#"{{"requestId":"{id}","code":"{code}","message":{}}}"#, json!(message));
    assert_eq!(response.text(), expected);
    message
}
