//! What a vendor says only once and nobody understands: kept, listed, bounded, and an event after a fix.

use crate::support::TestRelay;
use crate::support::tenant::{Tenant, problem, stored, text};
use crate::support::wire::Request;

const JOB: &str = r#"{"id":"job-1","state":"finished"}"#;

fn send(tenant: &Tenant<'_>, path: &str, body: &str) -> String {
    problem(&tenant.relay.ask(&Request::post(path).header("X-Trace", "t-1").json(body)), 422)
}

#[test]
fn a_reject_is_listed_with_its_request_and_replayed_when_the_mapping_is_right() {
    let relay = TestRelay::start();
    let acme = Tenant::new(&relay, "acme");
    let hook = acme.open_hook("generic");
    let why = send(&acme, &hook.path, JOB);
    let reject = acme.rejects().remove(0);
    let replay = format!("/rejects/{}/replay", text(&reject, "id"));
    assert!(why.starts_with(&text(&reject, "reason")), "{why} {reject}");
    assert_eq!([&reject["hook"], &reject["method"], &reject["body"]], [&hook.id, "POST", JOB]);
    assert_eq!([&reject["headers"]["x-trace"], &reject["query"]], [&"t-1".into(), &serde_json::Value::Null]);

    // Nothing has changed: it is still not understood, and still there.
    problem(&acme.post(&replay, ""), 422);
    assert_eq!(acme.rejects().len(), 1);

    let mapping = r#"{"mapping":{"vendorId":"/id","status":"/state","statuses":{"finished":"COMPLETED"}}}"#;
    let changed = acme.ask(Request::new("PATCH", &format!("/hooks/{}", hook.id)).json(mapping));
    assert_eq!((changed.status, &text(&changed.json(), "url")), (200, &hook.url), "the vendor keeps its address");
    let replayed = acme.post(&replay, "");
    assert_eq!((replayed.status, &replayed.json()["repeat"]), (200, &false.into()), "{replayed:?}");
    let event = acme.events(1).remove(0);
    assert_eq!(
        [&replayed.json()["eventId"], &replayed.json()["documentId"]],
        [&event.id, &text(&event.json(), "documentId")]
    );
    assert_eq!(acme.get(&format!("/events/{}/raw", event.id)).json()["body"], JOB);
    assert!(acme.rejects().is_empty());
    problem(&acme.post(&replay, ""), 404);
    // The address takes the new words at once.
    assert_eq!(stored(&relay.ask(&Request::post(&hook.path).json(JOB))), event.id);
}

