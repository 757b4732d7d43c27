//! The documented calls of Baidu's API: create, get, list, delete, and an error code for every mistake.

use serde_json::json;

use super::{CLOSED_ENDPOINT, add, assert_bce_error, get, with_request_id};
use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::connection::Connection;
use crate::harness::request::Request;
use crate::harness::response::string_at;

#[test]
fn notification_crud_matches_baidu_documentation() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    let empty = with_request_id(acme.get("/v1/notification"));
    assert_eq!((empty.status, empty.text()), (200, r#"{"notifications":[]}"#));
    assert_eq!(empty.header("content-type"), Some("application/json"));
    for (version, name) in [("v1", "doc_notification"), ("v2", "new_notification")] {
        let body = format!(r#"{{"name":"{name}","endpoint":"{CLOSED_ENDPOINT}"}}"#);
        let made = with_request_id(acme.post(&format!("/{version}/notification"), &body));
        assert_eq!(made.status, 200, "{made:?}");
        // The Java SDK reads only bodies with a Content-Length.
        assert!(made.header("content-length").is_some() && !made.is_chunked(), "{made:?}");
        assert_eq!(made.json(), get(&acme, name));
    }
    let one = with_request_id(acme.get("/v1/notification/doc_notification"));
    let time = string_at(&one.json(), "createTime");
    assert_eq!((time.len(), &time[10..11], &time[19..]), (20, "T", "Z"));
    let expected = format!(
        r#"{{"name":"doc_notification","endpoint":"{CLOSED_ENDPOINT}","isDefault":false,"createTime":"{time}","format":"baidu","state":"active"}}"#
    );
    assert_eq!((one.status, one.text()), (200, expected.as_str()));
    let list = acme.get("/v2/notification").json();
    assert_eq!(
        list,
        json!({"notifications": [get(&acme, "doc_notification"), get(&acme, "new_notification")]}),
        "oldest first"
    );
    assert_eq!(acme.get("/v2/notification/").json(), list, "the JavaScript SDK sends this path without a name");

    let delete = |name: &str| acme.delete(&format!("/v1/notification/{name}"));
    let deleted = with_request_id(delete("doc_notification"));
    assert_eq!((deleted.status, deleted.text(), deleted.header("content-length")), (200, "", Some("0")));
    assert_bce_error(&delete("doc_notification"), 404, "DocExceptions.NoSuchNotification");
    assert_bce_error(&acme.get("/v2/notification/doc_notification"), 404, "DocExceptions.NoSuchNotification");
}

#[test]
fn notification_names_are_unique_and_limited_to_five() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let (acme, other) = (TestClient::new(&relay, "acme"), TestClient::new(&relay, "other"));
    for n in 1..=5 {
        assert_eq!(add(&acme, &format!("n{n}"), &json!({})).status, 200);
    }
    assert_bce_error(&add(&acme, "n6", &json!({})), 400, "DocExceptions.NotificationQuotaExceeded");
    assert_eq!(acme.delete("/v2/notification/n1").status, 200);
    assert_bce_error(&add(&acme, "n2", &json!({})), 400, "DocExceptions.DuplicateNotification");
    assert_eq!(add(&acme, "n1", &json!({})).status, 200, "the name of a deleted notification");
    assert_eq!(add(&other, "n2", &json!({})).status, 200, "names are unique per client");
}

#[test]
fn invalid_notification_field_gets_baidu_validation_message() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    let invalid = |response, field: &str| {
        let message = assert_bce_error(&response, 400, "BceValidationException");
        assert!(message.starts_with(&format!("{field}:{field}=")), "{message:?}");
        assert_eq!((message.matches('\n').count(), message.chars().last()), (1, Some('\n')), "{message:?}");
    };
    for name in ["", "A", "_a", "0a", "a-b", "a b", "a/b", "\u{e4}", "a\n", &"a".repeat(41)] {
        invalid(add(&acme, name, &json!({})), "name");
    }
    assert_eq!(add(&acme, &"a".repeat(40), &json!({})).status, 200);
    let endpoint = |length: usize| format!("http://127.0.0.1:9/{}", "x".repeat(length - 19));
    assert_eq!(add(&acme, "just", &json!({"endpoint": endpoint(256)})).status, 200);
    invalid(add(&acme, "over", &json!({"endpoint": endpoint(257)})), "endpoint");
    for endpoint in ["", "/notify", "127.0.0.1:9", "ftp://127.0.0.1/", "http://", "http://127.0.0.1:9/ x"] {
        invalid(add(&acme, "bad", &json!({"endpoint": endpoint})), "endpoint");
    }
    for closed in ["http://10.0.0.1/", "http://[::1]/", "http://169.254.169.254/", "http://user:pass@127.0.0.1:9/"] {
        invalid(add(&acme, "bad", &json!({"endpoint": closed})), "endpoint");
    }
    for (more, field) in [
        (json!({"tokenType": "bearer", "tokenValue": "x"}), "tokenType"),
        (json!({"tokenValue": "x"}), "tokenType"),
        (json!({"tokenType": "cookie"}), "tokenValue"),
        (json!({"tokenType": "cookie", "tokenValue": ""}), "tokenValue"),
        (json!({"tokenType": "header", "tokenValue": "a\r\nX-Injected: 1"}), "tokenValue"),
        (json!({"secret": ""}), "secret"),
        (json!({"format": "standard", "secret": "not whsec_"}), "secret"),
        (json!({"format": "gini", "secret": "s"}), "secret"),
    ] {
        invalid(add(&acme, "bad", &more), field);
    }
    let recover = |body| acme.post("/v2/notification/just/recover", body);
    invalid(recover(r#"{"since":"yesterday"}"#), "since");
}

#[test]
fn malformed_json_and_wrong_shape_get_distinct_codes() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    for body in ["", "{", "name=main", r#"{"unknown":1,"name":}"#, "\u{feff}{}", "{}{}"] {
        assert_bce_error(&acme.post("/v2/notification", body), 400, "MalformedJSON");
    }
    for body in [
        "[]",
        "null",
        "{}",
        r#"{"name":"main"}"#,
        r#"{"name":1,"endpoint":"http://127.0.0.1:9/"}"#,
        r#"{"name":"main","endpoint":"http://127.0.0.1:9/","format":"xml"}"#,
        r#"{"name":"main","endpoint":"http://127.0.0.1:9/","unknown":1}"#,
        r#"{"name":"main","name":"main","endpoint":"http://127.0.0.1:9/"}"#,
        r#"{"name":"main","endpoint":"http://127.0.0.1:9/","secret":[1]}"#,
    ] {
        assert_bce_error(&acme.post("/v2/notification", body), 400, "InappropriateJSON");
    }
    // SDKs send different content types, or none.
    let body = |name: &str| format!(r#"{{"name":"{name}","endpoint":"{CLOSED_ENDPOINT}"}}"#);
    let typed = ["application/json", "application/json;charset=utf-8", "application/json; charset=UTF-8", "text/plain"];
    for (n, content_type) in typed.into_iter().enumerate() {
        let request = Request::post("/v1/notification").header("Content-Type", content_type);
        assert_eq!(acme.send(request.body(body(&format!("n{n}")))).status, 200, "{content_type}");
    }
    assert_eq!(acme.send(Request::post("/v1/notification").body(body("untyped"))).status, 200);
}

#[test]
fn notification_api_errors_share_baidus_body_shape() {
    let mut relay = TestRelay::allowing_loopback_endpoints();
    relay.set_config("body_timeout", "1s");
    relay.restart();
    let acme = TestClient::new(&relay, "acme");
    assert_bce_error(&acme.post("/v2/notification", &" ".repeat(300 * 1024)), 413, "EntityTooLarge");
    let head = format!(
        "POST /v2/notification HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: 9\r\n\r\n{{",
        acme.token
    );
    let mut connection = Connection::open(relay.listen);
    connection.write(head);
    assert_bce_error(&connection.read_response(), 408, "RequestTimeout");
    for (method, target, allow) in [
        ("PUT", "/v1/notification", "GET, HEAD, POST"),
        ("DELETE", "/v2/notification/", "GET, HEAD, POST"),
        ("POST", "/v2/notification/main", "GET, HEAD, PUT, DELETE"),
        ("PATCH", "/v2/notification/main", "GET, HEAD, PUT, DELETE"),
        ("GET", "/v1/notification/main/verify", "POST"),
        ("GET", "/v1/notification/main/recover", "POST"),
        ("DELETE", "/v1/notification/main/test", "POST"),
    ] {
        let response = acme.send(Request::new(method, target));
        assert_bce_error(&response, 405, "MethodNotAllowed");
        assert_eq!(response.header("allow"), Some(allow), "{method} {target}");
    }
    assert_bce_error(&acme.get("/v1/notification/main/other"), 404, "NoSuchAddress");
    assert_bce_error(&acme.get("/v1/notification/main/verify/more"), 404, "NoSuchAddress");
}

#[test]
fn notification_name_is_percent_decoded_before_lookup() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    assert_eq!(add(&acme, "main", &json!({})).status, 200);
    assert_eq!(acme.get("/v1/notification/m%61in").json(), get(&acme, "main"));
    for name in ["ma%2Fin", "main%2Fverify", "..", "%2e%2e", "%ff", "main%00", "MAIN", "main%0a", "other"] {
        assert_bce_error(&acme.get(&format!("/v1/notification/{name}")), 404, "DocExceptions.NoSuchNotification");
    }
    for action in ["verify", "test"] {
        let response = acme.send(Request::post(&format!("/v2/notification/unknown/{action}")));
        assert_bce_error(&response, 404, "DocExceptions.NoSuchNotification");
    }
    let since = r#"{"since":"2026-11-22T12:43:00Z"}"#;
    assert_bce_error(&acme.post("/v2/notification/unknown/recover", since), 404, "DocExceptions.NoSuchNotification");
    let response = with_request_id(acme.post("/v2/notification/main/recover", since));
    assert_eq!((response.status, response.text()), (200, r#"{"recovered":0}"#));
}
