//! Hooks for Baidu DOC: the documented envelope, its variants, and the signature of related Baidu products.

use serde_json::json;

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::request::Request;
use crate::harness::response::{assert_problem, stored_event_id};
use crate::harness::signature::{hex_hmac, now};
use crate::harness::vendor_bodies::{BAIDU_FAILED, BAIDU_PUBLISHED};

#[test]
fn baidu_sample_message_keeps_publish_info_and_body() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("baidu").path;
    let id =
        stored_event_id(&relay.send(
            &Request::post(&hook).header("Content-Type", "application/json; charset=utf-8").body(BAIDU_PUBLISHED),
        ));
    assert_eq!(
        stored_event_id(&relay.send(&Request::post(&hook).body(BAIDU_PUBLISHED))),
        id,
        "the content type does not matter"
    );

    let event = acme.events(1).remove(0);
    let json = event.json();
    assert_eq!(event.id, id);
    assert_eq!([&json["status"], &json["vendor"], &json["title"]], ["COMPLETED", "baidu", "doc_title"]);
    assert_eq!(json["vendorId"], "doc-gkideq542yb44diy");
    assert_eq!(json["result"], json!({"pageCount": 1, "sizeInBytes": 33, "publishTime": "2016-12-08T08:45:37Z"}));
    assert_eq!(json["vendorTime"], "2016-12-08T08:45:37.000Z");
    let raw = acme.get(&format!("/events/{id}/raw"));
    assert_eq!(raw.json()["body"], BAIDU_PUBLISHED);
}

#[test]
fn baidu_failure_message_becomes_an_error_event() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("baidu").path;
    stored_event_id(&relay.send(&Request::post(&hook).json(BAIDU_FAILED)));
    let json = acme.events(1)[0].json();
    assert_eq!([&json["status"], &json["vendorId"]], ["ERROR", "doc-gkideq542yb44diy"]);
    let error = json!({"code": "DocExceptions.ConvertFailed", "message": "the document is encrypted"});
    assert_eq!(json["error"], error);
}

#[test]
fn baidu_message_body_object_and_missing_keys_are_accepted() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("baidu").path;
    let send = |body: serde_json::Value| relay.send(&Request::post(&hook).json(&body.to_string()));
    let failed = json!({"documentId": "doc-1", "status": "FAILED", "error": {"code": "E1", "message": "文档损坏"},
        "notifyTime": "2016-12-08T08:45:37Z"});
    let id =
        stored_event_id(&send(json!({"messageId": "m1", "messageBody": failed, "version": "v1", "signature": ""})));
    assert_eq!(stored_event_id(&send(json!({"messageId": "m1", "messageBody": failed.to_string()}))), id);
    // Without a messageId, status and time identify the message.
    let bare =
        json!({"messageBody": {"documentId": "doc-2", "status": "PUBLISHED", "notifyTime": "2016-12-08T08:45:37Z"}});
    let bare_id = stored_event_id(&send(bare.clone()));
    assert_eq!(stored_event_id(&send(bare)), bare_id);
    stored_event_id(&send(
        json!({"messageBody": {"documentId": "doc-2", "status": "PUBLISHED", "notifyTime": "2017-01-01T00:00:00Z"}}),
    ));
    stored_event_id(&send(json!({"messageBody": {"documentId": "doc-3", "status": "PROCESSING"}})));

    let events = acme.events(4);
    assert_eq!(events[0].json()["error"], json!({"code": "E1", "message": "文档损坏"}));
    let states: Vec<_> = events.iter().map(|e| e.json()["status"].clone()).collect();
    assert_eq!(states, ["ERROR", "COMPLETED", "COMPLETED", "PENDING"]);
    assert_eq!(events[2].json()["documentId"], events[1].json()["documentId"]);
}

#[test]
fn baidu_signature_covers_url_body_expiry_and_user() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_hook(r#"{"vendor":"baidu","verify":{"type":"baidu","secret":"t0ken"}}"#);
    let expire = ((now() + 1800) * 1000).to_string();
    let signed = |body: &str, expire: &str, token: &str| {
        let text = format!("POST;{};{body};{expire};user-1", hook.url);
        Request::post(&hook.path)
            .header("notification-auth-expire", expire)
            .header("notification-auth-user", "user-1")
            .header("notification-auth-token", &hex_hmac(token, text))
            .json(BAIDU_PUBLISHED)
    };
    stored_event_id(&relay.send(&signed(BAIDU_PUBLISHED, &expire, "t0ken")));
    let stale = ((now() - 3600) * 1000).to_string();
    let far = ((now() + 25 * 3600) * 1000).to_string();
    for bad in [
        signed(BAIDU_PUBLISHED, &expire, "another"),
        signed("{}", &expire, "t0ken"),
        signed(BAIDU_PUBLISHED, &stale, "t0ken"),
        signed(BAIDU_PUBLISHED, &far, "t0ken"),
        signed(BAIDU_PUBLISHED, "soon", "t0ken"),
        signed(BAIDU_PUBLISHED, &expire, "t0ken").header("notification-auth-user", "user-2"),
        Request::post(&hook.path).json(BAIDU_PUBLISHED),
    ] {
        assert_problem(&relay.send(&bad), 401);
    }
    assert_eq!(acme.documents().len(), 1);
    assert!(acme.rejects().is_empty());
}

#[test]
fn clients_do_not_share_documents_or_repeat_detection() {
    let relay = TestRelay::start();
    let (acme, other) = (TestClient::new(&relay, "acme"), TestClient::new(&relay, "other"));
    let (first, second, foreign) =
        (acme.add_unverified_hook("baidu"), acme.add_unverified_hook("baidu"), other.add_unverified_hook("baidu"));
    let send = |path: &str| stored_event_id(&relay.send(&Request::post(path).json(BAIDU_PUBLISHED)));
    let id = send(&first.path);
    assert_eq!(send(&second.path), id, "repeats are detected across the hooks of a client");
    assert_ne!(send(&foreign.path), id);
    let document = |client: &TestClient<'_>| client.documents()[0]["documentId"].as_str().expect("an id").to_owned();
    assert_ne!(document(&acme), document(&other));
    for target in
        [format!("/documents/{}", document(&acme)), format!("/events/{id}/raw"), format!("/hooks/{}", first.id)]
    {
        assert_eq!(acme.get(&target).status, 200);
        assert_problem(&other.get(&target), 404);
    }
}