#[test]
fn a_reject_outlives_its_hook_and_is_replayed_at_another() {
    let relay = TestRelay::start();
    let (acme, other) = (Tenant::new(&relay, "acme"), Tenant::new(&relay, "other"));
    let hook = acme.open_hook("generic");
    send(&acme, &hook.path, JOB);
    assert_eq!(acme.ask(Request::new("DELETE", &format!("/hooks/{}", hook.id))).status, 204);
    problem(&relay.ask(&Request::post(&hook.path).json(JOB)), 404);
    let replay = format!("/rejects/{}/replay", text(&acme.rejects()[0], "id"));
    problem(&acme.post(&replay, ""), 404);
    let mapping = r#"{"vendorId":"/id","status":"/state","statuses":{"finished":"ERROR"}}"#;
    let body = format!(r#"{{"vendor":"generic","mapping":{mapping},"labels":{{"from":"reject"}}}}"#);
    let (mine, theirs) = (acme.hook(&body), other.hook(&body));
    problem(&acme.post(&format!("{replay}?hook={}", theirs.id), ""), 404);
    problem(&other.post(&format!("{replay}?hook={}", theirs.id), ""), 404);
    assert_eq!(acme.post(&format!("{replay}?hook={}", mine.id), "").status, 200);
    let json = acme.events(1)[0].json();
    assert_eq!([&json["status"], &json["labels"]["from"]], ["ERROR", "reject"]);
    assert!(other.documents().is_empty());
}

#[test]
fn a_replayed_call_of_zoffice_has_its_label_cookies_and_needs_no_stale_proof() {
    let relay = TestRelay::start();
    let acme = Tenant::new(&relay, "acme");
    let hook = acme.hook(
        r#"{"vendor":"zoffice","verify":{"type":"cookie","secret":"fileZTaskId=row-7;sid=s3cr3t-cookie"},
            "labelCookies":["fileZTaskId"]}"#,
    );
    let body = r#"{"taskId":"","code":"TaskSuccessNotify"}"#;
    let call = Request::post(&hook.path).header("Cookie", "fileZTaskId=row-7;sid=s3cr3t-cookie").json(body);
    problem(&relay.ask(&call), 422);
    let reject = acme.rejects().remove(0);
    assert_eq!(reject["headers"]["cookie"], "fileZTaskId=row-7");
    assert!(!reject.to_string().contains("s3cr3t"), "{reject}");
    // The same bytes as another vendor's, so that this test needs no fix of the relay itself.
    let mapping = r#"{"vendorId":"/code","status":"/code","statuses":{"TaskSuccessNotify":"COMPLETED"}}"#;
    let generic = acme.hook(&format!(r#"{{"vendor":"generic","mapping":{mapping}}}"#));
    let replayed = acme.post(&format!("/rejects/{}/replay?hook={}", text(&reject, "id"), generic.id), "");
    assert_eq!(replayed.status, 200, "{replayed:?}");
    let raw = acme.get(&format!("/events/{}/raw", text(&replayed.json(), "eventId")));
    assert_eq!(raw.json()["headers"]["cookie"], "fileZTaskId=row-7");
}

#[test]
fn a_cookie_with_a_space_behind_its_name_is_the_same_label_now_and_in_a_replay() {
    let relay = TestRelay::start();
    let acme = Tenant::new(&relay, "acme");
    let hook = acme.hook(r#"{"vendor":"zoffice","labelCookies":["row"]}"#);
    let send = |code: &str| {
        let body = format!(r#"{{"taskId":"t1","code":"{code}"}}"#);
        relay.ask(&Request::post(&hook.path).header("Cookie", "a=b; row =7; row=8").json(&body))
    };
    stored(&send("TaskSuccessNotify"));
    assert_eq!(acme.events(1)[0].json()["labels"]["row"], "7");
    problem(&send("TaskPausedNotify"), 422);
    assert_eq!(acme.rejects()[0]["headers"]["cookie"], "row =7; row=8");
}

#[test]
fn rejects_are_bounded_and_the_oldest_go_first() {
    let relay = TestRelay::with(&[("rejects_per_client", "60")]);
    let (acme, other) = (Tenant::new(&relay, "acme"), Tenant::new(&relay, "other"));
    let hook = acme.open_hook("gini").path;
    for n in 0..70 {
        send(&acme, &hook, &format!("{{{n}"));
    }
    let page = acme.get("/rejects").json();
    let bodies = |page: &serde_json::Value| -> Vec<String> {
        page["rejects"].as_array().expect("a list").iter().map(|r| text(r, "body")).collect()
    };
    let rest = acme.get(&format!("/rejects?cursor={}", text(&page, "next"))).json();
    assert_eq!(rest["next"], serde_json::Value::Null);
    let all = [bodies(&page), bodies(&rest)].concat();
    assert_eq!(all, (10..70).rev().map(|n| format!("{{{n}")).collect::<Vec<_>>());
    assert!(other.rejects().is_empty());
    problem(&other.post(&format!("/rejects/{}/replay", text(&page["rejects"][0], "id")), ""), 404);
    problem(&acme.get("/rejects?cursor=x"), 400);
}

#[test]
fn a_change_of_a_hook_is_checked_like_a_new_one_and_survives_a_restart() {
    let mut relay = TestRelay::start();
    let (path, target, token) = {
        let (acme, other) = (Tenant::new(&relay, "acme"), Tenant::new(&relay, "other"));
        let hook = acme.hook(
            r#"{"vendor":"gini","name":"n","verify":{"type":"authorization","secret":"one"},"labels":{"a":"1"}}"#,
        );
        let target = format!("/hooks/{}", hook.id);
        let patch = |body: &str| Request::new("PATCH", &target).json(body);
        for bad in [
            r#"{"vendor":"ppj"}"#,
            r#"{"key":"x"}"#,
            r#"{"verify":{"type":"cookie","secret":"x"}}"#,
            r#"{"verify":{"type":"authorization","secret":""}}"#,
            r#"{"labelCookies":["a"]}"#,
            r#"{"mapping":{"vendorId":"/a","status":"/b","statuses":{"x":"PENDING"}}}"#,
            r#"{"name":""}"#,
            "[",
        ] {
            problem(&acme.ask(patch(bad)), 400);
        }
        problem(&other.ask(patch("{}")), 404);
        problem(&relay.ask(&patch("{}")), 401);
        assert_eq!(acme.ask(patch(r#"{"labels":{"a":"2"}}"#)).status, 200);
        assert_eq!(acme.ask(patch(r#"{"verify":{"type":"authorization","secret":"two"}}"#)).status, 200);
        let shown = acme.get(&target);
        assert_eq!([&shown.json()["name"], &shown.json()["labels"]["a"]], ["n", "2"]);
        assert!(!shown.text().contains("two"), "{}", shown.text());
        (hook.path, target, acme.token.clone())
    };
    relay.restart();
    let body = r#"{"documentId":"d","status":"PENDING"}"#;
    problem(&relay.ask(&Request::post(&path).header("Authorization", "one").json(body)), 401);
    stored(&relay.ask(&Request::post(&path).header("Authorization", "two").json(body)));
    assert_eq!(relay.ask(&Request::get(&target).bearer(&token)).status, 200);
}
