//! Tickets: what a page may hold. They follow, and do nothing else; and what an address may carry is the operator's say.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::streams::scene::{Scene, document};
use crate::support::sse::Follower;
use crate::support::tenant::problem;
use crate::support::wire::{Answer, Request};

fn ask(scene: &Scene, token: &str, body: &Value) -> Answer {
    scene.relay.ask(&Request::post("/events/ticket").bearer(token).json(&body.to_string()))
}

#[track_caller]
fn ticket(scene: &Scene, body: &Value) -> String {
    let answer = ask(scene, &scene.token, body);
    assert_eq!(answer.status, 200, "{answer:?} {}", answer.text());
    answer.json()["token"].as_str().expect("a token").to_owned()
}

fn claims(token: &str) -> Value {
    let middle = token.split('.').nth(1).expect("a JWT");
    let bytes = data_encoding::BASE64URL_NOPAD.decode(middle.as_bytes()).expect("base64");
    serde_json::from_slice(&bytes).expect("claims")
}

fn by_query(scene: &Scene, token: &str, query: &str) -> Follower {
    Follower::open(scene.relay.listen, &Request::get(&format!("/events/client?token={token}{query}")))
}

/// What the body of a stream that ends at once says.
#[track_caller]
fn refusal(scene: &Scene, request: &Request) -> String {
    let answer = scene.relay.ask(request);
    assert_eq!(answer.status, 200, "{answer:?}");
    let text = answer.text();
    let word = text.split_once("event: error\ndata: ").and_then(|(_, rest)| rest.strip_suffix("\n\n"));
    word.unwrap_or_else(|| panic!("no refusal: {text:?}")).to_owned()
}

#[test]
fn a_ticket_follows_by_query_and_by_header_and_opens_nothing_else() {
    let scene = Scene::start();
    let event = scene.tell(1);
    let answer = ask(&scene, &scene.token, &json!({}));
    assert_eq!((answer.status, answer.json()["expires_in"].as_u64()), (200, Some(300)), "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.json().as_object().map(serde_json::Map::len), Some(2));
    let token = answer.json()["token"].as_str().expect("a token").to_owned();
    let said = claims(&token);
    assert_eq!((&said["use"], &said["scope"], &said["sub"]), (&"ticket".into(), &"events".into(), &"acme".into()));
    assert!(said["documents"].is_null() && said["jti"].is_string(), "{said}");

    assert_eq!(by_query(&scene, &token, "&last_event_id=earliest").event().id, event);
    assert_eq!(scene.relay.follow_from(&token, "earliest").event().id, event);
    let posted = Request::post("/events/client").bearer(&token).header("Last-Event-ID", "earliest");
    assert_eq!(Follower::open(scene.relay.listen, &posted).event().id, event);

    let document = document(1);
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
        let detail = problem(&scene.relay.ask(&Request::new(method, target).bearer(&token).json("{}")), 403);
        assert_eq!(detail, "a ticket can follow streams and nothing else", "{method} {target}");
    }
    for target in ["/v1/notification", "/v2/notification/main"] {
        assert_eq!(scene.relay.ask(&Request::get(target).bearer(&token)).status, 403, "{target}");
    }
    problem(&scene.relay.ask_admin(&Request::get("/admin/clients").bearer(&token)), 401);
}

#[test]
fn a_ticket_opens_only_the_documents_that_it_names_whatever_is_asked_for() {
    let scene = Scene::start();
    for number in 1..=3 {
        scene.tell(number);
    }
    let token = ticket(&scene, &json!({"documents": [document(1), document(2).to_uppercase()], "ttl": 60}));
    let seen = |query: &str| {
        let mut follower = by_query(&scene, &token, &format!("&last_event_id=earliest{query}"));
        // Live, and of every document: what is told last ends the wait.
        let live: Vec<_> =
            (1..=3).map(|number| scene.say(&json!({"documentId": document(number), "status": "ERROR"}))).collect();
        let ended = live[1].clone();
        let mut numbers = BTreeSet::new();
        loop {
            let event = follower.event();
            numbers.insert(event.json()["documentId"].as_str().expect("an id").to_owned());
            if event.id == ended {
                break;
            }
        }
        for number in 1..=3 {
            scene.tell(number);
        }
        numbers
    };
    let both = BTreeSet::from([document(1), document(2)]);
    assert_eq!(seen(""), both);
    assert_eq!(seen(&format!("&document={}&document={}", document(2), document(3))), BTreeSet::from([document(2)]));

    // Nothing of what was asked for is in the ticket; and a ticket for nothing opens nothing.
    let nothing = ticket(&scene, &json!({"documents": []}));
    for (token, query) in [(&token, format!("&document={}", document(3))), (&nothing, String::new())] {
        let mut follower = by_query(&scene, token, &format!("&last_event_id=earliest{query}"));
        // The client's removal ends the stream: by then it would have replayed everything.
        assert!(matches!(follower.next(crate::support::PATIENCE), crate::support::sse::Next::Block(_)));
        assert!(!follower.raw().contains("data:"), "{}", follower.raw());
    }
    let mut follower = by_query(&scene, &nothing, "&last_event_id=earliest");
    follower.next(crate::support::PATIENCE);
    assert_eq!(scene.admin("DELETE", "/admin/clients/acme").status, 204);
    let rest = follower.rest();
    let data: Vec<_> = rest.iter().filter_map(|block| block.data.as_deref()).collect();
    assert_eq!(data, ["auth_failed"], "and tickets of a removed client end");
    assert_eq!(refusal(&scene, &Request::get("/events/client").bearer(&token)), "auth_failed");
    assert_eq!(ask(&scene, &scene.token, &json!({})).status, 401);
}

