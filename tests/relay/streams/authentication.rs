//! Authentication of streams. A refusal is an event in the body of a response with status 200, because an EventSource
//! reads nothing else.

use serde_json::json;

use crate::harness::connection::Connection;
use crate::harness::fixture::Fixture;
use crate::harness::request::Request;
use crate::harness::response::{Response, split_response};

/// Asserts the exact bytes of an error in the body; only the value of `retry` is random.
#[track_caller]
fn assert_refused(response: &Response, code: &str) {
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(response.header("content-type"), Some("text/event-stream"));
    assert_eq!(response.header("cache-control"), Some("no-cache, no-transform"));
    assert_eq!(response.header("x-accel-buffering"), Some("no"));
    let text = response.text();
    let retry = text.strip_prefix("retry: ").and_then(|t| t.strip_suffix(&format!("\nevent: error\ndata: {code}\n\n")));
    let retry: u64 = retry.and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("not {code}: {text:?}"));
    assert!((30_000..60_000).contains(&retry), "{retry}");
}

fn stream() -> Request {
    Request::get("/events/client")
}

#[test]
fn missing_bearer_token_gets_auth_required() {
    let fixture = Fixture::start();
    let valid = &fixture.token;
    let with = |value: &str| stream().header("Authorization", value);
    for request in [
        stream(),
        Request::post("/events/client"),
        with("Basic YWNtZTpzZWNyZXQ="),
        with("Bearer"),
        with("Bearer "),
        with(valid),
        with(&format!("Token {valid}")),
        Request::get("/events/client?token="),
        Request::get("/events/client?access_token="),
        Request::get(&format!("/events/client?Token={valid}")),
        // The header takes precedence over the query, even with another scheme.
        Request::get(&format!("/events/client?token={valid}")).header("Authorization", "Basic YWNtZTpzZWNyZXQ="),
        // Authentication is checked before the Accept header.
        stream().header("Accept", "application/json"),
    ] {
        assert_refused(&fixture.relay.send(&request), "auth_required");
    }
    assert_eq!(fixture.relay.metric("docrelay_stream_refusals_total{reason=\"auth_required\"}"), 12);
}

/// An invalid credential is not treated as a missing one; issuer, audience, scope and subject are checked.
// Rule 28: invalid is not anonymous.
#[test]
fn invalid_token_gets_auth_failed_and_is_never_anonymous() {
    let fixture = Fixture::start();
    fixture.relay.add_client("removed");
    let removed = fixture.relay.token("removed");
    fixture.relay.remove_client("removed");
    let (start, signature) = fixture.token.rsplit_once('.').expect("a JWT");
    let (header, claims) = start.split_once('.').expect("a JWT");
    let alg_none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    let bad = [
        "nonsense".to_owned(),
        "a.b.c".to_owned(),
        "ü".to_owned(),
        format!("{start}."),
        format!("{start}.{}", signature.chars().rev().collect::<String>()),
        format!("{alg_none}.{claims}."),
        format!("{alg_none}.{claims}.{signature}"),
        format!("{header}.{header}.{signature}"),
        "x".repeat(9_000),
        removed,
        fixture.relay.sign_token(&json!({"exp": 1_000_000_000})),
        fixture.relay.sign_token(&json!({"exp": null})),
        fixture.relay.sign_token(&json!({"nbf": 32_503_680_000_u64})),
        fixture.relay.sign_token(&json!({"iss": "another issuer"})),
        fixture.relay.sign_token(&json!({"iss": null})),
        fixture.relay.sign_token(&json!({"aud": "another audience"})),
        fixture.relay.sign_token(&json!({"aud": null})),
        fixture.relay.sign_token(&json!({"scope": "manage"})),
        fixture.relay.sign_token(&json!({"scope": ""})),
        fixture.relay.sign_token(&json!({"sub": "unknown"})),
        fixture.relay.sign_token(&json!({"sub": "../acme"})),
    ];
    for token in &bad {
        // Neither an unacceptable Accept header nor a valid token in the query changes the error.
        let request = Request::get(&format!("/events/client?token={}", fixture.token)).bearer(token);
        assert_refused(&fixture.relay.send(&request.header("Accept", "text/html")), "auth_failed");
        let escaped: String = form_urlencoded::byte_serialize(token.as_bytes()).collect();
        assert_refused(&fixture.relay.send(&Request::get(&format!("/events/client?token={escaped}"))), "auth_failed");
    }
    let log = fixture.relay.output();
    for token in bad.iter().filter(|token| token.len() > 8) {
        assert!(!log.contains(token.as_str()), "the log contains {token}");
    }
    // A token that the test signs is valid otherwise.
    assert_eq!(
        fixture.relay.follow(&fixture.relay.sign_token(&json!({"aud": ["x", "docrelay"]}))).head.header("connection"),
        Some("close")
    );
}

#[test]
fn unacceptable_accept_header_gets_not_accepted() {
    let fixture = Fixture::start();
    for refused in [
        "application/json",
        "text/html, application/xhtml+xml",
        "text/event-stream;q=0",
        "*/*;q=0",
        "text/*;q=0, */*",
        "text/event-stream; q=0.0, text/*",
    ] {
        let response = fixture.relay.send(&stream().bearer(&fixture.token).header("Accept", refused));
        assert_refused(&response, "not_accepted");
    }
    for accepted in
        ["", "*/*", "text/*", "text/event-stream", "TEXT/Event-Stream;charset=utf-8", "application/json, */*;q=0.1"]
    {
        let request = stream().bearer(&fixture.token).header("Accept", accepted);
        let follower = fixture.relay.open_stream(&request);
        assert!(follower.head.is_chunked(), "{accepted}");
    }
}

#[test]
fn refused_stream_keeps_only_http_1_1_connection_open() {
    let fixture = Fixture::start();
    let mut connection = Connection::open(fixture.relay.listen);
    assert_refused(&connection.send(&stream()), "auth_required");
    assert_refused(&connection.send(&stream().bearer("nonsense")), "auth_failed");
    let (head, body) = split_response(&fixture.write("GET /events/client HTTP/1.0\r\n\r\n").read_to_end());
    assert!(head.starts_with("HTTP/1.0 200 OK\r\n") && !head.contains("chunked"), "{head}");
    assert!(body.starts_with(b"retry: 3") && body.ends_with(b"\nevent: error\ndata: auth_required\n\n"), "{body:?}");
}

/// A token in a URL must not leak.
#[test]
fn stream_tokens_appear_in_no_log_metric_or_response() {
    let fixture = Fixture::with_config(&[("log_level", "trace")]);
    let token = fixture.token.clone();
    let targets = [format!("/events/client?token={token}"), format!("/events/client?access_token={token}&document=x")];
    let mut responses = String::new();
    for target in &targets {
        for method in ["GET", "POST", "PUT", "OPTIONS", "HEAD"] {
            let mut connection = fixture.write(Request::new(method, target).bytes());
            responses += &format!("{:?}", connection.read_head());
        }
        responses += &format!("{:?}", fixture.relay.send(&Request::get(&target.replace("/client", ""))));
    }
    responses += &format!("{:?}", fixture.relay.send(&stream().bearer(&format!("{token}x"))));
    fixture.relay.wait_for_metric("docrelay_followers", 0);
    responses += fixture.relay.send_admin(&Request::get("/metrics")).text();
    let secret = token.rsplit_once('.').expect("a JWT").1;
    // The log has requests.
    fixture.relay.wait_for_output("/events/client");
    for text in [responses, fixture.relay.output()] {
        assert!(!text.contains(secret) && !text.contains(&token[..40]), "{text}");
    }
}
