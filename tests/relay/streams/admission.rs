//! Who gets a stream and who is told why not: in the body, with status 200, because an EventSource reads nothing else.

use serde_json::json;

use super::scene::{Scene, split};
use crate::support::wire::{Answer, Request};

/// What an in-body error looks like, byte for byte but for the jittered number.
#[track_caller]
fn assert_refused(answer: &Answer, code: &str) {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert_eq!(answer.header("cache-control"), Some("no-cache, no-transform"));
    assert_eq!(answer.header("x-accel-buffering"), Some("no"));
    let text = answer.text();
    let number =
        text.strip_prefix("retry: ").and_then(|t| t.strip_suffix(&format!("\nevent: error\ndata: {code}\n\n")));
    let number: u64 = number.and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("not {code}: {text:?}"));
    assert!((30_000..60_000).contains(&number), "{number}");
}

fn stream() -> Request {
    Request::get("/events/client")
}

#[test]
fn without_a_bearer_token_authentication_is_required() {
    let scene = Scene::start();
    let good = &scene.token;
    let with = |value: &str| stream().header("Authorization", value);
    for request in [
        stream(),
        Request::post("/events/client"),
        with("Basic YWNtZTpzZWNyZXQ="),
        with("Bearer"),
        with("Bearer "),
        with(good),
        with(&format!("Token {good}")),
        Request::get("/events/client?token="),
        Request::get("/events/client?access_token="),
        Request::get(&format!("/events/client?Token={good}")),
        // The header wins, also when it is of another scheme.
        Request::get(&format!("/events/client?token={good}")).header("Authorization", "Basic YWNtZTpzZWNyZXQ="),
        // The first check comes first.
        stream().header("Accept", "application/json"),
    ] {
        assert_refused(&scene.relay.ask(&request), "auth_required");
    }
    assert_eq!(scene.metric("docrelay_stream_refusals_total{reason=\"auth_required\"}"), 12);
}

/// Trap 28: an invalid credential treated as anonymous. Trap 29: issuer and audience unchecked.
#[test]
fn an_invalid_token_has_failed_and_is_never_anonymous() {
    let scene = Scene::start();
    scene.relay.client_add("gone");
    let gone = scene.relay.token("gone");
    assert_eq!(scene.admin("DELETE", "/admin/clients/gone").status, 204);
    let (start, signature) = scene.token.rsplit_once('.').expect("a JWT");
    let (header, claims) = start.split_once('.').expect("a JWT");
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    let bad = [
        "nonsense".to_owned(),
        "a.b.c".to_owned(),
        "ü".to_owned(),
        format!("{start}."),
        format!("{start}.{}", signature.chars().rev().collect::<String>()),
        format!("{none}.{claims}."),
        format!("{none}.{claims}.{signature}"),
        format!("{header}.{header}.{signature}"),
        "x".repeat(9_000),
        gone,
        scene.forge(&json!({"exp": 1_000_000_000})),
        scene.forge(&json!({"exp": null})),
        scene.forge(&json!({"nbf": 32_503_680_000_u64})),
        scene.forge(&json!({"iss": "somebody else"})),
        scene.forge(&json!({"iss": null})),
        scene.forge(&json!({"aud": "somebody else"})),
        scene.forge(&json!({"aud": null})),
        scene.forge(&json!({"scope": "manage"})),
        scene.forge(&json!({"scope": ""})),
        scene.forge(&json!({"sub": "nobody"})),
        scene.forge(&json!({"sub": "../acme"})),
    ];
    for token in &bad {
        // Not before `not_accepted`, and not hidden by a good token in the query.
        let request = Request::get(&format!("/events/client?token={}", scene.token)).bearer(token);
        assert_refused(&scene.relay.ask(&request.header("Accept", "text/html")), "auth_failed");
        let escaped: String = form_urlencoded::byte_serialize(token.as_bytes()).collect();
        assert_refused(&scene.relay.ask(&Request::get(&format!("/events/client?token={escaped}"))), "auth_failed");
    }
    let said = scene.relay.said();
    for token in bad.iter().filter(|token| token.len() > 8) {
        assert!(!said.contains(token.as_str()), "the log holds {token}");
    }
    // The forgery itself is a good one: only the changes were refused.
    assert_eq!(
        scene.relay.follow(&scene.forge(&json!({"aud": ["x", "docrelay"]}))).head.header("connection"),
        Some("close")
    );
}

#[test]
fn what_cannot_be_accepted_is_said_last_and_wildcards_include_the_stream() {
    let scene = Scene::start();
    for refused in [
        "application/json",
        "text/html, application/xhtml+xml",
        "text/event-stream;q=0",
        "*/*;q=0",
        "text/*;q=0, */*",
        "text/event-stream; q=0.0, text/*",
    ] {
        let answer = scene.relay.ask(&stream().bearer(&scene.token).header("Accept", refused));
        assert_refused(&answer, "not_accepted");
    }
    for accepted in
        ["", "*/*", "text/*", "text/event-stream", "TEXT/Event-Stream;charset=utf-8", "application/json, */*;q=0.1"]
    {
        let request = stream().bearer(&scene.token).header("Accept", accepted);
        let follower = crate::support::sse::Follower::open(scene.relay.listen, &request);
        assert!(follower.head.is_chunked(), "{accepted}");
    }
}

#[test]
fn a_refusal_keeps_its_connection_and_ends_one_of_http_1_0() {
    let scene = Scene::start();
    let mut wire = crate::support::wire::Wire::connect(scene.relay.listen);
    assert_refused(&wire.ask(&stream()), "auth_required");
    assert_refused(&wire.ask(&stream().bearer("nonsense")), "auth_failed");
    let (head, body) = split(&scene.raw("GET /events/client HTTP/1.0\r\n\r\n").read_to_end());
    assert!(head.starts_with("HTTP/1.0 200 OK\r\n") && !head.contains("chunked"), "{head}");
    assert!(body.starts_with(b"retry: 3") && body.ends_with(b"\nevent: error\ndata: auth_required\n\n"), "{body:?}");
}

/// Trap 30: a token in a URL leaks.
#[test]
fn no_token_is_found_in_logs_metrics_or_answers() {
    let scene = Scene::with(&[("log_level", "trace")]);
    let token = scene.token.clone();
    let targets = [format!("/events/client?token={token}"), format!("/events/client?access_token={token}&document=x")];
    let mut answers = String::new();
    for target in &targets {
        for method in ["GET", "POST", "PUT", "OPTIONS", "HEAD"] {
            let mut wire = scene.raw(Request::new(method, target).bytes());
            answers += &format!("{:?}", wire.head());
        }
        answers += &format!("{:?}", scene.relay.ask(&Request::get(&target.replace("/client", ""))));
    }
    answers += &format!("{:?}", scene.relay.ask(&stream().bearer(&format!("{token}x"))));
    scene.wait_for_metric("docrelay_followers", 0);
    answers += scene.relay.ask_admin(&Request::get("/metrics")).text();
    let secret = token.rsplit_once('.').expect("a JWT").1;
    for text in [answers, scene.relay.said()] {
        assert!(!text.contains(secret) && !text.contains(&token[..40]), "{text}");
    }
    assert!(scene.relay.said().contains("/events/client"), "the log tells of requests at all");
}
