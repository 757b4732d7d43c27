//! Who may manage notifications: whoever signs with a client's secret, or shows a token that may manage.

use serde_json::json;

use super::{add, error, named, relay};
use crate::support::TestRelay;
use crate::support::proof::{bce, now};
use crate::support::tenant::{Tenant, text};
use crate::support::wire::{Answer, HOST, Request};

const LIST: &str = "/v1/notification";

fn list(relay: &TestRelay, authorization: &str) -> Answer {
    relay.ask(&Request::get(LIST).header("Authorization", authorization))
}

fn signed(relay: &TestRelay, id: &str, secret: &str) -> Answer {
    list(relay, &bce(id, secret, "GET", LIST, HOST, now()))
}

#[test]
fn a_client_signs_with_its_id_and_its_secret() {
    let relay = relay();
    let acme = Tenant::new(&relay, "acme");
    let answer = named(signed(&relay, "acme", &acme.secret));
    assert_eq!((answer.status, answer.text()), (200, r#"{"notifications":[]}"#));
    let body = r#"{"name":"main","endpoint":"http://127.0.0.1:9/"}"#;
    let create = |at| Request::post(LIST).header("Authorization", &bce("acme", &acme.secret, "POST", LIST, HOST, at));
    assert_eq!(relay.ask(&create(now()).json(body)).status, 200);
    // The request's name is ours, whatever the caller sends.
    let mine = "8776558c-81d9-4f97-8e2c-f977a286095d";
    let authorization = bce("acme", &acme.secret, "GET", LIST, HOST, now());
    let unsigned = Request::get(LIST).header("Authorization", &authorization).header("X-Custom", mine);
    assert_ne!(named(relay.ask(&unsigned)).header("x-bce-request-id"), Some(mine));
    let bearer = Request::get(LIST).bearer(&acme.token).header("x-bce-request-id", mine);
    assert_ne!(named(relay.ask(&bearer)).header("x-bce-request-id"), Some(mine));
}

#[test]
fn every_way_of_not_having_signed_has_baidus_code() {
    let relay = relay();
    let acme = Tenant::new(&relay, "acme");
    let good = bce("acme", &acme.secret, "GET", LIST, HOST, now());
    let sign = |method, target, host, at| bce("acme", &acme.secret, method, target, host, at);
    for (wrong, status, code) in [
        (bce("nobody", &acme.secret, "GET", LIST, HOST, now()), 403, "InvalidAccessKeyId"),
        (bce("no body", &acme.secret, "GET", LIST, HOST, now()), 403, "InvalidAccessKeyId"),
        (bce("acme", "wrong", "GET", LIST, HOST, now()), 400, "SignatureDoesNotMatch"),
        (bce("acme", "", "GET", LIST, HOST, now()), 400, "SignatureDoesNotMatch"),
        (sign("DELETE", LIST, HOST, now()), 400, "SignatureDoesNotMatch"),
        (sign("GET", "/v2/notification", HOST, now()), 400, "SignatureDoesNotMatch"),
        (sign("GET", LIST, "another.test", now()), 400, "SignatureDoesNotMatch"),
        (sign("GET", LIST, HOST, now() - 1900), 400, "RequestExpired"),
        (sign("GET", LIST, HOST, now() + 1900), 400, "RequestExpired"),
        (good.replace("/1800/", "/-1/"), 400, "InvalidHTTPAuthHeader"),
        (good.replace("/1800/", "/18000000000000000000000/"), 400, "InvalidHTTPAuthHeader"),
        (good.replace("bce-auth-v1", "bce-auth-v2"), 400, "InvalidHTTPAuthHeader"),
        (good[..good.len() - 2].to_owned(), 400, "InvalidHTTPAuthHeader"),
        ("bce-auth-v1".to_owned(), 400, "InvalidHTTPAuthHeader"),
        ("Basic YWNtZTp4".to_owned(), 400, "InvalidHTTPAuthHeader"),
        (String::new(), 403, "AccessDenied"),
    ] {
        error(&list(&relay, &wrong), status, code);
    }
    let twice = Request::get(LIST).header("Authorization", &good).header("Authorization", &good);
    error(&relay.ask(&twice), 400, "InvalidHTTPAuthHeader");
    error(&relay.ask(&Request::get(LIST)), 403, "AccessDenied");
    // A signature in the address is not looked for, and neither is a token.
    error(&relay.ask(&Request::get(&format!("{LIST}?authorization={good}"))), 403, "AccessDenied");
    error(&relay.ask(&Request::get(&format!("{LIST}?token={}", acme.token))), 403, "AccessDenied");
    // The pages of Baidu print this one everywhere.
    let dummy = "bce-auth-v1/e8e4a9ced6794355a9a1b8a20b58d37b/2015-07-03T09:28:13Z/1800/content-type;host;x-bce-date/\
                 4a1692dc4bab84f5801f79ea0c1fece3601cf73ecd94409d2a94b3942b971715";
    error(&list(&relay, dummy), 403, "InvalidAccessKeyId");
    for secret in [&acme.secret, &acme.token, &good[good.len() - 64..].to_owned()] {
        assert!(!relay.said().contains(secret.as_str()), "a credential in the log");
    }
}

#[test]
fn a_token_needs_the_scope_manage() {
    let relay = relay();
    let acme = Tenant::new(&relay, "acme");
    assert_eq!(acme.get(LIST).status, 200);
    let only = |scope| relay.cli(&["token", "--client", "acme", "--scope", scope]).succeeded().stdout;
    let answer = relay.ask(&Request::get(LIST).bearer(only("events").trim()));
    assert!(error(&answer, 403, "AccessDenied").contains("manage"));
    assert!(answer.header("www-authenticate").is_some_and(|v| v.contains("insufficient_scope")), "{answer:?}");
    assert_eq!(relay.ask(&Request::get(LIST).bearer(only("manage").trim())).status, 200);
    let answer = relay.ask(&Request::get(LIST).bearer("x.y.z"));
    error(&answer, 401, "AccessDenied");
    assert!(answer.header("www-authenticate").is_some_and(|v| v.contains("invalid_token")), "{answer:?}");
}

#[test]
fn a_client_sees_its_own_notifications_alone() {
    let relay = relay();
    let (acme, other) = (Tenant::new(&relay, "acme"), Tenant::new(&relay, "other"));
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
        error(&other.ask(request), 404, "DocExceptions.NoSuchNotification");
    }
    assert_eq!(acme.get("/v1/notification/main").status, 200);
}

#[test]
fn a_rotated_secret_signs_for_its_day_of_grace_and_that_of_a_removed_client_no_more() {
    let relay = relay();
    let acme = Tenant::new(&relay, "acme");
    let admin = |method, path: &str| relay.ask_admin(&Request::new(method, path).bearer(&relay.admin_token()));
    let rotated = admin("POST", "/admin/clients/acme/secret");
    let fresh = text(&rotated.json(), "clientSecret");
    assert_eq!(signed(&relay, "acme", &acme.secret).status, 200);
    assert_eq!(signed(&relay, "acme", &fresh).status, 200);
    // Rotated again, the first one's day is over.
    admin("POST", "/admin/clients/acme/secret");
    error(&signed(&relay, "acme", &acme.secret), 400, "SignatureDoesNotMatch");
    assert_eq!(signed(&relay, "acme", &fresh).status, 200);
    assert_eq!(admin("DELETE", "/admin/clients/acme").status, 204);
    error(&signed(&relay, "acme", &fresh), 403, "InvalidAccessKeyId");
    error(&acme.get(LIST), 401, "AccessDenied");
}
