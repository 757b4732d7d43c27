//! Requests whose signature has a form that the hook does not know: refused, kept as unverified rejects, and replayed
//! after the hook was corrected.

use serde_json::json;

use crate::harness::TestRelay;
use crate::harness::client::{Hook, TestClient};
use crate::harness::request::Request;
use crate::harness::response::{Response, assert_problem, string_at};
use crate::harness::signature::{base64_hmac, hex_hmac, now, webhook_signature};

const BODY: &str = r#"{"id":"job-1","state":"done"}"#;
const STANDARD_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A hook that expects a hexadecimal signature in `x-signature`.
fn add_hmac_hook(client: &TestClient<'_>) -> Hook {
    client.add_hook(
        r#"{"vendor":"generic","verify":{"type":"hmac-sha256","secret":"k","header":"x-signature","prefix":"sha256="},
            "mapping":{"vendorId":"/id","status":"/state","statuses":{"done":"COMPLETED"}}}"#,
    )
}

fn patch(client: &TestClient<'_>, hook: &Hook, body: &serde_json::Value) {
    let changed = client.send(Request::new("PATCH", &format!("/hooks/{}", hook.id)).json(&body.to_string()));
    assert_eq!(changed.status, 200, "{changed:?}");
}

fn replay(client: &TestClient<'_>, id: &str) -> Response {
    client.post(&format!("/rejects/{id}/replay"), "")
}

#[test]
fn request_with_unknown_signature_form_is_kept_and_replayed_after_fix() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = add_hmac_hook(&acme);
    let mut stream = relay.follow(&acme.token);
    let sent = format!("sha256={}", hex_hmac("k", BODY));
    let request = Request::post(&hook.path).header("X-Hub-Signature-256", &sent).json(BODY);
    let detail = assert_problem(&relay.send(&request), 401);
    let reject = acme.rejects().remove(0);
    let id = string_at(&reject, "id");
    assert!(detail.contains(&format!("unverified reject {id}")), "{detail}");
    assert_eq!([&reject["verified"], &reject["hook"]], [&json!(false), &json!(hook.id)], "{reject}");
    assert!(acme.documents().is_empty());

    // The replay verifies: first with the old settings, then with a wrong secret.
    assert_problem(&replay(&acme, &id), 422);
    let verify = |secret: &str| json!({ "verify": { "type": "hmac-sha256", "secret": secret, "header": "x-hub-signature-256", "prefix": "sha256=" } });
    patch(&acme, &hook, &verify("wrong"));
    assert_problem(&replay(&acme, &id), 422);
    assert_eq!(acme.rejects().len(), 1);
    assert!(acme.documents().is_empty());

    patch(&acme, &hook, &verify("k"));
    let replayed = replay(&acme, &id);
    assert_eq!(replayed.status, 200, "{replayed:?}");
    // The first event of the stream is the replayed one: nothing was streamed before.
    assert_eq!(stream.events(1)[0].id, string_at(&replayed.json(), "eventId"));
    assert!(acme.rejects().is_empty());
}

#[test]
fn wrong_missing_and_repeated_signatures_are_not_kept() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = add_hmac_hook(&acme);
    let request = || Request::post(&hook.path).json(BODY);
    let (wrong, right) = (format!("sha256={}", hex_hmac("wrong", BODY)), format!("sha256={}", hex_hmac("k", BODY)));
    for refused in [
        request(),
        request().header("x-signature", &wrong),
        request().header("x-signature", ""),
        request().header("x-signature", &wrong).header("x-hub-signature-256", &right),
        request().header("x-signature", &right).header("x-signature", &right),
        request().header("Authorization", "Bearer x"),
    ] {
        assert_problem(&relay.send(&refused), 401);
    }
    assert!(acme.rejects().is_empty());
    // Another prefix or encoding is another form.
    for other in [format!("sha1={}", hex_hmac("k", BODY)), format!("sha256={}", base64_hmac("k", BODY))] {
        assert_problem(&relay.send(&request().header("x-signature", &other)), 401);
    }
    assert_eq!(acme.rejects().len(), 2);
    assert!(acme.documents().is_empty());
}

