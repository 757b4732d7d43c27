//! `docrelay key`: signing keys of a running and of a stopped relay, and the sealing key of a stopped one.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::client::TestClient;
use crate::harness::command::{CommandOutput, docrelay, run};
use crate::harness::receiver::{Received, Receiver};
use crate::harness::request::Request;
use crate::harness::response::{assert_problem, stored_event_id, string_at};
use crate::harness::{TIMEOUT, TestRelay, delay, spawn_thread};

fn listed(relay: &TestRelay) -> Vec<Value> {
    let output = relay.cli(&["key", "list"]).succeeded();
    output.stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// The ids of the published keys.
fn published(relay: &TestRelay) -> Vec<String> {
    let set = relay.send(&Request::get("/.well-known/jwks.json")).json();
    set["keys"].as_array().expect("keys").iter().map(|key| string_at(key, "kid")).collect()
}

/// The error of a command that fails with exit code 1.
#[track_caller]
fn error_of(relay: &TestRelay, arguments: &[&str]) -> String {
    let CommandOutput { status, stdout, stderr } = relay.cli(arguments);
    assert_eq!((status.code(), stdout.as_str(), stderr.lines().count()), (Some(1), "", 1), "{stderr}");
    stderr
}

#[test]
fn rotated_and_retired_signing_keys_take_effect_without_restart() {
    // An idle stream would notice the retirement with its next idle line.
    let relay = TestRelay::with_config(&[("idle_interval", "1h")]);
    relay.add_client("acme");
    let old_token = relay.token("acme");
    let mut old_stream = relay.follow(&old_token);
    let old = listed(&relay).remove(0);
    assert_eq!(old["signs"], true);
    let old_kid = string_at(&old, "kid");
    assert!(error_of(&relay, &["key", "retire", &old_kid]).contains("docrelay key rotate"));
    assert!(error_of(&relay, &["key", "retire", "../seal"]).contains("docrelay key list"));

    let added = relay.cli(&["key", "rotate"]).json();
    assert_eq!(added["signs"], false, "it is published first: {added}");
    let kids: Vec<_> = listed(&relay).iter().map(|key| (string_at(key, "kid"), key["signs"] == true)).collect();
    assert_eq!(kids, [(old_kid.clone(), true), (string_at(&added, "kid"), false)]);
    let output = relay.cli(&["key", "retire", &old_kid]).succeeded();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""));
    // A relay reads the directory every 30 s.
    let new_kid = string_at(&added, "kid");
    let deadline = Instant::now() + 2 * TIMEOUT;
    while published(&relay) != [new_kid.as_str()] {
        assert!(Instant::now() < deadline, "{:?}", published(&relay));
        delay(Duration::from_millis(100));
    }
    let end = old_stream.read_to_end().pop().expect("a last block");
    assert_eq!((end.event.as_deref(), end.data.as_deref()), (Some("error"), Some("auth_failed")), "{end:?}");
    assert_eq!(relay.metric("docrelay_disconnects_total{reason=\"revoked\"}"), 1);
    assert_problem(&relay.send(&Request::get("/documents").bearer(&old_token)), 401);
    let new_token = relay.token("acme");
    assert_eq!(relay.send(&Request::get("/documents").bearer(&new_token)).status, 200);
}

#[test]
fn signing_key_added_while_stopped_is_published_after_start() {
    let mut relay = TestRelay::start();
    relay.add_client("acme");
    relay.stop();
    let added = relay.cli(&["key", "rotate"]).json();
    let token = relay.token("acme");
    relay.restart();
    assert_eq!(published(&relay).len(), 2);
    assert!(published(&relay).contains(&string_at(&added, "kid")));
    assert_eq!(relay.send(&Request::get("/documents").bearer(&token)).status, 200);
}

