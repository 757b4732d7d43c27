//! The relay's extensions of Baidu's API: formats, a default, secrets that are never shown, and PUT.

use serde_json::json;

use super::{CLOSED_ENDPOINT, add, assert_bce_error, get, put, with_request_id};
use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::request::Request;

/// The secret of the Standard Webhooks specification.
const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[test]
fn update_keeps_fields_that_are_not_named() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    let more = json!({"format": "zoffice", "isDefault": true, "tokenType": "cookie", "tokenValue": "sid=1"});
    assert_eq!(add(&acme, "main", &more).status, 200);
    let before = get(&acme, "main");
    assert_eq!([&before["format"], &before["tokenType"], &before["state"]], ["zoffice", "cookie", "active"]);
    let response = put(&acme, "main", &json!({}));
    assert_eq!((response.status, response.json()), (200, before.clone()));
    let moved = put(&acme, "main", &json!({"endpoint": format!("{CLOSED_ENDPOINT}2")})).json();
    let mut expected = before.clone();
    expected["endpoint"] = json!(format!("{CLOSED_ENDPOINT}2"));
    assert_eq!(moved, expected);
    assert_eq!(get(&acme, "main"), expected);
    let bare = put(&acme, "main", &json!({"tokenType": "", "format": "baidu", "isDefault": false})).json();
    assert_eq!((bare.get("tokenType"), &bare["isDefault"], &bare["format"]), (None, &json!(false), &json!("baidu")));

    assert_bce_error(&put(&acme, "unknown", &json!({})), 404, "DocExceptions.NoSuchNotification");
    assert_bce_error(&put(&acme, "main", &json!({"endpoint": "http://10.0.0.1/"})), 400, "BceValidationException");
    assert_bce_error(&put(&acme, "main", &json!({"name": "other"})), 400, "InappropriateJSON");
    assert_bce_error(&acme.send(Request::new("PUT", "/v1/notification/main").body("{")), 400, "MalformedJSON");
    assert_eq!(get(&acme, "main"), bare, "a refused change has an effect");
}

#[test]
fn at_most_one_notification_is_default() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    let defaults = || -> Vec<String> {
        let list = acme.get("/v2/notification").json();
        let all = list["notifications"].as_array().expect("a list").clone();
        let names = all.iter().filter(|n| n["isDefault"] == true).map(|n| n["name"].as_str().expect("a name").into());
        names.collect()
    };
    assert_eq!(add(&acme, "one", &json!({})).status, 200);
    assert!(defaults().is_empty(), "a notification is not the default unless it says so");
    assert_eq!(add(&acme, "two", &json!({"isDefault": true})).status, 200);
    assert_eq!(defaults(), ["two"]);
    assert_eq!(put(&acme, "one", &json!({"isDefault": true})).status, 200);
    assert_eq!(defaults(), ["one"]);
    assert_eq!(add(&acme, "three", &json!({"isDefault": true})).status, 200);
    assert_eq!(defaults(), ["three"]);
    assert_eq!(put(&acme, "three", &json!({"isDefault": false})).status, 200);
    assert!(defaults().is_empty());
}

#[test]
fn secrets_are_never_shown_again_nor_logged() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    let hidden = ["hush-secret", "hush-token", WHSEC, "hush-later"];
    let mut responses = vec![
        add(&acme, "one", &json!({"secret": hidden[0], "tokenType": "header", "tokenValue": hidden[1]})),
        add(&acme, "two", &json!({"format": "standard", "secret": [WHSEC]})),
        put(&acme, "one", &json!({"secret": hidden[3]})),
        put(&acme, "one", &json!({"tokenValue": "hush-later\n"})),
        add(&acme, "bad name", &json!({"secret": hidden[0]})),
    ];
    assert_eq!(responses.iter().map(|a| a.status).collect::<Vec<_>>(), [200, 200, 200, 400, 400]);
    responses.extend(["/v2/notification", "/v1/notification/one", "/v1/notification/two"].map(|t| acme.get(t)));
    for response in responses {
        for secret in hidden {
            assert!(!response.text().contains(secret), "{response:?}");
        }
    }
    for secret in hidden {
        assert!(!relay.output().contains(secret));
    }
}

#[test]
fn ppj_notification_is_unverified_until_handshake_succeeds() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    let made = add(&acme, "main", &json!({"format": "ppj"}));
    assert_eq!((made.status, &made.json()["state"]), (200, &json!("unverified")), "nothing listens there");
    let verify = || with_request_id(acme.send(Request::post("/v2/notification/main/verify")));
    assert!(!assert_bce_error(&verify(), 400, "DocExceptions.NotificationNotVerified").is_empty());
    let other = put(&acme, "main", &json!({"format": "gini"}));
    assert_eq!(other.json()["state"], "active");
    let response = verify();
    assert_eq!((response.status, response.json()), (200, get(&acme, "main")), "a format without a handshake passes");
    assert_eq!(put(&acme, "main", &json!({"format": "ppj"})).json()["state"], "unverified");
}

#[test]
fn test_call_reports_the_attempt_result() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    assert_eq!(add(&acme, "main", &json!({})).status, 200);
    let response = with_request_id(acme.send(Request::post("/v2/notification/main/test")));
    assert_eq!(response.status, 200, "{response:?}");
    let json = response.json();
    let keys: Vec<&String> = json.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["time", "duration", "answer", "reason"], "the keys of a delivery attempt");
    assert_eq!(json["answer"], "", "nothing listens there");
    assert!(json["duration"].is_u64() && json["reason"].is_string(), "{json}");
    assert!(acme.documents().is_empty(), "a test stores no event");
}
