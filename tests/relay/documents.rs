//! Documents: registered before the webhook arrives, listed with their status, and followed from there without a gap.

mod slow_readers;

use serde_json::Value;

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::connection::Connection;
use crate::harness::request::Request;
use crate::harness::response::{assert_problem, stored_event_id, string_at};

fn register(client: &TestClient<'_>, body: &str, status: u16) -> Value {
    let response = client.post("/documents", body);
    assert_eq!(response.status, status, "{response:?}");
    let json = response.json();
    assert_eq!(response.header("location"), Some(format!("/documents/{}", string_at(&json, "documentId")).as_str()));
    json
}

#[test]
fn registered_document_is_pending_until_its_webhook() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let body = r#"{"vendor":"ppj","vendorId":"8v9iSKnj","title":"Bericht ✓"}"#;
    let made = register(&acme, body, 201);
    let document = string_at(&made, "documentId");
    assert_eq!(uuid::Uuid::parse_str(&document).expect("a UUID").get_version_num(), 1);
    assert_eq!([&made["status"], &made["vendor"], &made["vendorId"]], ["PENDING", "ppj", "8v9iSKnj"]);
    assert_eq!(register(&acme, body, 200), made, "registered already");

    let hook = acme.add_unverified_hook("ppj").path;
    let done = stored_event_id(&relay.send(&Request::get(&format!("{hook}?type=complete&token=8v9iSKnj"))));
    let events = acme.events(2);
    assert_eq!([&events[0].id, &events[1].id], [&string_at(&made, "eventId"), &done]);
    for event in &events {
        assert_eq!([&event.json()["documentId"], &event.json()["title"]], [&document, "Bericht ✓"]);
    }
    let known = register(&acme, r#"{"vendor":"ppj","vendorId":"8v9iSKnj","title":"another"}"#, 200);
    assert_eq!([&known["status"], &known["eventId"]], ["COMPLETED", &done]);

    let one = acme.get(&format!("/documents/{document}")).json();
    assert_eq!([&one["status"], &one["eventId"], &one["title"]], ["COMPLETED", &done, "Bericht ✓"]);
    let history = acme.get(&format!("/documents/{}/events", document.to_uppercase())).json();
    let states: Vec<_> = history["events"].as_array().expect("a list").iter().map(|e| string_at(e, "status")).collect();
    assert_eq!(states, ["PENDING", "COMPLETED"]);
    // The first event comes from the registration, so it has no webhook request.
    assert_problem(&acme.get(&format!("/events/{}/raw", events[0].id)), 404);
}