#[test]
fn unknown_signature_version_is_kept_and_replayed_with_other_hook() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let verify = format!(r#"{{"type":"standard","secret":"{STANDARD_SECRET}"}}"#);
    let hook = acme.add_hook(&format!(r#"{{"vendor":"standard","verify":{verify}}}"#));
    let body = r#"{"type":"document.completed","data":{"vendorId":"job-1"}}"#;
    let time = now().to_string();
    let send = |signature: &str| {
        let request = Request::post(&hook.path).header("webhook-id", "m").header("webhook-timestamp", &time);
        relay.send(&request.header("webhook-signature", signature).json(body))
    };
    assert_problem(&send(&format!("v1,{}", webhook_signature(STANDARD_SECRET, "n", &time, body))), 401);
    assert!(acme.rejects().is_empty(), "a wrong signature is not of an unknown form");
    assert_problem(&send("v2,AAAA"), 401);
    let id = string_at(&acme.rejects()[0], "id");
    assert_problem(&replay(&acme, &id), 422);
    let open = acme.add_unverified_hook("standard");
    assert_eq!(acme.post(&format!("/rejects/{id}/replay?hook={}", open.id), "").status, 200);
}

#[test]
fn flood_of_unverified_requests_is_kept_in_part_only() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = add_hmac_hook(&acme);
    let request = Request::post(&hook.path).header("x-other-signature", "00").json("{}");
    let kept = (0..130).filter(|_| assert_problem(&relay.send(&request), 401).contains("reject")).count();
    assert!((100..130).contains(&kept), "{kept}");
    let counted = |name: &str| usize::try_from(relay.metric(name)).expect("a count");
    let refused = counted("docrelay_rejects_refused_total");
    assert_eq!((counted("docrelay_rejects_total"), refused), (kept, 130 - kept));
    // Other requests to the hook are not concerned.
    let good = format!("sha256={}", hex_hmac("k", BODY));
    assert_eq!(relay.send(&Request::post(&hook.path).header("x-signature", &good).json(BODY)).status, 200);
}

#[test]
fn unverified_rejects_are_bounded_and_displace_no_verified_reject() {
    let relay = TestRelay::with_config(&[("rejects_per_client", "10")]);
    let acme = TestClient::new(&relay, "acme");
    let (hook, open) = (add_hmac_hook(&acme), acme.add_unverified_hook("gini"));
    let unverified = |n: usize| {
        let request = Request::post(&hook.path).header("x-other-signature", "00");
        assert_problem(&relay.send(&request.json(&n.to_string())), 401)
    };
    let verified = |n: usize| assert_problem(&relay.send(&Request::post(&open.path).json(&format!("{{{n}"))), 422);
    // Bodies, oldest first; those of verified rejects begin with a brace.
    let kept = || -> Vec<String> { acme.rejects().iter().rev().map(|r| string_at(r, "body")).collect() };
    (0..5).for_each(|n| assert!(unverified(n).contains("unverified reject")));
    assert_eq!(kept(), ["3", "4"], "a fifth of the rejects");
    (0..9).for_each(|n| drop(verified(n)));
    assert_eq!((kept().len(), kept()[0].as_str()), (10, "4"));
    unverified(5);
    assert_eq!((kept()[0].as_str(), kept()[9].as_str()), ("{0", "5"));
    verified(9);
    let full: Vec<_> = (0..10).map(|n| format!("{{{n}")).collect();
    assert_eq!(kept(), full, "the unverified one makes room");
    assert!(!unverified(6).contains("reject"));
    assert_eq!((kept(), relay.metric("docrelay_rejects_refused_total")), (full, 1));
}
