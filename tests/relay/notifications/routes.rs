//! Where a document's events go, as `POST /documents` is told: what is taken and what is refused before anything is
//! stored.

use serde_json::{Value, json};

use super::{NOBODY, add, relay};
use crate::support::tenant::{Tenant, problem};

fn announce(tenant: &Tenant<'_>, id: &str, more: &Value) -> crate::support::wire::Answer {
    let mut body = json!({"vendor": "gini", "vendorId": id});
    for (key, value) in more.as_object().expect("an object") {
        body[key] = value.clone();
    }
    tenant.post("/documents", &body.to_string())
}

#[test]
fn a_document_names_a_notification_that_exists_and_a_callback_that_can_be_called() {
    let relay = relay();
    let (acme, other) = (Tenant::new(&relay, "acme"), Tenant::new(&relay, "other"));
    assert_eq!(add(&acme, "main", &json!({})).status, 200);
    assert_eq!(announce(&acme, "one", &json!({"notification": "main"})).status, 201);
    let callback = json!({"url": NOBODY, "format": "zoffice", "tokenType": "cookie", "tokenValue": "sid=1"});
    assert_eq!(announce(&acme, "two", &json!({"notification": "main", "callback": callback})).status, 201);
    assert_eq!(announce(&acme, "three", &json!({"callback": {"url": NOBODY}})).status, 201);
    assert_eq!(announce(&acme, "three", &json!({"callback": {"url": NOBODY}})).status, 200, "known");
    assert_eq!(acme.documents().len(), 3);

    assert!(problem(&announce(&acme, "x", &json!({"notification": "nobody"})), 400).contains("nobody"));
    problem(&announce(&acme, "x", &json!({"notification": "Not A Name"})), 400);
    problem(&announce(&other, "x", &json!({"notification": "main"})), 400);
    for (callback, field) in [
        (json!({"url": "/x"}), "callback.url"),
        (json!({"url": format!("{NOBODY}?{}", "x".repeat(256))}), "callback.url"),
        (json!({"url": "http://10.0.0.1/"}), "callback.url"),
        (json!({"url": NOBODY, "format": "ppj"}), "callback.format"),
        (json!({"url": NOBODY, "tokenType": "bearer"}), "callback.tokenType"),
        (json!({"url": NOBODY, "tokenType": "cookie", "tokenValue": "a\nb"}), "callback.tokenValue"),
        (json!({"url": NOBODY, "format": "xml"}), "body"),
        (json!({"url": NOBODY, "secret": "x"}), "body"),
        (json!(NOBODY), "body"),
    ] {
        let why = problem(&announce(&acme, "x", &json!({ "callback": callback })), 400);
        assert!(why.contains(field), "{why}");
    }
    assert_eq!((acme.documents().len(), other.documents().len()), (3, 0), "what is refused is not stored");
}
