//! Bounds of the texts in an event: descriptive texts are cut and marked, identifiers are refused.

use serde_json::json;

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::request::Request;
use crate::harness::response::{assert_problem, stored_event_id};

/// Text of two bytes per character, longer than every bound.
fn long_text() -> String {
    "\u{e9}".repeat(5_000)
}

#[test]
fn title_of_200_kilobytes_is_cut_and_marked() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("gini").path;
    let title = "t".repeat(200_000);
    let body = json!({ "documentId": "a", "status": "COMPLETED", "title": title }).to_string();
    stored_event_id(&relay.send(&Request::post(&hook).json(&body)));
    let registered = json!({ "vendor": "gini", "vendorId": "b", "title": title }).to_string();
    assert_eq!(acme.post("/documents", &registered).status, 201);
    for event in acme.events(2) {
        let title = event.json()["title"].as_str().expect("a title").to_owned();
        assert!(title.len() <= 1024 && title.starts_with("ttt") && title.ends_with('\u{2026}'), "{}", title.len());
    }
    assert_eq!(relay.metric("docrelay_texts_truncated_total"), 2);
    let exact = json!({ "documentId": "c", "status": "COMPLETED", "title": "x".repeat(1024) }).to_string();
    stored_event_id(&relay.send(&Request::post(&hook).json(&exact)));
    assert_eq!(acme.events(3)[2].json()["title"], "x".repeat(1024));
}

#[test]
fn error_texts_and_cookie_labels_are_cut_at_character_boundaries() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_hook(r#"{"vendor":"zoffice","labelCookies":["row"]}"#).path;
    let body = json!({ "taskId": "a", "code": "TaskFailNotify", "detail": { "msg": long_text() } }).to_string();
    let request = Request::post(&hook).header("Cookie", &format!("row={}", "7".repeat(5_000)));
    stored_event_id(&relay.send(&request.json(&body)));
    let gini = acme.add_unverified_hook("gini").path;
    let error = json!({ "code": long_text(), "message": long_text() });
    let body = json!({ "documentId": "b", "status": "ERROR", "error": error }).to_string();
    stored_event_id(&relay.send(&Request::post(&gini).json(&body)));
    let events = acme.events(2);
    let (office, gini) = (events[0].json(), events[1].json());
    for (text, bytes) in [
        (&office["error"]["message"], 1024),
        (&office["labels"]["row"], 256),
        (&gini["error"]["code"], 256),
        (&gini["error"]["message"], 1024),
    ] {
        let text = text.as_str().expect("a text");
        assert!(text.len() <= bytes && text.len() > bytes - 4 && text.ends_with('\u{2026}'), "{} {text}", text.len());
    }
}

#[test]
fn identifiers_and_settings_beyond_their_bounds_are_refused() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("gini").path;
    let body = json!({ "documentId": "x".repeat(257), "status": "COMPLETED" }).to_string();
    assert_problem(&relay.send(&Request::post(&hook).json(&body)), 422);
    assert_eq!(acme.rejects().len(), 1, "kept as a reject, not cut");
    assert_problem(
        &acme.post("/documents", &json!({ "vendor": "gini", "vendorId": "x".repeat(257) }).to_string()),
        400,
    );

    let cookies: Vec<_> = (0..33).map(|n| format!("c{n}")).collect();
    let statuses: serde_json::Map<_, _> = (0..257).map(|n| (n.to_string(), json!("PENDING"))).collect();
    let hmac = |key: &str, value: &str| {
        let mut verify = json!({ "type": "hmac-sha256", "secret": "k", "header": "x" });
        verify[key] = json!(value);
        json!({ "vendor": "generic", "verify": verify, "mapping": { "vendorId": "/a", "status": "/b", "statuses": { "x": "ERROR" } } })
    };
    for refused in [
        json!({ "vendor": "zoffice", "labelCookies": cookies }),
        json!({ "vendor": "zoffice", "labelCookies": ["c".repeat(65)] }),
        json!({ "vendor": "generic", "mapping": { "vendorId": "/a", "status": "/b", "statuses": statuses } }),
        json!({ "vendor": "generic", "mapping": { "vendorId": "/a", "status": "/b", "statuses": { "x".repeat(257): "ERROR" } } }),
        json!({ "vendor": "generic", "mapping": { "vendorId": format!("/{}", "a".repeat(1024)), "status": "/b", "statuses": { "x": "ERROR" } } }),
        json!({ "vendor": "ppj", "verify": { "type": "ppj", "secret": "s".repeat(4097) } }),
        hmac("header", &"h".repeat(257)),
        hmac("prefix", &"p".repeat(257)),
    ] {
        assert_problem(&acme.post("/hooks", &refused.to_string()), 400);
    }
}

/// A hook whose definition has about this many bytes.
fn hook_of(bytes: usize) -> String {
    let entries = bytes / 250;
    let statuses: serde_json::Map<_, _> =
        (0..entries).map(|n| (format!("{n:03}{}", "s".repeat(230)), json!("PENDING"))).collect();
    json!({ "vendor": "generic", "mapping": { "vendorId": "/a", "status": "/b", "statuses": statuses } }).to_string()
}

#[test]
fn hook_definition_beyond_16_kib_is_refused() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_hook(&hook_of(15_000));
    for response in [
        acme.post("/hooks", &hook_of(17_000)),
        acme.send(Request::new("PATCH", &format!("/hooks/{}", hook.id)).json(&hook_of(17_000).replacen(
            r#""vendor":"generic""#,
            r#""name":"x""#,
            1,
        ))),
    ] {
        let detail = assert_problem(&response, 400);
        assert!(detail.starts_with("a hook has at most 16384 bytes"), "{detail}");
    }
}

#[test]
fn hook_list_is_cut_by_limit_and_bytes() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let ids: Vec<String> = (0..80).map(|_| acme.add_hook(&hook_of(15_000)).id).collect();
    for (limit, sizes) in [("", [70, 10].as_slice()), ("limit=30&", &[30, 30, 20])] {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        for (number, size) in sizes.iter().enumerate() {
            let page = acme.get(&format!("/hooks?{limit}{cursor}"));
            assert!(page.text().len() < (1 << 20) + (1 << 16), "{}", page.text().len());
            let page = page.json();
            let hooks = page["hooks"].as_array().expect("a list");
            assert!(hooks.len().abs_diff(*size) <= if limit.is_empty() { 5 } else { 0 }, "{} of {size}", hooks.len());
            found.extend(hooks.iter().map(|hook| hook["id"].as_str().expect("an id").to_owned()));
            assert_eq!(page.as_object().expect("an object").contains_key("next"), number + 1 < sizes.len());
            cursor = format!("cursor={}", page["next"].as_str().unwrap_or_default());
        }
        assert_eq!(found, ids, "{limit}");
    }
    assert_problem(&acme.get("/hooks?cursor=unknown"), 400);
    let other = TestClient::new(&relay, "other");
    assert_eq!(other.get("/hooks").text(), r#"{"hooks":[]}"#);
}
