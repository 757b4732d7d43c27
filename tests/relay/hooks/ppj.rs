//! Hooks for PPJ, in every edition of its documentation.

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::command::hook_path;
use crate::harness::request::Request;
use crate::harness::response::{Response, assert_problem, stored_event_id, string_at};
use crate::harness::signature::{now, ppj_signature};
use crate::harness::vendor_bodies::{
    PPJ_COMPLETE, PPJ_COMPLETE_FORM, PPJ_COMPLETED, PPJ_ERROR, PPJ_VALIDATION, PPJ_VERIFY, PPJ_VERIFY_UNSIGNED,
};

/// The secret of PPJ's documentation.
const SECRET: &str = "kKdBnfSJNnBjex9gczp6P9g2";

#[test]
fn ppj_handshake_returns_nonce_and_stores_nothing() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("ppj").path;
    for query in [PPJ_VALIDATION, PPJ_VERIFY, PPJ_VERIFY_UNSIGNED] {
        let response = relay.send(&Request::get(&format!("{hook}?{query}")));
        assert_eq!((response.status, response.text()), (200, r#"{"nonce":"7bzaglsx2y1nmujw"}"#), "{query}");
        assert_eq!(response.header("content-type"), Some("application/json"));
        assert_eq!(response.header("docrelay-event-id"), None);
    }
    let form = relay.send(&Request::post(&hook).form("type=verify&nonce=n%22%2B+1"));
    assert_eq!((form.status, form.json()["nonce"].as_str()), (200, Some("n\"+ 1")));
    assert!(acme.documents().is_empty());
}

#[test]
fn ppj_query_and_form_editions_are_one_event() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("ppj").path;
    let get = |query: &str| relay.send(&Request::get(&format!("{hook}?{query}")));
    let post = |form: &str| relay.send(&Request::post(&hook).form(form));

    let first = stored_event_id(&get(PPJ_COMPLETE));
    for again in [get(PPJ_COMPLETE), get(PPJ_COMPLETED), post(PPJ_COMPLETE_FORM), get(PPJ_COMPLETE_FORM)] {
        assert_eq!(stored_event_id(&again), first);
    }
    let failed = stored_event_id(&post(PPJ_ERROR));
    stored_event_id(&get("type=error&token=Zz3dEf9h&code=1"));

    let events = acme.events(3);
    assert_eq!([&events[0].id, &events[1].id], [&first, &failed]);
    let json = events[0].json();
    assert_eq!([&json["status"], &json["vendor"], &json["vendorId"]], ["COMPLETED", "ppj", "8v9iSKnj"]);
    assert_eq!(json.get("error"), None);
    let document = json["documentId"].as_str().expect("an id");
    assert_eq!(uuid::Uuid::parse_str(document).expect("a UUID").get_version_num(), 1);
    assert!(events[0].data.starts_with(&format!(r#"{{"documentId":"{document}","status":"COMPLETED","#)));
    let failure = |n: usize| events[n].json()["error"].clone();
    assert_eq!(failure(1), serde_json::json!({"code": "2", "message": "source file error"}));
    assert_eq!(failure(2), serde_json::json!({"code": "1", "message": "server internal error"}));
}

#[test]
fn ppj_signature_covers_query_of_configured_url() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_hook(&format!(r#"{{"vendor":"ppj","verify":{{"type":"ppj","secret":"{SECRET}"}}}}"#)).path;
    let time = now().to_string();
    let text = format!("GET\n{hook}\n{PPJ_COMPLETED}");
    let signed = Request::get(&format!("{hook}?agent=06875f8b&type=completed&token=8v9iSKnj&code=0&_=1"))
        .header("X-PPJ-Timestamp", &time)
        .header("X-PPJ-Signature", &ppj_signature(SECRET, &time, &text));
    let first = stored_event_id(&relay.send(&signed));
    assert_eq!(stored_event_id(&relay.send(&signed)), first, "a repeat has the same signature");
}

#[test]
fn ppj_signature_is_accepted_in_query_and_headers() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_hook(&format!(r#"{{"vendor":"ppj","verify":{{"type":"ppj","secret":"{SECRET}"}}}}"#)).path;
    let time = now().to_string();
    let query = |signature: &str| format!("{hook}?type=verify&timestamp={time}&nonce=abc&signature={signature}");
    let good = relay.send(&Request::get(&query(&ppj_signature(SECRET, &time, "abc"))));
    assert_eq!((good.status, good.text()), (200, r#"{"nonce":"abc"}"#));
    assert_problem(&relay.send(&Request::get(&query(&ppj_signature("another", &time, "abc")))), 401);

    let form = "type=error&token=8v9iSKnj&code=1";
    let post = Request::post(&hook)
        .header("X-PPJ-Timestamp", &time)
        .header(
            "X-PPJ-Signature",
            &ppj_signature(SECRET, &time, &format!("POST\n{hook}\ncode=1&token=8v9iSKnj&type=error")),
        )
        .form(form);
    stored_event_id(&relay.send(&post));
}

#[test]
fn invalid_ppj_signature_gets_401_and_stores_nothing() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_hook(&format!(r#"{{"vendor":"ppj","verify":{{"type":"ppj","secret":"{SECRET}"}}}}"#)).path;
    let call = Request::get(&format!("{hook}?{PPJ_COMPLETE}"));
    let text = format!("GET\n{hook}\ncode=0&token=8v9iSKnj&type=complete");
    let signed = |time: &str| {
        let signature = ppj_signature(SECRET, time, &text);
        call.clone().header("X-PPJ-Timestamp", time).header("X-PPJ-Signature", &signature)
    };
    let (fresh, old, early) = (now().to_string(), (now() - 400).to_string(), (now() + 400).to_string());
    let forged = call.clone().header("X-PPJ-Timestamp", &fresh).header("X-PPJ-Signature", &"0".repeat(64));
    let extremes = ["-9223372036854775808", "9223372036854775807", "1e300", ""];
    let bad = [call.clone(), forged, signed(&old), signed(&early), signed(&fresh).header("X-PPJ-Signature", "00")]
        .into_iter()
        .chain(extremes.map(signed));
    for request in bad {
        let why = assert_problem(&relay.send(&request), 401);
        assert!(!why.contains(SECRET) && why.contains("signature"), "{why}");
    }
    assert!(acme.documents().is_empty() && acme.rejects().is_empty());
    stored_event_id(&relay.send(&signed(&fresh)));
}

#[test]
fn unsigned_notification_of_edition_a_is_accepted_only_if_configured() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = |edition: &str| {
        acme.post("/hooks", &format!(r#"{{"vendor":"ppj","verify":{{"type":"ppj","secret":"{SECRET}"{edition}}}}}"#))
    };
    let path = |created: &Response| hook_path(&string_at(&created.json(), "url"));
    let (unset, a, b) = (hook(""), hook(r#","edition":"A""#), hook(r#","edition":"B""#));
    assert_eq!((unset.status, a.status, b.status), (201, 201, 201), "{unset:?} {a:?} {b:?}");
    assert_eq!([&a.json()["verify"]["edition"], &b.json()["verify"]["edition"]], ["A", "B"]);
    // The default refuses what edition A sends, and the response says so.
    let warning = unset.json()["warnings"][0].to_string();
    assert!(warning.contains("edition A") && warning.contains("401"), "{warning}");
    let warning = a.json()["warnings"][0].to_string();
    assert!(warning.contains("URL"), "{warning}");
    assert_eq!(b.json().get("warnings"), None);

    let notify = |hook: &str| relay.send(&Request::get(&format!("{hook}?{PPJ_COMPLETE}")));
    let why = assert_problem(&notify(&path(&unset)), 401);
    assert!(why.contains("edition"), "{why}");
    assert_problem(&notify(&path(&b)), 401);
    let first = stored_event_id(&notify(&path(&a)));

    // The handshake of edition A is signed, and a signature that is there must be right.
    let time = now().to_string();
    let verify = |hook: &str, secret: &str| {
        let signature = ppj_signature(secret, &time, "abc");
        relay.send(&Request::get(&format!("{hook}?type=verify&timestamp={time}&nonce=abc&signature={signature}")))
    };
    assert_eq!(verify(&path(&a), SECRET).status, 200);
    assert_problem(&verify(&path(&a), "another"), 401);
    assert_problem(&relay.send(&Request::get(&format!("{}?type=verify&nonce=abc", path(&a)))), 401);
    assert_problem(&verify(&path(&b), SECRET), 401);
    let forged = Request::get(&format!("{}?{PPJ_ERROR}", path(&a)));
    let forged = forged.header("X-PPJ-Timestamp", &time).header("X-PPJ-Signature", &"0".repeat(64));
    assert_problem(&relay.send(&forged), 401);
    assert_eq!(acme.events(1)[0].id, first);
    assert_problem(&hook(r#","edition":"C""#), 400);
}
