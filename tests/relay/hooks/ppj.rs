//! PPJ through the socket, edition by edition, with the requests of its own pages.

use crate::support::TestRelay;
use crate::support::proof::{now, ppj};
use crate::support::tenant::{Tenant, problem, stored};
use crate::support::wire::Request;

const SECRET: &str = "kKdBnfSJNnBjex9gczp6P9g2";

#[test]
fn ppj_gets_its_nonce_back_in_every_edition_and_nothing_is_stored() {
    let relay = TestRelay::start();
    let acme = Tenant::new(&relay, "acme");
    let hook = acme.open_hook("ppj").path;
    let vector = "type=verify&timestamp=1489820220&nonce=7bzaglsx2y1nmujw\
                  &signature=988b7b1bdd05d10a0b21840561097f2dbbabeaf7e2bbe0dc960856a5fcdeb84e";
    for query in ["type=validation&nonce=7bzaglsx2y1nmujw", vector, "type=verify&nonce=7bzaglsx2y1nmujw"] {
        let answer = relay.ask(&Request::get(&format!("{hook}?{query}")));
        assert_eq!((answer.status, answer.text()), (200, r#"{"nonce":"7bzaglsx2y1nmujw"}"#), "{query}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("docrelay-event-id"), None);
    }
    let form = relay.ask(&Request::post(&hook).form("type=verify&nonce=n%22%2B+1"));
    assert_eq!((form.status, form.json()["nonce"].as_str()), (200, Some("n\"+ 1")));
    assert!(acme.documents().is_empty());
}

#[test]
fn ppj_notifies_by_query_and_by_form_and_a_repeat_in_another_edition_is_one_event() {
    let relay = TestRelay::start();
    let acme = Tenant::new(&relay, "acme");
    let hook = acme.open_hook("ppj").path;
    let get = |query: &str| relay.ask(&Request::get(&format!("{hook}?{query}")));
    let post = |form: &str| relay.ask(&Request::post(&hook).form(form));

    let first = stored(&get("type=complete&token=8v9iSKnj&code=0"));
    for again in [
        get("type=complete&token=8v9iSKnj&code=0"),
        get("agent=06875f8b&code=0&token=8v9iSKnj&type=completed"),
        post("type=complete&token=8v9iSKnj"),
        get("type=complete&token=8v9iSKnj"),
    ] {
        assert_eq!(stored(&again), first);
    }
    let failed = stored(&post("type=error&token=Ab3dEf9h&code=2"));
    stored(&get("type=error&token=Zz3dEf9h&code=1"));

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
fn ppj_appends_to_the_query_of_the_address_it_was_given() {
    let relay = TestRelay::start();
    let acme = Tenant::new(&relay, "acme");
    let hook = acme.hook(&format!(r#"{{"vendor":"ppj","verify":{{"type":"ppj","secret":"{SECRET}"}}}}"#)).path;
    let time = now().to_string();
    let text = format!("GET\n{hook}\nagent=06875f8b&code=0&token=8v9iSKnj&type=completed");
    let signed = Request::get(&format!("{hook}?agent=06875f8b&type=completed&token=8v9iSKnj&code=0&_=1"))
        .header("X-PPJ-Timestamp", &time)
        .header("X-PPJ-Signature", &ppj(SECRET, &time, &text));
    let first = stored(&relay.ask(&signed));
    assert_eq!(stored(&relay.ask(&signed)), first, "a repeat proves itself like the first");
}

#[test]
fn ppj_proves_its_handshake_in_the_query_and_its_posts_in_headers() {
    let relay = TestRelay::start();
    let acme = Tenant::new(&relay, "acme");
    let hook = acme.hook(&format!(r#"{{"vendor":"ppj","verify":{{"type":"ppj","secret":"{SECRET}"}}}}"#)).path;
    let time = now().to_string();
    let query = |signature: &str| format!("{hook}?type=verify&timestamp={time}&nonce=abc&signature={signature}");
    let good = relay.ask(&Request::get(&query(&ppj(SECRET, &time, "abc"))));
    assert_eq!((good.status, good.text()), (200, r#"{"nonce":"abc"}"#));
    problem(&relay.ask(&Request::get(&query(&ppj("another", &time, "abc")))), 401);

    let form = "type=error&token=8v9iSKnj&code=1";
    let post = Request::post(&hook)
        .header("X-PPJ-Timestamp", &time)
        .header("X-PPJ-Signature", &ppj(SECRET, &time, &format!("POST\n{hook}\ncode=1&token=8v9iSKnj&type=error")))
        .form(form);
    stored(&relay.ask(&post));
}

#[test]
fn a_forged_stale_missing_or_doubled_signature_of_ppj_is_401_and_stored_nowhere() {
    let relay = TestRelay::start();
    let acme = Tenant::new(&relay, "acme");
    let hook = acme.hook(&format!(r#"{{"vendor":"ppj","verify":{{"type":"ppj","secret":"{SECRET}"}}}}"#)).path;
    let call = Request::get(&format!("{hook}?type=complete&token=8v9iSKnj&code=0"));
    let text = format!("GET\n{hook}\ncode=0&token=8v9iSKnj&type=complete");
    let signed = |time: &str| {
        let signature = ppj(SECRET, time, &text);
        call.clone().header("X-PPJ-Timestamp", time).header("X-PPJ-Signature", &signature)
    };
    let (fresh, old, early) = (now().to_string(), (now() - 400).to_string(), (now() + 400).to_string());
    let forged = call.clone().header("X-PPJ-Timestamp", &fresh).header("X-PPJ-Signature", &"0".repeat(64));
    let extremes = ["-9223372036854775808", "9223372036854775807", "1e300", ""];
    let bad = [call.clone(), forged, signed(&old), signed(&early), signed(&fresh).header("X-PPJ-Signature", "00")]
        .into_iter()
        .chain(extremes.map(signed));
    for request in bad {
        let why = problem(&relay.ask(&request), 401);
        assert!(!why.contains(SECRET) && why.contains("signature"), "{why}");
    }
    assert!(acme.documents().is_empty() && acme.rejects().is_empty());
    stored(&relay.ask(&signed(&fresh)));
}
