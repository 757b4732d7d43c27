//! Which failures of the verification are signatures of an unknown form, in every type of verification.

use crate::domain::{Status, Vendor, Verify};
use crate::vendor::fixture::{ENDPOINT, Request, every_hook, now, outgoing_event};
use crate::vendor::render;

/// The header of each type that holds signature or credentials.
fn own_header(verify: &Verify) -> &str {
    match verify {
        Verify::None {} => "",
        Verify::Ppj { .. } => "x-ppj-signature",
        Verify::Baidu { .. } => "notification-auth-token",
        Verify::Cookie { .. } => "cookie",
        Verify::Authorization { .. } => "authorization",
        Verify::Standard { .. } => "webhook-signature",
        Verify::HmacSha256 { header, .. } => header,
    }
}

#[test]
fn signature_in_another_header_is_of_unknown_form() {
    for hook in every_hook().into_iter().filter(|hook| !matches!(hook.verify, Verify::None {})) {
        let event = outgoing_event("8v9iSKnj", Status::Completed);
        let good = Request::of(&render(hook.vendor, &event, ENDPOINT, &hook.verify, now()).expect("rendered"));
        let kind = hook.verify.kind();
        good.update(&hook);
        let bare = good.clone().without(own_header(&hook.verify));
        assert!(bare.is_unauthorized(&hook) && !bare.has_unknown_signature(&hook), "{kind}: no signature at all");
        for other in ["x-acme-signature", "signature-input", "x-shop-hmac-sha256", "X-Hub-Signature-256"] {
            assert!(bare.clone().header(other, "00").has_unknown_signature(&hook), "{kind}: {other}");
            let wrong = Request { body: b"{}".to_vec(), query: None, ..good.clone() }.header(other, "00");
            let is_credential = matches!(hook.verify, Verify::Cookie { .. } | Verify::Authorization { .. });
            assert!(is_credential || wrong.is_unauthorized(&hook), "{kind}: wrong");
            assert!(!wrong.has_unknown_signature(&hook), "{kind}: a wrong signature is not of unknown form");
        }
        for other in ["x-request-id", "authorization-info", "x-api-key"] {
            assert!(!bare.clone().header(other, "00").has_unknown_signature(&hook), "{kind}: {other}");
        }
    }
}

#[test]
fn value_of_another_version_prefix_or_encoding_is_of_unknown_form() {
    let base64 = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=";
    for hook in every_hook() {
        let (unknown, known): (&[&str], &[&str]) = match &hook.verify {
            Verify::Ppj { .. } | Verify::Baidu { .. } => (&[base64, "sha256=00", "00"], &["", " "]),
            Verify::Standard { .. } => {
                (&["v2,AAAA", "v1a,AAAA", "V1,AAAA", base64, "v1"], &["", " ", "v1,", "v2,A v1,A"])
            }
            Verify::HmacSha256 { .. } => (&["sha1=00", base64, "sha256="], &[""]),
            Verify::None {} | Verify::Cookie { .. } | Verify::Authorization { .. } => continue,
        };
        let event = outgoing_event("8v9iSKnj", Status::Completed);
        let good = Request::of(&render(hook.vendor, &event, ENDPOINT, &hook.verify, now()).expect("rendered"));
        let name = own_header(&hook.verify);
        let with = |value: &str| good.clone().without(name).header(name, value);
        for value in unknown {
            assert!(with(value).has_unknown_signature(&hook), "{name}: {value}");
            let twice = with(value).header(name, value);
            assert!(twice.is_unauthorized(&hook) && !twice.has_unknown_signature(&hook), "{name} twice: {value}");
        }
        for value in known {
            assert!(with(value).is_unauthorized(&hook) && !with(value).has_unknown_signature(&hook), "{name}: {value}");
        }
    }
}

#[test]
fn handshake_is_never_of_unknown_form() {
    let ppj = every_hook().into_iter().find(|h| h.vendor == Vendor::Ppj && h.verify.kind() == "ppj").expect("a hook");
    let handshake = Request::get("type=verify&nonce=a").header("x-ppj-signature", "v2,00");
    assert!(handshake.is_unauthorized(&ppj) && !handshake.has_unknown_signature(&ppj));
    let unsigned = Request::get("type=verify&nonce=a").header("x-other-signature", "00");
    assert!(unsigned.is_unauthorized(&ppj) && !unsigned.has_unknown_signature(&ppj));
}
