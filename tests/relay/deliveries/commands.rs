//! Commands for notifications and deliveries: online they call the running relay, offline they open its data.

use std::fs;

use serde_json::{Value, json};

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::command::CommandOutput;
use crate::harness::receiver::{Receiver, Reply};
use crate::harness::response::string_at;

/// The output of a command that prints one JSON value a line.
#[track_caller]
fn json_lines(output: CommandOutput) -> Vec<Value> {
    output.succeeded().stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Adds, lists and tests two notifications of `acme`, whose names start with `name`.
fn manage_notifications(relay: &TestRelay, name: &str, receiver: &Receiver) {
    let secret = relay.data_dir().join("secret");
    fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").expect("written");
    let (plain, signed) = (format!("{name}_plain"), format!("{name}_signed"));
    let endpoint = receiver.url(&format!("/{name}"));
    let add = |arguments: &[&str]| relay.cli(&[&["notification", "add", "--client", "acme"], arguments].concat());
    let added = add(&[&plain, &endpoint]).json();
    assert_eq!(
        (&added["name"], &added["format"], &added["isDefault"]),
        (&json!(plain), &json!("baidu"), &json!(false))
    );
    let file = secret.to_str().expect("text");
    let flags = [&signed, &endpoint, "--format", "standard", "--secret-file", file, "--default"];
    let added = add(&flags).json();
    assert_eq!(
        (&added["format"], &added["isDefault"], &added["state"]),
        (&json!("standard"), &json!(true), &json!("active"))
    );
    assert!(!add(&flags).status.success(), "the name is taken");
    let refused = add(&[&format!("{name}_x"), "http://10.0.0.1/"]);
    assert!(!refused.status.success() && refused.stderr.contains("endpoint"), "{refused:?}");
    let before = receiver.received().len();
    let tested = relay.cli(&["notification", "test", &signed, "--client", "acme"]).json();
    assert_eq!(tested["status"], 200, "{tested}");
    let request = receiver.wait(before + 1).pop().expect("one");
    assert!(request.header("webhook-signature").is_some_and(|s| s.starts_with("v1,")), "{request:?}");
    assert_eq!(request.json()["type"], "document.completed");
    let listed = json_lines(relay.cli(&["notification", "list", "--client", "acme"]));
    let named = |name: &str| listed.iter().any(|one| one["name"] == *name);
    assert!(named(&plain) && named(&signed), "{listed:?}");
    assert!(!relay.cli(&["notification", "list", "--client", "unknown"]).status.success());
}

#[test]
fn notification_commands_work_online_and_offline() {
    let mut relay = TestRelay::allowing_loopback_endpoints();
    TestClient::new(&relay, "acme");
    let receiver = Receiver::ok();
    manage_notifications(&relay, "online", &receiver);
    relay.stop();
    manage_notifications(&relay, "offline", &receiver);
    relay.restart();
    let listed = json_lines(relay.cli(&["notification", "list", "--client", "acme"]));
    assert_eq!(
        listed.iter().map(|one| string_at(one, "name")).collect::<Vec<_>>(),
        ["online_plain", "online_signed", "offline_plain", "offline_signed"]
    );
    assert_eq!(listed.iter().filter(|one| one["isDefault"] == true).count(), 1);
}

#[test]
fn delivery_commands_work_online_and_offline() {
    let mut relay = TestRelay::allowing_loopback_endpoints();
    let receiver = Receiver::start(|_, before| Reply::status(if before < 2 { 410 } else { 200 }));
    let acme = TestClient::new(&relay, "acme");
    acme.add_default_notification("gini", &receiver.url("/"));
    let hook = acme.add_unverified_hook("gini").path;
    let list = |relay: &TestRelay, arguments: &[&str]| {
        json_lines(relay.cli(&[&["delivery", "list", "--client", "acme"], arguments].concat()))
    };
    acme.post_gini(&hook, "a", "COMPLETED");
    acme.wait_for_delivery_count("state=dead", 1);
    let verify = || {
        let enabled = acme.post("/v2/notification/main/verify", "");
        assert_eq!((enabled.status, &enabled.json()["state"]), (200, &json!("active")));
    };
    verify();
    let dead = list(&relay, &["--state", "dead", "--notification", "main"]);
    assert_eq!(dead[0]["attempts"][0]["status"], 410, "{dead:?}");
    let id = string_at(&dead[0], "id");
    let retried = relay.cli(&["delivery", "retry", &id, "--client", "acme"]).json();
    assert_eq!((&retried["id"], &retried["state"]), (&json!(id), &json!("pending")));
    // The second attempt gets 410, too.
    receiver.wait(2);
    acme.wait_for_delivery_count("state=dead", 1);
    verify();
    assert!(!relay.cli(&["delivery", "retry", "999", "--client", "acme"]).status.success());
    relay.stop();
    assert_eq!(list(&relay, &["--limit", "5"]).len(), 1);
    let retried = relay.cli(&["delivery", "retry", &id, "--client", "acme"]).json();
    assert_eq!(retried["state"], "pending");
    assert_eq!(receiver.received().len(), 2, "nothing is sent while no relay runs");
    relay.restart();
    receiver.wait(3);
    let token = relay.token("acme");
    let acme = TestClient::with_token(&relay, "acme", token);
    let arrived = acme.wait_for_delivery_count("state=delivered", 1);
    assert_eq!(arrived[0]["attempts"].as_array().map(Vec::len), Some(3));
}
