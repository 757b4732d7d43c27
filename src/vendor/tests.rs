//! Tests of all dialects.

mod property;
mod unknown_signatures;

use http::HeaderMap;
use serde_json::json;

use super::fixture::{ENDPOINT, Request, every_hook, hook, mapping, now, open, outgoing_event, verify_variants};
use super::{Mode, ParsedMessage, RenderError, WebhookError, parse_verified, render, render_standard};
use crate::domain::{Hook, Status, Vendor, VendorError, Verify};

#[test]
fn rendered_events_parse_back_for_every_vendor_and_status() {
    for hook in every_hook() {
        for status in Status::ALL {
            let mut event = outgoing_event("8v9iSKnj", status);
            event.update.title = Some("Ünïcode \"title\"".into());
            // Formats with documented keys carry no others.
            let (key, value) = match hook.vendor {
                Vendor::Baidu => ("pageCount", json!(3)),
                Vendor::Zoffice => ("contentId", json!("640eeac02a9baf5dbc69d426")),
                _ => ("pages", json!(3)),
            };
            event.update.result = Some(serde_json::Map::from_iter([(key.to_owned(), value.clone())]));
            event.update.error = (status == Status::Error)
                .then(|| VendorError { code: "2".into(), message: "source file error".into() });
            let out = match render(hook.vendor, &event, ENDPOINT, &hook.verify, now()) {
                Ok(out) => out,
                Err(RenderError::UnsupportedStatus { .. }) if status == Status::Pending => continue,
                Err(e) => panic!("{}: {e}", hook.vendor),
            };
            let read = Request::of(&out).update(&hook);
            assert_eq!((&read.vendor_id, read.status), (&event.update.vendor_id, status), "{}", hook.vendor);
            let silent = hook.vendor == Vendor::Ppj || (hook.vendor, status) == (Vendor::Zoffice, Status::Pending);
            assert_eq!(read.title, event.update.title.filter(|_| !silent), "{} {status}", hook.vendor);
            let message = read.error.map(|e| e.message);
            assert_eq!(message, event.update.error.map(|e| e.message), "{} {status}", hook.vendor);
            if status == Status::Completed && !silent {
                let sent = read.result.and_then(|r| r.get(key).cloned());
                assert_eq!(sent, Some(value), "{}", hook.vendor);
            }
        }
    }
}

#[test]
fn each_standard_mode_parses_back() {
    for mode in [Mode::Webhook, Mode::Structured, Mode::Binary] {
        for status in Status::ALL {
            let mut event = outgoing_event("Ünïcode id", status);
            event.update.title = Some("t".into());
            let out = render_standard(mode, &event, ENDPOINT, &Verify::None {}, now()).expect("written");
            let read = Request::of(&out).update(&open(Vendor::Standard));
            assert_eq!((read.vendor_id, read.status), (event.update.vendor_id, status), "{mode:?}");
            assert_eq!((read.title.as_deref(), read.vendor_time), (Some("t"), Some(now())), "{mode:?}");
        }
    }
}

#[test]
fn reject_is_parsed_without_its_credentials() {
    for hook in every_hook() {
        let out = render(hook.vendor, &outgoing_event("a", Status::Completed), ENDPOINT, &hook.verify, now())
            .expect("written");
        let bare = Request { headers: HeaderMap::new(), ..Request::of(&out) };
        assert!(matches!(parse_verified(&hook, &bare.inbound()), Ok(ParsedMessage::Update(_))), "{}", hook.vendor);
    }
}

// Rule 16: nothing verifies by being empty, unknown or repeated.
#[test]
fn verify_type_of_another_vendor_verifies_nothing() {
    for vendor in Vendor::ALL {
        let other = if vendor == Vendor::Ppj { Vendor::Baidu } else { Vendor::Ppj };
        let verify = verify_variants(other).remove(1);
        let out = render(vendor, &outgoing_event("a", Status::Completed), ENDPOINT, &Verify::None {}, now())
            .expect("written");
        assert!(Request::of(&out).is_unauthorized(&hook(vendor, verify.clone())), "{vendor}");
        let answer = render(vendor, &outgoing_event("a", Status::Completed), ENDPOINT, &verify, now());
        assert!(matches!(answer, Err(RenderError::UnsupportedVerify { .. })), "{vendor}");
    }
}

#[test]
fn unsupported_methods_are_rejected_first() {
    for hook in every_hook().iter().filter(|h| h.vendor != Vendor::Ppj) {
        let allowed = if hook.vendor == Vendor::Standard { "POST, OPTIONS" } else { "POST" };
        assert!(
            matches!(Request::get("").parse(hook), Err(WebhookError::MethodNotAllowed(m)) if m == allowed),
            "{}",
            hook.vendor
        );
    }
}

#[test]
fn hostile_bodies_are_malformed_for_every_vendor() {
    let deep = "[".repeat(100_000);
    let inside = json!({ "messageBody": deep }).to_string();
    let bodies: [&[u8]; 10] = [
        b"",
        b"\0",
        b"null",
        b"[]",
        b"\xFF\xFE\xFD",
        br#"{"documentId":"\ud800","status":"COMPLETED"}"#,
        b"{\"a\":1e999}",
        b"{\"a\":1}{",
        deep.as_bytes(),
        inside.as_bytes(),
    ];
    for vendor in Vendor::ALL {
        let hook = Hook { mapping: Some(mapping()), ..open(vendor) };
        for body in bodies {
            assert!(Request::post(body).is_malformed(&hook), "{vendor} {:?}", &body[..body.len().min(20)]);
        }
    }
}