#[test]
fn first_event_creates_document_under_vendor_uuid() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let task = "1c1cf10b-d9e6-4927-b75e-dddf6b441445";
    let hook = acme.add_unverified_hook("zoffice").path;
    stored_event_id(
        &relay.send(&Request::post(&hook).json(&format!(r#"{{"taskId":"{task}","code":"TaskSuccessNotify"}}"#))),
    );
    let known = register(&acme, &format!(r#"{{"vendor":"zoffice","vendorId":"{task}"}}"#), 200);
    assert_eq!([&known["documentId"], &known["status"]], [task, "COMPLETED"]);
    let upper = register(&acme, &format!(r#"{{"vendor":"gini","vendorId":"{}"}}"#, task.replace('1', "A")), 201);
    assert_eq!(string_at(&upper, "documentId"), task.replace('1', "a"));
}

#[test]
fn document_list_is_newest_first_filtered_and_paged() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    for n in 0..25 {
        let vendor = if n % 5 == 0 { "baidu" } else { "gini" };
        register(&acme, &format!(r#"{{"vendor":"{vendor}","vendorId":"job-{n}"}}"#), 201);
    }
    let hook = acme.add_unverified_hook("gini").path;
    stored_event_id(&relay.send(&Request::post(&hook).json(r#"{"documentId":"job-7","status":"ERROR"}"#)));
    let ids = |target: &str| -> Vec<String> {
        let response = acme.get(target);
        assert_eq!(response.status, 200, "{target} {response:?}");
        response.json()["documents"].as_array().expect("a list").iter().map(|d| string_at(d, "vendorId")).collect()
    };
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = acme.get(&format!("/documents?limit=10&cursor={cursor}")).json();
        all.extend(page["documents"].as_array().expect("a list").iter().map(|d| string_at(d, "vendorId")));
        match page["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    let mut sorted = all.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!((all.len(), sorted.len()), (25, 25), "a document is missing or listed twice: {all:?}");
    assert_eq!(ids("/documents?vendor=baidu"), ["job-20", "job-15", "job-10", "job-5", "job-0"]);
    assert_eq!(ids("/documents?status=ERROR"), ["job-7"]);
    assert_eq!(ids("/documents?vendorId=job-7&vendor=gini&status=ERROR"), ["job-7"]);
    assert!(ids("/documents?vendorId=job-7&vendor=baidu").is_empty());
    assert!(ids("/documents?vendorId=unknown").is_empty());
    assert_eq!(ids("/documents?limit=99999").len(), 25);
    for bad in ["limit=0", "limit=x", "limit=-1", "cursor=x", "vendor=acme", "status=DONE"] {
        let detail = assert_problem(&acme.get(&format!("/documents?{bad}")), 400);
        assert!(detail.contains(bad.split('=').next().expect("a name")), "{detail}");
    }
}

#[test]
fn stream_resumes_after_document_list_without_gap() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let (listen, hook) = (relay.listen, acme.add_unverified_hook("gini").path);
    let send = |n: usize| {
        let body = format!(r#"{{"documentId":"job-{n}","status":"COMPLETED"}}"#);
        stored_event_id(&Connection::open(listen).send(&Request::post(&hook).json(&body)))
    };
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| (0..200).map(send).collect::<Vec<_>>());
        let mut seen = 0;
        while seen < 200 {
            let list = acme.get("/documents?limit=1000").json();
            seen = list["documents"].as_array().expect("a list").len();
            let mut follower = relay.follow_from(&acme.token, &string_at(&list, "lastEventId"));
            if seen < 200 {
                assert_eq!(follower.next_event().json()["vendorId"], format!("job-{seen}"));
            }
        }
        let ids = sender.join().expect("sent");
        assert_eq!(ids, acme.events(200).into_iter().map(|e| e.id).collect::<Vec<_>>());
    });
    // An empty log has a position, too.
    let other = TestClient::new(&relay, "other");
    let list = other.get("/documents").json();
    assert_eq!(list["documents"], serde_json::json!([]));
    let mut follower = relay.follow_from(&other.token, &string_at(&list, "lastEventId"));
    let path = other.add_unverified_hook("gini").path;
    stored_event_id(&relay.send(&Request::post(&path).json(r#"{"documentId":"x","status":"PENDING"}"#)));
    assert_eq!(follower.next_event().json()["vendorId"], "x");
}

#[test]
fn documents_require_scope_and_owning_client() {
    let relay = TestRelay::start();
    let (acme, other) = (TestClient::new(&relay, "acme"), TestClient::new(&relay, "other"));
    let document = string_at(&register(&acme, r#"{"vendor":"ppj","vendorId":"a"}"#, 201), "documentId");
    let foreign = string_at(&register(&other, r#"{"vendor":"ppj","vendorId":"a"}"#, 201), "documentId");
    assert_ne!(document, foreign);
    for target in [format!("/documents/{document}"), format!("/documents/{document}/events")] {
        assert_problem(&other.get(&target), 404);
        assert_problem(&relay.send(&Request::get(&target)), 401);
        // Only streams accept a token in the query.
        assert_problem(&relay.send(&Request::get(&format!("{target}?token={}", acme.token))), 401);
    }
    let (events, manage) = (relay.token_with_scope("acme", "events"), relay.token_with_scope("acme", "manage"));
    let send = |request: Request, token: &str| relay.send(&request.bearer(token));
    assert_eq!(send(Request::get("/documents"), &events).status, 200);
    assert_eq!(send(Request::get("/documents"), &manage).status, 200);
    let body = r#"{"vendor":"ppj","vendorId":"b"}"#;
    for request in [
        Request::post("/documents").json(body),
        Request::get("/hooks"),
        Request::post("/hooks").json(r#"{"vendor":"ppj"}"#),
        Request::get("/rejects"),
        Request::post("/rejects/1/replay"),
    ] {
        let response = send(request.clone(), &events);
        assert!(assert_problem(&response, 403).contains("manage"));
        assert!(response.header("www-authenticate").is_some_and(|v| v.contains("insufficient_scope")), "{response:?}");
        let response = relay.send(&request.header("Authorization", "Bearer x.y.z"));
        assert_problem(&response, 401);
        assert!(response.header("www-authenticate").is_some_and(|v| v.contains("invalid_token")), "{response:?}");
    }
    for bad in [
        "",
        "[]",
        r#"{"vendor":"ppj"}"#,
        r#"{"vendor":"unknown","vendorId":"x"}"#,
        r#"{"vendor":"ppj","vendorId":"a\nb"}"#,
    ] {
        assert_problem(&acme.post("/documents", bad), 400);
    }
    assert_problem(&acme.delete("/documents"), 405);
    assert_problem(&acme.get("/documents/not-a-uuid"), 404);
}
