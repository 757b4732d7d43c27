//! Tickets: short-lived tokens for a page, which open streams and nothing else. The operator decides which tokens a URL
//! may carry.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::TIMEOUT;
use crate::harness::fixture::{Fixture, document_id};
use crate::harness::follower::{Follower, Next};
use crate::harness::request::Request;
use crate::harness::response::{Response, assert_problem};

fn request_ticket(fixture: &Fixture, token: &str, body: &Value) -> Response {
    fixture.relay.send(&Request::post("/events/ticket").bearer(token).json(&body.to_string()))
}

#[track_caller]
fn ticket(fixture: &Fixture, body: &Value) -> String {
    let response = request_ticket(fixture, &fixture.token, body);
    assert_eq!(response.status, 200, "{response:?} {}", response.text());
    response.json()["token"].as_str().expect("a token").to_owned()
}

fn claims(token: &str) -> Value {
    let middle = token.split('.').nth(1).expect("a JWT");
    let bytes = data_encoding::BASE64URL_NOPAD.decode(middle.as_bytes()).expect("base64");
    serde_json::from_slice(&bytes).expect("claims")
}

fn follow_by_query(fixture: &Fixture, token: &str, query: &str) -> Follower {
    Follower::open(fixture.relay.listen, &Request::get(&format!("/events/client?token={token}{query}")))
}

/// The error code in the body of a refused stream.
#[track_caller]
fn refusal_code(fixture: &Fixture, request: &Request) -> String {
    let response = fixture.relay.send(request);
    assert_eq!(response.status, 200, "{response:?}");
    let text = response.text();
    let code = text.split_once("event: error\ndata: ").and_then(|(_, rest)| rest.strip_suffix("\n\n"));
    code.unwrap_or_else(|| panic!("no refusal: {text:?}")).to_owned()
}

#[test]
fn ticket_opens_streams_and_nothing_else() {
    let fixture = Fixture::start();
    let event = fixture.complete(1);
    let response = request_ticket(&fixture, &fixture.token, &json!({}));
    assert_eq!((response.status, response.json()["expires_in"].as_u64()), (200, Some(300)), "{response:?}");
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert_eq!(response.json().as_object().map(serde_json::Map::len), Some(2));
    let token = response.json()["token"].as_str().expect("a token").to_owned();
    let claims = claims(&token);
    assert_eq!(
        (&claims["use"], &claims["scope"], &claims["sub"]),
        (&"ticket".into(), &"events".into(), &"acme".into())
    );
    assert!(claims["documents"].is_null() && claims["jti"].is_string(), "{claims}");
    assert_eq!(claims["position"], json!(event), "the head of the log");

    assert_eq!(follow_by_query(&fixture, &token, "&last_event_id=earliest").next_event().id, event);
    assert_eq!(fixture.relay.follow_from(&token, "earliest").next_event().id, event);
    let posted = Request::post("/events/client").bearer(&token).header("Last-Event-ID", "earliest");
    assert_eq!(Follower::open(fixture.relay.listen, &posted).next_event().id, event);

    let document = document_id(1);
    for (method, target) in [
        ("GET", "/documents"),
        ("POST", "/documents"),
        ("GET", &format!("/documents/{document}")),
        ("GET", &format!("/documents/{document}/events")),
        ("GET", &format!("/events/{event}/raw")),
        ("GET", "/hooks"),
        ("POST", "/hooks"),
        ("DELETE", "/hooks/1"),
        ("GET", "/rejects"),
        ("POST", "/rejects/1/replay"),
        ("GET", "/deliveries"),
        ("POST", "/deliveries/1/retry"),
        ("POST", "/events/ticket"),
    ] {
        let detail = assert_problem(&fixture.relay.send(&Request::new(method, target).bearer(&token).json("{}")), 403);
        assert_eq!(detail, "a ticket can follow streams and nothing else", "{method} {target}");
    }
    for target in ["/v1/notification", "/v2/notification/main"] {
        assert_eq!(fixture.relay.send(&Request::get(target).bearer(&token)).status, 403, "{target}");
    }
    assert_problem(&fixture.relay.send_admin(&Request::get("/admin/clients").bearer(&token)), 401);
}

