//! The bound of failed tokens of an address: cheap refusals, by the true address, without harm to tokens that work.

use std::time::Duration;

use data_encoding::BASE64;

use crate::harness::client::TestClient;
use crate::harness::connection::Connection;
use crate::harness::follower::Next;
use crate::harness::request::Request;
use crate::harness::response::{Response, assert_problem, stored_event_id};
use crate::harness::{TIMEOUT, TestRelay};

/// Three failures in an hour, so that no address recovers during a test.
const THREE: [(&str, &str); 3] =
    [("failed_tokens_per_address", "3"), ("failed_token_window", "1h"), ("trusted_proxies", "127.0.0.1")];

/// A request as a trusted proxy forwards it.
fn from(address: &str, request: Request) -> Request {
    request.header("X-Forwarded-For", address)
}

#[track_caller]
fn assert_limited(response: &Response) {
    let detail = assert_problem(response, 429);
    assert!(detail.contains("too many failed tokens"), "{detail}");
    assert_eq!(response.json()["limit"], "failed_tokens_per_address");
    let seconds: u64 = response.header("retry-after").and_then(|text| text.parse().ok()).expect("Retry-After");
    assert!((1_100..=1_200).contains(&seconds), "{seconds}: a third of the window");
}

#[test]
fn address_with_failed_tokens_gets_429_and_others_do_not() {
    let relay = TestRelay::with_config(&THREE);
    let acme = TestClient::new(&relay, "acme");
    let list = |address: &str, token: &str| relay.send(&from(address, Request::get("/hooks").bearer(token)));
    for token in ["nonsense", &format!("{}x", acme.token), "a.b.c"] {
        assert_problem(&list("203.0.113.9", token), 401);
    }
    for _ in 0..3 {
        assert_limited(&list("203.0.113.9", "nonsense"));
    }
    assert_eq!(relay.metric("docrelay_token_checks_refused_total"), 3);
    relay.wait_for_output("too many failed tokens: those of this address are not verified");
    // A token that has never been seen is not verified for this address.
    assert_limited(&list("203.0.113.9", &relay.sign_token(&serde_json::json!({}))));
    assert_eq!(list("203.0.113.10", &acme.token).status, 200, "another address");
    assert_eq!(list("203.0.113.9", &acme.token).status, 200, "the token was verified before");
    // Requests without a token, and what needs none, are not affected.
    assert_problem(&relay.send(&from("203.0.113.9", Request::get("/hooks"))), 401);
    let hook = acme.add_unverified_hook("gini").path;
    let webhook = Request::post(&hook).json(r#"{"documentId":"d","status":"PENDING"}"#);
    stored_event_id(&relay.send(&from("203.0.113.9", webhook)));
    // A network of IPv6 counts as one address.
    for host in 1..=3 {
        assert_problem(&list(&format!("2001:db8:0:1::{host}"), "nonsense"), 401);
    }
    assert_limited(&list("2001:db8:0:1:ffff::4", "nonsense"));
    assert_problem(&list("2001:db8:0:2::1", "nonsense"), 401);
}

#[test]
fn spoofed_address_does_not_evade_the_bound() {
    let relay = TestRelay::with_config(&THREE);
    let list = |list: &str| relay.send(&from(list, Request::get("/hooks").bearer("nonsense")));
    for number in 0..3 {
        assert_problem(&list(&format!("198.51.100.{number}, 203.0.113.9")), 401);
    }
    assert_limited(&list("198.51.100.4, 203.0.113.9"));
    let direct = TestRelay::with_config(&THREE[..2]);
    let send = |address: &str| direct.send(&from(address, Request::get("/hooks").bearer("nonsense")));
    for number in 0..3 {
        assert_problem(&send(&format!("198.51.100.{number}")), 401);
    }
    assert_limited(&send("198.51.100.4"));
}

#[test]
fn stream_of_limited_address_ends_with_comment_and_retry() {
    let relay = TestRelay::with_config(&THREE);
    let acme = TestClient::new(&relay, "acme");
    let open = |token: &str| relay.send(&from("203.0.113.9", Request::get("/events/client").bearer(token)));
    for _ in 0..3 {
        assert!(open("nonsense").text().contains("data: auth_failed"));
    }
    let limited = open("nonsense");
    assert_eq!((limited.status, limited.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(limited.header("connection"), Some("close"));
    let retry = limited.text().strip_prefix(": too many failed tokens from this address\nretry: ");
    let retry = retry.and_then(|text| text.strip_suffix("\n\n")?.parse::<u64>().ok()).expect("a delay");
    assert!(retry >= 1_100_000, "not before the address may try again: {retry}");
    assert_eq!(relay.metric("docrelay_stream_refusals_total{reason=\"failed_tokens\"}"), 1);
    // In the order of the contract: first, whether there is a token.
    let without = relay.send(&from("203.0.113.9", Request::get("/events/client")));
    assert!(without.text().contains("data: auth_required"));
    let known = Request::get("/events/client").bearer(&acme.token);
    assert_eq!(acme.get("/hooks").status, 200);
    let mut follower = relay.open_stream(&from("203.0.113.9", known));
    assert!(matches!(follower.next(TIMEOUT), Next::Block(_)), "the token was verified before");
}

#[test]
fn failed_client_secrets_and_signatures_count_too() {
    let relay = TestRelay::with_config(&THREE);
    let acme = TestClient::new(&relay, "acme");
    let token = |address: &str, secret: &str| {
        let header = format!("Basic {}", BASE64.encode(format!("acme:{secret}").as_bytes()));
        let request = Request::post("/oauth/token").header("Authorization", &header);
        relay.send(&from(address, request.form("grant_type=client_credentials")))
    };
    for _ in 0..3 {
        assert_eq!(token("203.0.113.9", "guess").status, 401);
    }
    let limited = token("203.0.113.9", &acme.secret);
    assert_eq!((limited.status, &limited.json()["error"]), (429, &"temporarily_unavailable".into()));
    assert!(limited.header("retry-after").is_some());
    assert_eq!(token("203.0.113.10", &acme.secret).status, 200);

    let signed = |address: &str| {
        let header = format!("bce-auth-v1/acme/2026-01-01T00:00:00Z/1800/host/{}", "0".repeat(64));
        relay.send(&from(address, Request::get("/v2/notification").header("Authorization", &header)))
    };
    let header_less = relay.send(&from("203.0.113.11", Request::get("/v2/notification")));
    assert_eq!(header_less.status, 403, "no credentials are no failure");
    let limited = signed("203.0.113.9");
    assert_eq!((limited.status, &limited.json()["code"]), (429, &"RequestLimitExceeded".into()));
    assert!(limited.header("retry-after").is_some());
    let bearer = Request::get("/v2/notification").bearer("nonsense");
    assert_eq!(relay.send(&from("203.0.113.9", bearer)).status, 429);
}

#[test]
fn expired_tokens_and_missing_scopes_are_no_failures() {
    let relay = TestRelay::with_config(&THREE);
    relay.add_client("acme");
    let expired = relay.sign_token(&serde_json::json!({"exp": 1_700_000_100}));
    let narrow = relay.sign_token(&serde_json::json!({"scope": "events"}));
    for token in [&expired, &narrow] {
        for _ in 0..5 {
            let status = relay.send(&from("203.0.113.9", Request::get("/hooks").bearer(token))).status;
            assert!([401, 403].contains(&status), "{status}");
        }
    }
}

#[test]
fn address_recovers_within_the_window() {
    let relay = TestRelay::with_config(&[("failed_tokens_per_address", "2"), ("failed_token_window", "2s")]);
    let acme = TestClient::new(&relay, "acme");
    let status = |token: &str| relay.send(&Request::get("/hooks").bearer(token)).status;
    let fresh = relay.sign_token(&serde_json::json!({}));
    assert_eq!([status("a"), status("b"), status(&fresh)], [401, 401, 429]);
    crate::harness::wait_until("the address may try again", || status(&fresh) == 200);
    assert_eq!(acme.get("/hooks").status, 200);
}

/// With every limit at its default, but for the files that a test may open.
#[test]
fn storm_of_fresh_valid_tokens_from_one_address_is_not_limited() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let mut connection = Connection::open(relay.listen);
    for number in 0..1_500 {
        let token = relay.sign_token(&serde_json::json!({"jti": number.to_string()}));
        let response = connection.send(&Request::get("/hooks").bearer(&token));
        assert_eq!(response.status, 200, "token {number}: {response:?}");
    }
    let mut followers: Vec<_> = (0..200)
        .map(|number| relay.follow(&relay.sign_token(&serde_json::json!({"jti": format!("f{number}")}))))
        .collect();
    let hook = acme.add_unverified_hook("gini").path;
    let id = acme.post_gini(&hook, "d", "COMPLETED");
    for follower in &mut followers {
        assert_eq!(follower.next_event().id, id);
    }
    assert_eq!(relay.metric("docrelay_token_checks_refused_total"), 0);
    assert!(matches!(followers[0].next(Duration::from_millis(1)), Next::TimedOut));
}

#[test]
fn client_that_sends_bad_tokens_does_not_end_the_work_of_others_at_its_address() {
    let relay = TestRelay::start();
    relay.add_client("acme");
    let mut connection = Connection::open(relay.listen);
    for number in 0..2_000 {
        let response = connection.send(&Request::get("/hooks").bearer(&format!("nonsense-{number}")));
        assert_eq!(response.status, 401, "token {number}: {response:?}");
    }
    // A token that was never seen, as every client has after its last one has expired.
    let response = connection.send(&Request::get("/hooks").bearer(&relay.token("acme")));
    assert_eq!(response.status, 200, "{response:?}");
}

#[test]
fn limited_address_is_refused_before_its_form_is_read() {
    let relay = TestRelay::with_config(&THREE);
    let form = "grant_type=client_credentials&client_id=acme&client_secret=wrong";
    let request = Request::post("/oauth/token").body(form);
    for _ in 0..3 {
        assert_eq!(relay.send(&request).status, 401);
    }
    let mut connection = Connection::open(relay.listen);
    connection.write("POST /oauth/token HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n");
    let refused = connection.read_response();
    assert_eq!(
        (refused.status, refused.json()["error"].as_str()),
        (429, Some("temporarily_unavailable")),
        "{refused:?}"
    );
}
