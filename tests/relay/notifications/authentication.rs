//! Authentication of the notification API: Baidu's signature with a client's secret, or a token with the scope
//! `manage`.

use serde_json::json;

use super::{add, assert_bce_error, with_request_id};
use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::request::{HOST, Request};
use crate::harness::response::{Response, string_at};
use crate::harness::signature::{BceRequest, now};

const LIST: &str = "/v1/notification";

/// A correctly signed request for the list.
fn signed_list<'a>(access_key: &'a str, secret_key: &'a str) -> BceRequest<'a> {
    BceRequest { access_key, secret_key, method: "GET", target: LIST, host: HOST, time: now() }
}

fn list(relay: &TestRelay, authorization: &str) -> Response {
    relay.send(&Request::get(LIST).header("Authorization", authorization))
}

#[test]
fn client_id_and_secret_sign_notification_requests() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    let valid = signed_list("acme", &acme.secret);
    let response = with_request_id(list(&relay, &valid.authorization()));
    assert_eq!((response.status, response.text()), (200, r#"{"notifications":[]}"#));
    let create = Request::post(LIST).header("Authorization", &BceRequest { method: "POST", ..valid }.authorization());
    assert_eq!(relay.send(&create.json(r#"{"name":"main","endpoint":"http://127.0.0.1:9/"}"#)).status, 200);
    // The relay generates the request id; a value of the caller is ignored.
    let own = "8776558c-81d9-4f97-8e2c-f977a286095d";
    let unsigned = Request::get(LIST).header("Authorization", &valid.authorization()).header("X-Custom", own);
    assert_ne!(with_request_id(relay.send(&unsigned)).header("x-bce-request-id"), Some(own));
    let bearer = Request::get(LIST).bearer(&acme.token).header("x-bce-request-id", own);
    assert_ne!(with_request_id(relay.send(&bearer)).header("x-bce-request-id"), Some(own));
}

#[test]
fn invalid_bce_signature_gets_baidu_error_code() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    let valid = signed_list("acme", &acme.secret);
    for (wrong, status, code) in [
        (BceRequest { access_key: "unknown", ..valid }, 403, "InvalidAccessKeyId"),
        (BceRequest { access_key: "un known", ..valid }, 403, "InvalidAccessKeyId"),
        (BceRequest { secret_key: "wrong", ..valid }, 400, "SignatureDoesNotMatch"),
        (BceRequest { secret_key: "", ..valid }, 400, "SignatureDoesNotMatch"),
        (BceRequest { method: "DELETE", ..valid }, 400, "SignatureDoesNotMatch"),
        (BceRequest { target: "/v2/notification", ..valid }, 400, "SignatureDoesNotMatch"),
        (BceRequest { host: "another.test", ..valid }, 400, "SignatureDoesNotMatch"),
        (BceRequest { time: now() - 1900, ..valid }, 400, "RequestExpired"),
        (BceRequest { time: now() + 1900, ..valid }, 400, "RequestExpired"),
    ] {
        assert_bce_error(&list(&relay, &wrong.authorization()), status, code);
    }
    let good = valid.authorization();
    for (wrong, status, code) in [
        (good.replace("/1800/", "/-1/"), 400, "InvalidHTTPAuthHeader"),
        (good.replace("/1800/", "/18000000000000000000000/"), 400, "InvalidHTTPAuthHeader"),
        (good.replace("bce-auth-v1", "bce-auth-v2"), 400, "InvalidHTTPAuthHeader"),
        (good[..good.len() - 2].to_owned(), 400, "InvalidHTTPAuthHeader"),
        ("bce-auth-v1".to_owned(), 400, "InvalidHTTPAuthHeader"),
        ("Basic YWNtZTp4".to_owned(), 400, "InvalidHTTPAuthHeader"),
        (String::new(), 403, "AccessDenied"),
    ] {
        assert_bce_error(&list(&relay, &wrong), status, code);
    }
    let duplicate = Request::get(LIST).header("Authorization", &good).header("Authorization", &good);
    assert_bce_error(&relay.send(&duplicate), 400, "InvalidHTTPAuthHeader");
    assert_bce_error(&relay.send(&Request::get(LIST)), 403, "AccessDenied");
    // Neither a signature nor a token in the query counts.
    assert_bce_error(&relay.send(&Request::get(&format!("{LIST}?authorization={good}"))), 403, "AccessDenied");
    assert_bce_error(&relay.send(&Request::get(&format!("{LIST}?token={}", acme.token))), 403, "AccessDenied");
    // The sample value in Baidu's documentation.
    let sample = "bce-auth-v1/e8e4a9ced6794355a9a1b8a20b58d37b/2015-07-03T09:28:13Z/1800/content-type;host;x-bce-date/\
                  4a1692dc4bab84f5801f79ea0c1fece3601cf73ecd94409d2a94b3942b971715";
    assert_bce_error(&list(&relay, sample), 403, "InvalidAccessKeyId");
    for secret in [&acme.secret, &acme.token, &good[good.len() - 64..].to_owned()] {
        assert!(!relay.output().contains(secret.as_str()), "the log contains a credential");
    }
}

#[test]
fn notification_api_requires_manage_scope() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    assert_eq!(acme.get(LIST).status, 200);
    let response = relay.send(&Request::get(LIST).bearer(&relay.token_with_scope("acme", "events")));
    assert!(assert_bce_error(&response, 403, "AccessDenied").contains("manage"));
    assert!(response.header("www-authenticate").is_some_and(|v| v.contains("insufficient_scope")), "{response:?}");
    let response = relay.send(&Request::get(LIST).bearer(&relay.token_with_scope("acme", "manage")));
    assert_eq!(response.status, 200);
    let response = relay.send(&Request::get(LIST).bearer("x.y.z"));
    assert_bce_error(&response, 401, "AccessDenied");
    assert!(response.header("www-authenticate").is_some_and(|v| v.contains("invalid_token")), "{response:?}");
}

#[test]
fn client_sees_only_its_own_notifications() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let (acme, other) = (TestClient::new(&relay, "acme"), TestClient::new(&relay, "other"));
    assert_eq!(add(&acme, "main", &json!({})).status, 200);
    assert_eq!(other.get(LIST).json(), json!({"notifications": []}));
    for request in [
        Request::get("/v1/notification/main"),
        Request::new("DELETE", "/v1/notification/main"),
        Request::new("PUT", "/v1/notification/main").json("{}"),
        Request::post("/v1/notification/main/verify"),
        Request::post("/v1/notification/main/test"),
        Request::post("/v1/notification/main/recover").json(r#"{"since":"2026-11-22T12:43:00Z"}"#),
    ] {
        assert_bce_error(&other.send(request), 404, "DocExceptions.NoSuchNotification");
    }
    assert_eq!(acme.get("/v1/notification/main").status, 200);
}

#[test]
fn rotated_secret_signs_during_grace_removed_client_does_not() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    let list_with = |secret: &str| list(&relay, &signed_list("acme", secret).authorization());
    let rotated = string_at(&relay.admin("POST", "/admin/clients/acme/secret").json(), "clientSecret");
    assert_eq!(list_with(&acme.secret).status, 200);
    assert_eq!(list_with(&rotated).status, 200);
    // A second rotation ends the grace period of the first secret.
    relay.admin("POST", "/admin/clients/acme/secret");
    assert_bce_error(&list_with(&acme.secret), 400, "SignatureDoesNotMatch");
    assert_eq!(list_with(&rotated).status, 200);
    relay.remove_client("acme");
    assert_bce_error(&list_with(&rotated), 403, "InvalidAccessKeyId");
    assert_bce_error(&acme.get(LIST), 401, "AccessDenied");
}