#[test]
fn seal_rotation_keeps_every_secret_and_drops_the_old_key() {
    let receiver = Receiver::ok();
    let mut relay = TestRelay::allowing_loopback_endpoints();
    let key_file = relay.data_dir().join("seal.key");
    let (secret, token, hook) = {
        let acme = TestClient::new(&relay, "acme");
        let hook =
            acme.add_hook(r#"{"vendor":"gini","verify":{"type":"authorization","secret":"Bearer hook-secret"}}"#);
        let main = json!({"name": "main", "endpoint": receiver.url("/main"), "format": "zoffice", "isDefault": true,
            "tokenType": "header", "tokenValue": "main-token"});
        acme.add_notification(&main);
        let document = json!({"vendor": "gini", "vendorId": "job-1", "callback": {"url": receiver.url("/callback"),
            "format": "gini", "tokenType": "header", "tokenValue": "callback-token"}});
        assert_eq!(acme.post("/documents", &document.to_string()).status, 201);
        (acme.secret.clone(), acme.token.clone(), hook.path)
    };
    receiver.wait_until(TIMEOUT, |all| all.iter().any(|request| request.target == "/callback"));

    let error = error_of(&relay, &["key", "rotate", "--seal"]);
    assert!(error.contains("a relay is running") && error.contains("stop it"), "{error}");
    let before = fs::read(&key_file).expect("the key");
    assert_eq!(before.len(), 32, "the refused rotation has changed nothing");
    relay.stop();
    let report = relay.cli(&["key", "rotate", "--seal"]).json();
    let expected = json!({"resumed": false, "clients": 1, "hooks": 1, "notifications": 1, "callbacks": 1,
        "damagedCallbacks": 0});
    assert_eq!(report, expected);
    let after = fs::read(&key_file).expect("the key");
    assert!(after.len() == 32 && after != before);

    relay.restart();
    let form = format!("grant_type=client_credentials&client_id=acme&client_secret={secret}");
    assert_eq!(relay.send(&Request::post("/oauth/token").form(&form)).status, 200);
    let webhook = |authorization: &str| {
        let body = r#"{"documentId":"job-1","status":"COMPLETED"}"#;
        relay.send(&Request::post(&hook).header("Authorization", authorization).json(body))
    };
    assert_problem(&webhook("Bearer wrong"), 401);
    stored_event_id(&webhook("Bearer hook-secret"));
    let has = |all: &[Received], target: &str, authorization: &str| {
        let matches = |request: &&Received| request.target == target;
        let found: Vec<_> = all.iter().filter(matches).filter_map(|request| request.header("authorization")).collect();
        assert!(found.iter().all(|value| *value == authorization), "{found:?}");
        found.len()
    };
    receiver.wait_until(TIMEOUT, |all| {
        has(all, "/main", "main-token") >= 1 && has(all, "/callback", "callback-token") == 2
    });
    assert_eq!(
        TestClient::with_token(&relay, "acme", token).get("/hooks").json()["hooks"].as_array().map(Vec::len),
        Some(1)
    );

    // The old key opens nothing any more.
    relay.stop();
    fs::write(&key_file, before).expect("written");
    assert!(error_of(&relay, &["client", "list"]).contains("cannot be opened with this key"));
    fs::write(&key_file, after).expect("written");
    relay.cli(&["client", "list"]).succeeded();
}

#[test]
fn command_that_waited_for_a_rotation_uses_the_new_key() {
    let mut relay = TestRelay::start();
    relay.stop();
    let data = relay.data_dir();
    // The lock that a rotation holds. The database has no secret yet, so it opens with any key.
    let lock = fs::File::open(data.join("docrelay.db.lock")).expect("the lock of the database");
    lock.lock().expect("a stopped relay");
    let directory = data.clone();
    let command =
        spawn_thread("add", move || run(docrelay(&["client", "add", "acme"], &[]).arg("--data").arg(directory)));
    // Long enough for the command to read the old key and to wait for the lock, which it does for 3 s.
    delay(Duration::from_secs(1));
    fs::write(data.join("seal.key"), [7; 32]).expect("the key of the rotation");
    drop(lock);
    command.join().expect("the command").succeeded();
    relay.cli(&["client", "list"]).succeeded();
}