#[test]
fn a_ticket_ends_by_itself_and_with_the_token_it_was_made_with() {
    let scene = Scene::start();
    let mut short = by_query(&scene, &ticket(&scene, &json!({"ttl": 1})), "");
    assert_eq!(short.event().data, "auth_failed");
    assert!(short.ends());

    let now = jsonwebtoken::get_current_timestamp();
    let bearer = scene.forge(&json!({"exp": now + 100, "scope": "events"}));
    let answer = ask(&scene, &bearer, &json!({"ttl": 3600})).json();
    let lasts = answer["expires_in"].as_u64().expect("seconds");
    assert!((90..=100).contains(&lasts), "{answer}");
    assert_eq!(claims(answer["token"].as_str().expect("a token"))["exp"], now + 100);
}

#[test]
fn what_is_wrong_with_a_request_for_a_ticket_is_said() {
    let scene = Scene::start();
    let many: Vec<_> = (0..101).map(document).collect();
    for (body, says) in [
        (json!({"ttl": 0}), "ttl: seconds, from 1 to 3600"),
        (json!({"ttl": 3601}), "ttl: seconds, from 1 to 3600"),
        (json!({"ttl": -1}), "the body"),
        (json!({"ttl": "300"}), "the body"),
        (json!({"ttl": null}), "the body"),
        (json!({"documents": null}), "the body"),
        (json!({"documents": document(1)}), "the body"),
        (json!({"documents": ["doc-1"]}), "documents: a document id is a UUID"),
        (json!({"documents": many}), "documents: a ticket names at most 100 documents"),
        (json!({"document": [document(1)]}), "unknown field `document`"),
        (json!([]), "the body"),
    ] {
        let detail = problem(&ask(&scene, &scene.token, &body), 400);
        assert!(detail.contains(says), "{body}: {detail}");
    }
    let asked = |request: Request| scene.relay.ask(&request);
    assert_eq!(asked(Request::post("/events/ticket").bearer(&scene.token)).status, 200, "no body asks for the usual");
    assert_eq!(ask(&scene, &scene.token, &json!({"ttl": 3600, "documents": &many[..100]})).status, 200);
    problem(&asked(Request::get("/events/ticket").bearer(&scene.token)), 405);
    problem(&asked(Request::post("/events/ticket").json("{}")), 401);
    problem(&asked(Request::post(&format!("/events/ticket?token={}", scene.token)).json("{}")), 401);
    problem(&ask(&scene, &scene.forge(&json!({"scope": "manage"})), &json!({})), 403);
    problem(&ask(&scene, "x.y.z", &json!({})), 401);
}

/// Trap 30: a token in a URL leaks.
#[test]
fn an_operator_decides_what_an_address_may_carry() {
    for (rule, token_says, ticket_says) in [
        ("any", None, None),
        ("ticket", Some("auth_failed"), None),
        ("off", Some("auth_required"), Some("auth_required")),
    ] {
        let scene = Scene::with(&[("query_token", rule)]);
        let event = scene.tell(1);
        let ticket = ticket(&scene, &json!({}));
        for (token, says) in [(&scene.token, token_says), (&ticket, ticket_says)] {
            for name in ["token", "access_token"] {
                let request = Request::get(&format!("/events/client?{name}={token}&last_event_id=earliest"));
                match says {
                    None => assert_eq!(Follower::open(scene.relay.listen, &request).event().id, event, "{rule}"),
                    Some(word) => assert_eq!(refusal(&scene, &request), word, "{rule}"),
                }
            }
            assert_eq!(scene.relay.follow_from(token, "earliest").event().id, event, "the header takes both");
        }
        let bad = refusal(&scene, &Request::get("/events/client?token=x.y.z"));
        assert_eq!(bad, if rule == "off" { "auth_required" } else { "auth_failed" }, "{rule}");
        assert!(!scene.relay.said().contains(&ticket), "a ticket is a token, and not for the log");
    }
}
