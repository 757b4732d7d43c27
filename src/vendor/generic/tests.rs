//! Parsing, verifying and rendering of generic hooks.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::domain::{Encoding, Hook, Mapping, Secret, Status, Vendor, VendorError, Verify};
use crate::vendor::fixture::{ENDPOINT, Request, hook, now, open, outgoing_event};
use crate::vendor::render;

fn mapping() -> Mapping {
    let statuses = [("done", Status::Completed), ("3", Status::Error), ("true", Status::Pending)];
    Mapping {
        vendor_id: "/job/id".into(),
        status: "/state".into(),
        statuses: BTreeMap::from(statuses.map(|(word, status)| (word.to_owned(), status))),
        title: Some("/job/names/0".into()),
        result: None,
        error_code: Some("/why/code".into()),
        error_message: Some("/why/text".into()),
        time: Some("/at".into()),
        message_id: Some("/n~1o".into()),
    }
}

fn mapped(mapping: Mapping) -> Hook {
    Hook { mapping: Some(mapping), ..open(Vendor::Generic) }
}

#[test]
fn mapping_pointers_select_every_field() {
    let body = json!({
        "job": { "id": 17, "names": ["a title"] }, "state": 3, "at": 1_481_186_737_000_i64,
        "why": { "code": 5, "text": "broken" }, "n/o": "m-1",
    });
    let update = Request::post(body.to_string()).update(&mapped(mapping()));
    assert_eq!((update.vendor_id.as_str(), update.status), ("17", Status::Error));
    assert_eq!(update.title.as_deref(), Some("a title"));
    assert_eq!(update.error, Some(VendorError { code: "5".into(), message: "broken".into() }));
    assert_eq!(update.vendor_time.map(|t| t.seconds()), Some(1_481_186_737));
    assert_eq!(update.dedup_key.as_deref(), Some("message:m-1"));
    assert_eq!(update.result.map(Value::Object), Some(body));
}

#[test]
fn statuses_may_be_strings_numbers_and_booleans() {
    for (state, status) in
        [(json!("done"), Status::Completed), (json!(3), Status::Error), (json!(true), Status::Pending)]
    {
        let body = json!({ "job": { "id": "a" }, "state": state }).to_string();
        let update = Request::post(body).update(&mapped(mapping()));
        assert_eq!((update.status, update.dedup_key, update.title), (status, None, None));
    }
}

#[test]
fn blank_message_id_is_no_deduplication_key() {
    for id in [json!(""), json!(" "), json!({}), json!([]), json!(false), json!(true), json!(null), json!(1.5)] {
        let body = json!({ "job": { "id": "a" }, "state": "done", "n/o": id }).to_string();
        assert_eq!(Request::post(body).update(&mapped(mapping())).dedup_key, None, "{id}");
    }
    let body = json!({ "job": { "id": "a" }, "state": "done", "n/o": 7 }).to_string();
    assert_eq!(Request::post(body).update(&mapped(mapping())).dedup_key.as_deref(), Some("message:7"));
}

#[test]
fn result_pointer_selects_an_object() {
    let hook = mapped(Mapping { result: Some("/out".into()), ..mapping() });
    let post = |out: Value| {
        Request::post(json!({ "job": { "id": "a" }, "state": "done", "out": out }).to_string()).update(&hook).result
    };
    assert_eq!(post(json!({ "pages": 3 })).map(Value::Object), Some(json!({ "pages": 3 })));
    assert_eq!(post(json!([1])), None);
}

#[test]
fn missing_mapped_field_is_malformed() {
    let bodies = [
        json!({}),
        json!([]),
        json!(5),
        json!({ "job": { "id": "a" }, "state": "other" }),
        json!({ "job": { "id": "a" } }),
        json!({ "job": { "id": {} }, "state": "done" }),
        json!({ "job": { "id": "" }, "state": "done" }),
        json!({ "job": { "id": "a\u{7}" }, "state": "done" }),
        json!({ "job": { "id": null }, "state": "done" }),
        json!({ "job": { "id": "a" }, "state": ["done"] }),
    ];
    for body in bodies {
        assert!(Request::post(body.to_string()).is_malformed(&mapped(mapping())), "{body}");
    }
    assert!(Request::post("{}").is_malformed(&open(Vendor::Generic)));
}

#[test]
fn hex_and_base64_signatures_require_their_prefix() {
    for (encoding, prefix) in [(Encoding::Hex, "sha256="), (Encoding::Base64, "")] {
        let verify = Verify::HmacSha256 {
            secret: Secret::new("It's a Secret to Everybody"),
            header: "X-Signature".into(),
            prefix: prefix.into(),
            encoding,
        };
        let out = render(Vendor::Generic, &outgoing_event("a", Status::Completed), ENDPOINT, &verify, now())
            .expect("written");
        let request = Request::of(&out);
        let mut hook = hook(Vendor::Generic, verify);
        hook.mapping = Some(Mapping { vendor_id: "/vendorId".into(), status: "/status".into(), ..mapping() });
        hook.mapping.as_mut().expect("set").statuses = BTreeMap::from([("COMPLETED".into(), Status::Completed)]);
        request.update(&hook);
        let sent = request.headers["x-signature"].to_str().expect("text").to_owned();
        for bad in ["", prefix, "sha256=00", &sent[1..], &sent[..sent.len() - 1], &format!("sha1={sent}")] {
            let request = request.clone().without("x-signature").header("x-signature", bad);
            assert!(request.is_unauthorized(&hook), "{bad}");
        }
        assert!(request.clone().header("x-signature", &sent).is_unauthorized(&hook));
        assert!(request.clone().without("x-signature").is_unauthorized(&hook));
        let mut changed = request;
        changed.body.push(b'\n');
        assert!(changed.is_unauthorized(&hook));
    }
}

#[test]
fn published_github_signature_is_accepted() {
    let verify = Verify::HmacSha256 {
        secret: Secret::new("It's a Secret to Everybody"),
        header: "X-Hub-Signature-256".into(),
        prefix: "sha256=".into(),
        encoding: Encoding::Hex,
    };
    let request = Request::post("Hello, World!")
        .header("X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
    // Verification succeeds; parsing then fails because the body is not JSON.
    assert!(request.is_malformed(&Hook { verify, ..mapped(mapping()) }));
}
