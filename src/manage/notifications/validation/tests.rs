//! What a client may say of a notification, and what a change leaves alone.

use serde_json::json;

use super::*;

fn now() -> Timestamp {
    Timestamp::from_seconds(1_800_000_000)
}

fn made(extra: serde_json::Value) -> Result<Notification, NotificationError> {
    let mut body = json!({"name": "main", "endpoint": "https://app.example/notify"});
    for (key, value) in extra.as_object().expect("an object") {
        body[key] = value.clone();
    }
    validate_new(serde_json::from_value(body).expect("the shape is right"), now())
}

fn standard() -> Notification {
    made(json!({"format": "standard", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"})).expect("good")
}

fn change(known: &Notification, body: serde_json::Value) -> Notification {
    apply_change(known, serde_json::from_value(body).expect("the shape is right"), now()).expect("good")
}

#[track_caller]
fn field(refused: Result<impl std::fmt::Debug, NotificationError>) -> &'static str {
    match refused {
        Err(NotificationError::Invalid { field, reason }) if !reason.is_empty() && !reason.contains('\n') => field,
        other => panic!("{other:?}"),
    }
}

#[test]
fn name_and_endpoint_create_an_active_baidu_notification() {
    let one = made(json!({})).expect("good");
    assert_eq!((one.format, one.state, one.is_default), (Format::Baidu, NotificationState::Active, false));
    assert!(one.secrets.is_empty() && one.credential.is_none() && one.previous.is_none());
    assert_ne!(one.id, made(json!({})).expect("good").id, "a name that is used again is another notification");
    let ppj = made(json!({"format": "ppj"})).expect("good");
    assert_eq!(ppj.state, NotificationState::Unverified);
}

#[test]
fn invalid_field_is_named_in_the_error() {
    assert_eq!(field(made(json!({"name": "Main"}))), "name");
    assert_eq!(field(made(json!({"endpoint": "app.example"}))), "endpoint");
    assert_eq!(field(made(json!({"tokenType": "bearer", "tokenValue": "x"}))), "tokenType");
    assert_eq!(field(made(json!({"tokenValue": "x"}))), "tokenType");
    assert_eq!(field(made(json!({"tokenType": "", "tokenValue": "x"}))), "tokenType");
    let long = "x".repeat(4097);
    for value in ["", "a\r\nX: 1", "a\u{0}", "a\u{7f}", " a", "a ", long.as_str()] {
        assert_eq!(field(made(json!({"tokenType": "cookie", "tokenValue": value}))), "tokenValue", "{value:?}");
    }
    assert_eq!(field(made(json!({"tokenType": "header"}))), "tokenValue");
    let callback = |body| validate_callback(serde_json::from_value(body).expect("the shape is right"));
    assert_eq!(field(callback(json!({"url": "x"}))), "callback.url");
    assert_eq!(field(callback(json!({"url": "http://a.example/", "format": "ppj"}))), "callback.format");
    assert_eq!(field(callback(json!({"url": "http://a.example/", "tokenType": "x"}))), "callback.tokenType");
    assert_eq!(field(callback(json!({"url": "http://a.example/", "tokenType": "cookie"}))), "callback.tokenValue");
}

#[test]
fn change_keeps_fields_that_are_not_named() {
    let known = made(json!({"isDefault": true, "secret": "s", "tokenType": "cookie", "tokenValue": "a=b"}));
    let known = known.expect("good");
    assert_eq!(change(&known, json!({})), known);
    let moved = change(&known, json!({"endpoint": "https://b.example/"}));
    assert_eq!(moved, Notification { endpoint: "https://b.example/".to_owned(), ..known.clone() });
    let header = change(&known, json!({"tokenType": "header"}));
    assert_eq!(header.credential, Some(Credential::Header(Secret::new("a=b"))));
    let other = change(&known, json!({"tokenValue": "c=d"}));
    assert_eq!(other.credential, Some(Credential::Cookie(Secret::new("c=d"))));
    assert_eq!(change(&known, json!({"tokenType": ""})).credential, None);
    assert_eq!(change(&known, json!({"secret": []})).secrets, []);
    assert!(!change(&known, json!({"isDefault": false})).is_default);
}

#[test]
fn change_enables_a_disabled_notification() {
    let disabled = Notification { state: NotificationState::Disabled, ..made(json!({})).expect("good") };
    assert_eq!(change(&disabled, json!({})).state, NotificationState::Active);
    let ppj = Notification { format: Format::Ppj, ..disabled };
    assert_eq!(change(&ppj, json!({})).state, NotificationState::Unverified);
}

#[test]
fn new_ppj_endpoint_is_unverified() {
    let passed = Notification { state: NotificationState::Active, ..made(json!({"format": "ppj"})).expect("good") };
    assert_eq!(change(&passed, json!({"isDefault": true})).state, NotificationState::Active);
    assert_eq!(change(&passed, json!({"endpoint": passed.endpoint})).state, NotificationState::Active);
    assert_eq!(change(&passed, json!({"endpoint": "https://b.example/"})).state, NotificationState::Unverified);
    assert_eq!(change(&passed, json!({"format": "gini"})).state, NotificationState::Active);
    let gini = change(&passed, json!({"format": "gini"}));
    assert_eq!(change(&gini, json!({"format": "ppj"})).state, NotificationState::Unverified);
}

#[test]
fn replaced_standard_secret_signs_for_one_more_day() {
    const FRESH: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    let known = standard();
    let rotated = change(&known, json!({"secret": FRESH}));
    let until = now().plus(PREVIOUS_SECRET_TTL);
    assert_eq!(rotated.previous, Some(RetiredSecret { secret: known.secrets[0].clone(), until }));
    assert_eq!(rotated.signing_secrets(now()).len(), 2);
    assert_eq!(rotated.signing_secrets(until), rotated.secrets);
    // Said again, or left out, it is no second rotation.
    assert_eq!(change(&rotated, json!({"secret": FRESH})).previous, rotated.previous);
    assert_eq!(change(&rotated, json!({"isDefault": true})).previous, rotated.previous);
    // Two at once, none, or another format: there is nothing to keep.
    let both = json!([FRESH, known.secrets[0].expose()]);
    for body in [json!({"secret": both}), json!({"secret": []}), json!({"format": "baidu", "secret": "s"})] {
        assert_eq!(change(&rotated, body).previous, None);
    }
    let baidu = made(json!({"secret": "old"})).expect("good");
    assert_eq!(change(&baidu, json!({"secret": "new"})).previous, None);
}
