//! Parsing, verifying and rendering the editions of PPJ's format.

use crate::domain::{Hook, Secret, Status, Timestamp, Vendor, Verify};
use crate::vendor::fixture::{ENDPOINT, NOW, Request, hook, now, open, outgoing_event};
use crate::vendor::{ParsedMessage, RenderError, WebhookError, verify_and_parse};

use super::{Edition, handshake, notify};

const SECRET: &str = "kKdBnfSJNnBjex9gczp6P9g2";

fn signed() -> Hook {
    hook(Vendor::Ppj, Verify::Ppj { secret: Secret::new(SECRET), edition: None })
}

fn nonce_of(request: &Request, hook: &Hook) -> String {
    match request.parse(hook) {
        Ok(ParsedMessage::Handshake(reply)) => String::from_utf8(reply.body).expect("text"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn documented_requests_are_parsed() {
    let hook = open(Vendor::Ppj);
    let verify = Request::get("type=verify&timestamp=1489820220&nonce=7bzaglsx2y1nmujw&signature=XXXXX");
    assert_eq!(nonce_of(&verify, &hook), r#"{"nonce":"7bzaglsx2y1nmujw"}"#);
    let done = Request::get(include_str!("../../../tests/fixtures/ppj/complete.query")).update(&hook);
    assert_eq!((done.vendor_id.as_str(), done.status, done.error), ("8v9iSKnj", Status::Completed, None));
    for (code, message) in [("1", "server internal error"), ("2", "source file error")] {
        let failed = Request::get(&format!("type=error&token=8v9iSKnj&code={code}")).update(&hook);
        let error = failed.error.expect("an error");
        assert_eq!((failed.status, error.code.as_str(), error.message.as_str()), (Status::Error, code, message));
    }
}

#[test]
fn editions_of_one_message_share_a_deduplication_key() {
    let hook = open(Vendor::Ppj);
    let keys: Vec<_> = [
        Request::get(include_str!("../../../tests/fixtures/ppj/complete.query")),
        Request::get(include_str!("../../../tests/fixtures/ppj/completed.query")),
        Request::get("agent=06875f8b&token=8v9iSKnj&type=completed"),
        Request::post(include_str!("../../../tests/fixtures/ppj/complete.form")),
        Request::get("type=complete&token=8v9iSKnj&code="),
    ]
    .iter()
    .map(|r| r.update(&hook).dedup_key.expect("a key"))
    .collect();
    assert!(keys.iter().all(|k| *k == keys[0]), "{keys:?}");
    let other = Request::get("type=error&token=8v9iSKnj&code=0").update(&hook).dedup_key;
    assert_ne!(other.as_ref(), Some(&keys[0]));
}

#[test]
fn deduplication_ignores_case_of_uuid_tokens_only() {
    let key = |token: &str| Request::get(&format!("type=complete&token={token}")).update(&open(Vendor::Ppj)).dedup_key;
    let uuid = "626626a0-749f-11e2-bfd6-00000000000a";
    assert_eq!(key(uuid), key(&uuid.to_uppercase()));
    assert_ne!(key("8v9iSKnj"), key("8V9ISKNJ"));
}

#[test]
fn published_requests_are_accepted_within_five_minutes() {
    let verify = Request::get(include_str!("../../../tests/fixtures/ppj/verify.query"));
    let mut notify = Request::get(include_str!("../../../tests/fixtures/ppj/completed.query"))
        .header("X-PPJ-Timestamp", "1490255398")
        .header("X-PPJ-Signature", "9b566f493c25afa7b57b6e2289f2382c32ab2393bdf0b0367ba77bb53dce36db");
    notify.path = "/notify".into();
    for (request, time) in [(verify, 1_489_820_220), (notify, 1_490_255_398)] {
        for (apart, good) in [(0, true), (300, true), (-300, true), (301, false), (-301, false)] {
            let answer = verify_and_parse(&signed(), &request.inbound(), Timestamp::from_seconds(time + apart));
            assert_eq!(answer.is_ok(), good, "{apart}: {answer:?}");
        }
    }
}

#[test]
fn signature_covers_method_path_and_parameters() {
    let out =
        notify(Edition::B, &outgoing_event("8v9iSKnj", Status::Completed), ENDPOINT, Some(&Secret::new(SECRET)), now());
    let good = Request::of(&out.expect("written"));
    good.update(&signed());
    let mut other = good.clone();
    other.query = Some(good.query.clone().unwrap_or_default().replace("8v9iSKnj", "8v9iSKnk"));
    assert!(other.is_unauthorized(&signed()));
    let mut other = good.clone();
    other.path = "/in/other".into();
    // Without the public URL, only the received path is compared.
    let mut inbound = other.inbound();
    inbound.endpoint = None;
    assert!(matches!(verify_and_parse(&signed(), &inbound, now()), Err(WebhookError::Unauthorized(_))));
    let mut other = good.clone();
    other.method = http::Method::POST;
    assert!(other.is_unauthorized(&signed()));
    let mut unsigned_extra = good;
    unsigned_extra.query = unsigned_extra.query.map(|q| q + "&_=1&file_source=x");
    unsigned_extra.update(&signed());
}

#[test]
fn signature_matches_behind_prefix_stripping_proxy() {
    let endpoint = "https://relay.example/relay/in/k0";
    let secret = Secret::new(SECRET);
    let out = notify(Edition::B, &outgoing_event("8v9iSKnj", Status::Completed), endpoint, Some(&secret), now());
    let mut request = Request::of(&out.expect("written"));
    request.path = "/in/k0".into();
    let mut inbound = request.inbound();
    inbound.endpoint = Some(endpoint);
    assert!(verify_and_parse(&signed(), &inbound, now()).is_ok());
}

#[test]
fn missing_forged_or_repeated_signature_is_rejected() {
    let time = NOW.to_string();
    let plain = Request::get("type=complete&token=8v9iSKnj&code=0");
    let with = |t: &str, s: &str| plain.clone().header("X-PPJ-Timestamp", t).header("X-PPJ-Signature", s);
    let good =
        notify(Edition::B, &outgoing_event("8v9iSKnj", Status::Completed), ENDPOINT, Some(&Secret::new(SECRET)), now());
    let good = Request::of(&good.expect("written"));
    let signature = good.headers["x-ppj-signature"].to_str().expect("text").to_owned();
    let zeros = "0".repeat(64);
    let bad = [
        plain.clone(),
        with(&time, ""),
        with(&time, &zeros),
        with("", &zeros),
        with(&i64::MIN.to_string(), &zeros),
        with(&u64::MAX.to_string(), &zeros),
        with("inf", &zeros),
        with("-1", &zeros),
        good.clone().header("X-PPJ-Signature", &signature),
        good.clone().header("X-PPJ-Timestamp", &time),
        good.clone().without("X-PPJ-Signature"),
        good.without("X-PPJ-Timestamp"),
        Request::get("type=verify&nonce=abc"),
        Request::get(&format!("type=verify&timestamp={time}&nonce=abc&signature=")),
        Request::get(&format!("type=verify&timestamp={time}&nonce=abc&signature={zeros}&signature={zeros}")),
        Request::get(&format!("type=verify&timestamp=-9223372036854775808&nonce=abc&signature={zeros}")),
    ];
    for request in bad {
        assert!(request.is_unauthorized(&signed()), "{request:?}");
    }
}

#[test]
fn handshake_signature_does_not_verify_a_notification() {
    let out = handshake(Edition::A, ENDPOINT, "abc", Some(&Secret::new(SECRET)), now()).expect("written");
    let mut request = Request::of(&out);
    assert_eq!(nonce_of(&request, &signed()), r#"{"nonce":"abc"}"#);
    request.query = request.query.map(|q| q.replace("type=verify", "type=complete") + "&token=8v9iSKnj");
    assert!(request.is_unauthorized(&signed()));
}

#[test]
fn handshake_of_every_edition_returns_its_nonce() {
    for edition in Edition::ALL {
        let request = Request::of(&handshake(edition, ENDPOINT, "n&\"=", None, now()).expect("written"));
        assert_eq!(nonce_of(&request, &open(Vendor::Ppj)), r#"{"nonce":"n&\"="}"#, "{edition}");
        let out = handshake(edition, ENDPOINT, "abc", Some(&Secret::new(SECRET)), now());
        let verified = !Request::of(&out.expect("written")).is_unauthorized(&signed());
        assert_eq!(verified, matches!(edition, Edition::A | Edition::B), "{edition}");
    }
}

#[test]
fn notifications_of_every_edition_are_rendered_as_documented() {
    let secret = Secret::new(SECRET);
    let write = |edition, status| {
        notify(edition, &outgoing_event("8v9iSKnj", status), "http://h/notify?agent=1", Some(&secret), now())
    };
    for edition in [Edition::A, Edition::B] {
        let out = write(edition, Status::Completed).expect("written");
        assert_eq!(out.url, "http://h/notify?agent=1&type=complete&token=8v9iSKnj&code=0");
        assert_eq!(out.headers.len(), if edition == Edition::B { 2 } else { 0 });
    }
    let out = write(Edition::C, Status::Error).expect("written");
    assert_eq!((out.method.as_str(), out.url.as_str()), ("POST", "http://h/notify?agent=1"));
    assert_eq!(out.body, "type=error&token=8v9iSKnj&code=1");
    assert_eq!(out.headers, [("content-type".into(), "application/x-www-form-urlencoded".into())]);
    let out = write(Edition::D, Status::Completed).expect("written");
    assert_eq!(out.url, "http://h/notify?agent=1&type=complete&token=8v9iSKnj");
    let pending = write(Edition::A, Status::Pending).map(|o| o.url);
    assert_eq!(pending, Err(RenderError::UnsupportedStatus { vendor: Vendor::Ppj, status: Status::Pending }));
    assert_eq!(
        write(Edition::Zero, Status::Completed).map(|o| o.url),
        Err(RenderError::UnsupportedEdition(Edition::Zero))
    );
}

#[test]
fn ambiguous_or_incomplete_request_is_malformed() {
    let long = format!("type=complete&token={}", "x".repeat(257));
    for query in [
        "",
        "type=complete",
        "token=a",
        "type=complete&token=",
        "type=complete&token=a&token=b",
        "type=complete&token=a&token=a",
        "type=complete&type=error&token=a",
        "type=started&token=a",
        "type=complete&token=a%0Ab",
        "type=complete&token=%FF",
        "type=complete&token=a%00",
        "type=error&token=a&code=x",
        "type=error&token=a&code=99999999999999999999",
        "type=error&token=a&code=1&code=2",
        "type=verify",
        "type=verify&nonce=",
        "type=verify&nonce=a%0D%0Ab",
        &long,
    ] {
        assert!(Request::get(query).is_malformed(&open(Vendor::Ppj)), "{query}");
    }
    let mut mixed = Request::post("type=complete&token=a");
    mixed.query = Some("token=b".into());
    assert!(mixed.is_malformed(&open(Vendor::Ppj)));
}

#[test]
fn unsupported_method_gets_allowed_methods() {
    let mut request = Request::get("type=complete&token=a");
    for method in ["PUT", "OPTIONS", "HEAD", "DELETE", "GE"] {
        request.method = method.parse().expect("a method");
        assert!(matches!(request.parse(&signed()), Err(WebhookError::MethodNotAllowed("GET, POST"))), "{method}");
    }
}