#[test]
fn ticket_limits_stream_to_its_documents() {
    let fixture = Fixture::start();
    for number in 1..=3 {
        fixture.complete(number);
    }
    let token = ticket(&fixture, &json!({"documents": [document_id(1), document_id(2).to_uppercase()], "ttl": 60}));
    let seen = |query: &str| {
        let mut follower = follow_by_query(&fixture, &token, &format!("&last_event_id=earliest{query}"));
        // Live events of every document; the last one that the ticket allows ends the wait.
        let live: Vec<_> = (1..=3)
            .map(|number| fixture.post(&json!({"documentId": document_id(number), "status": "ERROR"})))
            .collect();
        let ended = live[1].clone();
        let mut numbers = BTreeSet::new();
        loop {
            let event = follower.next_event();
            numbers.insert(event.json()["documentId"].as_str().expect("an id").to_owned());
            if event.id == ended {
                break;
            }
        }
        for number in 1..=3 {
            fixture.complete(number);
        }
        numbers
    };
    let both = BTreeSet::from([document_id(1), document_id(2)]);
    assert_eq!(seen(""), both);
    assert_eq!(
        seen(&format!("&document={}&document={}", document_id(2), document_id(3))),
        BTreeSet::from([document_id(2)])
    );

    // A filter outside the ticket, and a ticket without documents, match no event.
    let nothing = ticket(&fixture, &json!({"documents": []}));
    let blind = [(&token, format!("&document={}", document_id(3))), (&nothing, String::new())];
    let blind =
        blind.map(|(token, query)| follow_by_query(&fixture, token, &format!("&last_event_id=earliest{query}")));
    let mut live = follow_by_query(&fixture, &token, "");
    assert!(matches!(live.next(TIMEOUT), Next::Block(_)), "the opening");
    fixture.post(&json!({"documentId": document_id(3), "status": "ERROR"}));
    let own = fixture.post(&json!({"documentId": document_id(2), "status": "ERROR"}));
    assert_eq!(live.next_event().id, own, "the foreign event before it does not arrive");
    fixture.relay.remove_client("acme");
    for mut follower in blind {
        let rest = follower.read_to_end();
        let data: Vec<_> = rest.iter().filter_map(|block| block.data.as_deref()).collect();
        assert_eq!(data, ["auth_failed"], "the removal of the client ends the stream, and no event came before");
    }
    assert_eq!(refusal_code(&fixture, &Request::get("/events/client").bearer(&token)), "auth_failed");
    assert_eq!(request_ticket(&fixture, &fixture.token, &json!({})).status, 401);
}

#[test]
fn ticket_expires_with_its_ttl_and_its_token() {
    let fixture = Fixture::start();
    let mut short = follow_by_query(&fixture, &ticket(&fixture, &json!({"ttl": 1})), "");
    assert_eq!(short.next_event().data, "auth_failed");
    assert!(short.ends());

    let now = jsonwebtoken::get_current_timestamp();
    let bearer = fixture.relay.sign_token(&json!({"exp": now + 100, "scope": "events"}));
    let response = request_ticket(&fixture, &bearer, &json!({"ttl": 3600})).json();
    let lasts = response["expires_in"].as_u64().expect("seconds");
    assert!((90..=100).contains(&lasts), "{response}");
    assert_eq!(claims(response["token"].as_str().expect("a token"))["exp"], now + 100);
}

#[test]
fn invalid_ticket_request_gets_400_with_reason() {
    let fixture = Fixture::start();
    let many: Vec<_> = (0..101).map(document_id).collect();
    for (body, expected) in [
        (json!({"ttl": 0}), "ttl: seconds, from 1 to 3600"),
        (json!({"ttl": 3601}), "ttl: seconds, from 1 to 3600"),
        (json!({"ttl": -1}), "the body"),
        (json!({"ttl": "300"}), "the body"),
        (json!({"ttl": null}), "the body"),
        (json!({"documents": null}), "the body"),
        (json!({"documents": document_id(1)}), "the body"),
        (json!({"documents": ["doc-1"]}), "documents: a document id is a UUID"),
        (json!({"documents": many}), "documents: a ticket names at most 100 documents"),
        (json!({"document": [document_id(1)]}), "unknown field `document`"),
        (json!([]), "the body"),
    ] {
        let detail = assert_problem(&request_ticket(&fixture, &fixture.token, &body), 400);
        assert!(detail.contains(expected), "{body}: {detail}");
    }
    let send = |request: Request| fixture.relay.send(&request);
    assert_eq!(send(Request::post("/events/ticket").bearer(&fixture.token)).status, 200, "the body is optional");
    assert_eq!(request_ticket(&fixture, &fixture.token, &json!({"ttl": 3600, "documents": &many[..100]})).status, 200);
    assert_problem(&send(Request::get("/events/ticket").bearer(&fixture.token)), 405);
    assert_problem(&send(Request::post("/events/ticket").json("{}")), 401);
    assert_problem(&send(Request::post(&format!("/events/ticket?token={}", fixture.token)).json("{}")), 401);
    assert_problem(&request_ticket(&fixture, &fixture.relay.sign_token(&json!({"scope": "manage"})), &json!({})), 403);
    assert_problem(&request_ticket(&fixture, "x.y.z", &json!({})), 401);
}

/// A token in a URL may leak.
#[test]
fn query_token_setting_limits_tokens_in_urls() {
    for (rule, token_error, ticket_error) in [
        ("any", None, None),
        ("ticket", Some("auth_failed"), None),
        ("off", Some("auth_required"), Some("auth_required")),
    ] {
        let fixture = Fixture::with_config(&[("query_token", rule)]);
        let event = fixture.complete(1);
        let ticket = ticket(&fixture, &json!({}));
        for (token, error) in [(&fixture.token, token_error), (&ticket, ticket_error)] {
            for name in ["token", "access_token"] {
                let request = Request::get(&format!("/events/client?{name}={token}&last_event_id=earliest"));
                match error {
                    None => assert_eq!(Follower::open(fixture.relay.listen, &request).next_event().id, event, "{rule}"),
                    Some(code) => assert_eq!(refusal_code(&fixture, &request), code, "{rule}"),
                }
            }
            assert_eq!(fixture.relay.follow_from(token, "earliest").next_event().id, event, "the header accepts both");
        }
        let bad = refusal_code(&fixture, &Request::get("/events/client?token=x.y.z"));
        assert_eq!(bad, if rule == "off" { "auth_required" } else { "auth_failed" }, "{rule}");
        assert!(!fixture.relay.output().contains(&ticket), "the log contains a ticket");
    }
}
