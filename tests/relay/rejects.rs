//! Rejects: webhooks that the relay cannot parse are kept, listed, bounded, and replayed after a fix.

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::request::Request;
use crate::harness::response::{assert_problem, stored_event_id, string_at};

const JOB: &str = r#"{"id":"job-1","state":"finished"}"#;

/// Sends a webhook that is rejected. Returns the detail of the problem.
fn send_rejected(client: &TestClient<'_>, path: &str, body: &str) -> String {
    assert_problem(&client.relay.send(&Request::post(path).header("X-Trace", "t-1").json(body)), 422)
}

#[test]
fn reject_is_listed_and_replayed_after_mapping_fix() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("generic");
    let detail = send_rejected(&acme, &hook.path, JOB);
    let reject = acme.rejects().remove(0);
    let replay = format!("/rejects/{}/replay", string_at(&reject, "id"));
    assert!(detail.starts_with(&string_at(&reject, "reason")), "{detail} {reject}");
    assert_eq!([&reject["hook"], &reject["method"], &reject["body"]], [&hook.id, "POST", JOB]);
    assert_eq!([&reject["headers"]["x-trace"], &reject["query"]], [&"t-1".into(), &serde_json::Value::Null]);

    // A replay without a change fails, and the reject stays.
    assert_problem(&acme.post(&replay, ""), 422);
    assert_eq!(acme.rejects().len(), 1);

    let mapping = r#"{"mapping":{"vendorId":"/id","status":"/state","statuses":{"finished":"COMPLETED"}}}"#;
    let changed = acme.send(Request::new("PATCH", &format!("/hooks/{}", hook.id)).json(mapping));
    assert_eq!(
        (changed.status, &string_at(&changed.json(), "url")),
        (200, &hook.url),
        "the URL of the hook does not change"
    );
    let replayed = acme.post(&replay, "");
    assert_eq!((replayed.status, &replayed.json()["repeat"]), (200, &false.into()), "{replayed:?}");
    let event = acme.events(1).remove(0);
    assert_eq!(
        [&replayed.json()["eventId"], &replayed.json()["documentId"]],
        [&event.id, &string_at(&event.json(), "documentId")]
    );
    assert_eq!(acme.get(&format!("/events/{}/raw", event.id)).json()["body"], JOB);
    assert!(acme.rejects().is_empty());
    assert_problem(&acme.post(&replay, ""), 404);
    // The hook accepts the message from now on.
    assert_eq!(stored_event_id(&relay.send(&Request::post(&hook.path).json(JOB))), event.id);
}

