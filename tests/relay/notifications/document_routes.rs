//! The notification and the callback of a document in `POST /documents`, which are validated before anything is stored.

use serde_json::{Value, json};

use super::{CLOSED_ENDPOINT, add};
use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::response::{Response, assert_problem};

fn register(client: &TestClient<'_>, id: &str, more: &Value) -> Response {
    let mut body = json!({"vendor": "gini", "vendorId": id});
    for (key, value) in more.as_object().expect("an object") {
        body[key] = value.clone();
    }
    client.post("/documents", &body.to_string())
}

#[test]
fn document_route_requires_existing_notification_or_valid_callback() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let (acme, other) = (TestClient::new(&relay, "acme"), TestClient::new(&relay, "other"));
    assert_eq!(add(&acme, "main", &json!({})).status, 200);
    assert_eq!(register(&acme, "one", &json!({"notification": "main"})).status, 201);
    let callback = json!({"url": CLOSED_ENDPOINT, "format": "zoffice", "tokenType": "cookie", "tokenValue": "sid=1"});
    assert_eq!(register(&acme, "two", &json!({"notification": "main", "callback": callback})).status, 201);
    assert_eq!(register(&acme, "three", &json!({"callback": {"url": CLOSED_ENDPOINT}})).status, 201);
    assert_eq!(
        register(&acme, "three", &json!({"callback": {"url": CLOSED_ENDPOINT}})).status,
        200,
        "registered already"
    );
    assert_eq!(acme.documents().len(), 3);

    assert!(assert_problem(&register(&acme, "x", &json!({"notification": "unknown"})), 400).contains("unknown"));
    assert_problem(&register(&acme, "x", &json!({"notification": "Not A Name"})), 400);
    assert_problem(&register(&other, "x", &json!({"notification": "main"})), 400);
    for (callback, field) in [
        (json!({"url": "/x"}), "callback.url"),
        (json!({"url": format!("{CLOSED_ENDPOINT}?{}", "x".repeat(256))}), "callback.url"),
        (json!({"url": "http://10.0.0.1/"}), "callback.url"),
        (json!({"url": CLOSED_ENDPOINT, "format": "ppj"}), "callback.format"),
        (json!({"url": CLOSED_ENDPOINT, "tokenType": "bearer"}), "callback.tokenType"),
        (json!({"url": CLOSED_ENDPOINT, "tokenType": "cookie", "tokenValue": "a\nb"}), "callback.tokenValue"),
        (json!({"url": CLOSED_ENDPOINT, "format": "xml"}), "body"),
        (json!({"url": CLOSED_ENDPOINT, "secret": "x"}), "body"),
        (json!(CLOSED_ENDPOINT), "body"),
    ] {
        let detail = assert_problem(&register(&acme, "x", &json!({ "callback": callback })), 400);
        assert!(detail.contains(field), "{detail}");
    }
    assert_eq!((acme.documents().len(), other.documents().len()), (3, 0), "a refused document is stored");
}