#[test]
fn reject_outlives_its_hook_and_replays_elsewhere() {
    let relay = TestRelay::start();
    let (acme, other) = (TestClient::new(&relay, "acme"), TestClient::new(&relay, "other"));
    let hook = acme.add_unverified_hook("generic");
    send_rejected(&acme, &hook.path, JOB);
    assert_eq!(acme.delete(&format!("/hooks/{}", hook.id)).status, 204);
    assert_problem(&relay.send(&Request::post(&hook.path).json(JOB)), 404);
    let replay = format!("/rejects/{}/replay", string_at(&acme.rejects()[0], "id"));
    assert_problem(&acme.post(&replay, ""), 404);
    let mapping = r#"{"vendorId":"/id","status":"/state","statuses":{"finished":"ERROR"}}"#;
    let body = format!(r#"{{"vendor":"generic","mapping":{mapping},"labels":{{"from":"reject"}}}}"#);
    let (own, foreign) = (acme.add_hook(&body), other.add_hook(&body));
    assert_problem(&acme.post(&format!("{replay}?hook={}", foreign.id), ""), 404);
    assert_problem(&other.post(&format!("{replay}?hook={}", foreign.id), ""), 404);
    assert_eq!(acme.post(&format!("{replay}?hook={}", own.id), "").status, 200);
    let json = acme.events(1)[0].json();
    assert_eq!([&json["status"], &json["labels"]["from"]], ["ERROR", "reject"]);
    assert!(other.documents().is_empty());
}

#[test]
fn replayed_reject_keeps_label_cookies_and_skips_verification() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_hook(
        r#"{"vendor":"zoffice","verify":{"type":"cookie","secret":"fileZTaskId=row-7;sid=s3cr3t-cookie"},
            "labelCookies":["fileZTaskId"]}"#,
    );
    let body = r#"{"taskId":"","code":"TaskSuccessNotify"}"#;
    let call = Request::post(&hook.path).header("Cookie", "fileZTaskId=row-7;sid=s3cr3t-cookie").json(body);
    assert_problem(&relay.send(&call), 422);
    let reject = acme.rejects().remove(0);
    assert_eq!(reject["headers"]["cookie"], "fileZTaskId=row-7");
    assert!(!reject.to_string().contains("s3cr3t"), "{reject}");
    // A generic hook parses the body, which stands for a later version of the relay that does.
    let mapping = r#"{"vendorId":"/code","status":"/code","statuses":{"TaskSuccessNotify":"COMPLETED"}}"#;
    let generic = acme.add_hook(&format!(r#"{{"vendor":"generic","mapping":{mapping}}}"#));
    let replayed = acme.post(&format!("/rejects/{}/replay?hook={}", string_at(&reject, "id"), generic.id), "");
    assert_eq!(replayed.status, 200, "{replayed:?}");
    let raw = acme.get(&format!("/events/{}/raw", string_at(&replayed.json(), "eventId")));
    assert_eq!(raw.json()["headers"]["cookie"], "fileZTaskId=row-7");
}

#[test]
fn cookie_with_space_after_name_gives_same_label() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_hook(r#"{"vendor":"zoffice","labelCookies":["row"]}"#);
    let send = |code: &str| {
        let body = format!(r#"{{"taskId":"t1","code":"{code}"}}"#);
        relay.send(&Request::post(&hook.path).header("Cookie", "a=b; row =7; row=8").json(&body))
    };
    stored_event_id(&send("TaskSuccessNotify"));
    assert_eq!(acme.events(1)[0].json()["labels"]["row"], "7");
    assert_problem(&send("TaskPausedNotify"), 422);
    assert_eq!(acme.rejects()[0]["headers"]["cookie"], "row =7; row=8");
}

#[test]
fn rejects_are_bounded_and_oldest_are_dropped() {
    let relay = TestRelay::with_config(&[("rejects_per_client", "60")]);
    let (acme, other) = (TestClient::new(&relay, "acme"), TestClient::new(&relay, "other"));
    let hook = acme.add_unverified_hook("gini").path;
    for n in 0..70 {
        send_rejected(&acme, &hook, &format!("{{{n}"));
    }
    let page = acme.get("/rejects").json();
    let bodies = |page: &serde_json::Value| -> Vec<String> {
        page["rejects"].as_array().expect("a list").iter().map(|r| string_at(r, "body")).collect()
    };
    let rest = acme.get(&format!("/rejects?cursor={}", string_at(&page, "next"))).json();
    assert_eq!(rest["next"], serde_json::Value::Null);
    let all = [bodies(&page), bodies(&rest)].concat();
    assert_eq!(all, (10..70).rev().map(|n| format!("{{{n}")).collect::<Vec<_>>());
    assert!(other.rejects().is_empty());
    assert_problem(&other.post(&format!("/rejects/{}/replay", string_at(&page["rejects"][0], "id")), ""), 404);
    assert_problem(&acme.get("/rejects?cursor=x"), 400);
}

#[test]
fn hook_update_is_validated_and_survives_restart() {
    let mut relay = TestRelay::start();
    let (path, target, token) = {
        let (acme, other) = (TestClient::new(&relay, "acme"), TestClient::new(&relay, "other"));
        let hook = acme.add_hook(
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
            assert_problem(&acme.send(patch(bad)), 400);
        }
        assert_problem(&other.send(patch("{}")), 404);
        assert_problem(&relay.send(&patch("{}")), 401);
        assert_eq!(acme.send(patch(r#"{"labels":{"a":"2"}}"#)).status, 200);
        assert_eq!(acme.send(patch(r#"{"verify":{"type":"authorization","secret":"two"}}"#)).status, 200);
        let shown = acme.get(&target);
        assert_eq!([&shown.json()["name"], &shown.json()["labels"]["a"]], ["n", "2"]);
        assert!(!shown.text().contains("two"), "{}", shown.text());
        (hook.path, target, acme.token.clone())
    };
    relay.restart();
    let body = r#"{"documentId":"d","status":"PENDING"}"#;
    assert_problem(&relay.send(&Request::post(&path).header("Authorization", "one").json(body)), 401);
    stored_event_id(&relay.send(&Request::post(&path).header("Authorization", "two").json(body)));
    assert_eq!(relay.send(&Request::get(&target).bearer(&token)).status, 200);
}
