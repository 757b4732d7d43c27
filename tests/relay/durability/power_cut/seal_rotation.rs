//! `docrelay key rotate --seal` is killed at each of its changes of a file or name, with and without a power cut. A
//! relay starts afterwards and opens every secret, and the next rotation completes.

use std::time::Instant;

use serde_json::json;

use super::Machine;
use crate::harness::client::TestClient;
use crate::harness::receiver::Receiver;
use crate::harness::request::Request;
use crate::harness::{TIMEOUT, TestRelay};

const ROTATE: [&str; 3] = ["key", "rotate", "--seal"];

/// A client with a value of each kind that is sealed.
struct Secrets {
    client_secret: String,
    token: String,
    hook: String,
    receiver: Receiver,
}

impl Secrets {
    fn new(relay: &TestRelay) -> Self {
        let receiver = Receiver::ok();
        let client = TestClient::new(relay, "sealed");
        let hook = client.add_hook(r#"{"vendor":"gini","verify":{"type":"authorization","secret":"hook-secret"}}"#);
        let endpoint = |path: &str, format: &str| {
            json!({ "format": format, "tokenType": "header", "tokenValue": path,
            "endpoint": receiver.url(path), "name": "main", "isDefault": true })
        };
        client.add_notification(&endpoint("/main", "gini"));
        let mut callback = endpoint("/callback", "gini");
        callback =
            json!({"url": callback["endpoint"], "format": "gini", "tokenType": "header", "tokenValue": "/callback"});
        let document = json!({"vendor": "gini", "vendorId": "job", "callback": callback});
        assert_eq!(client.post("/documents", &document.to_string()).status, 201);
        let (client_secret, token) = (client.secret.clone(), client.token.clone());
        Self { client_secret, token, hook: hook.path, receiver }
    }

    /// Uses each secret of the running relay.
    fn check(&self, relay: &TestRelay, round: usize) {
        let form = format!("grant_type=client_credentials&client_id=sealed&client_secret={}", self.client_secret);
        assert_eq!(relay.send(&Request::post("/oauth/token").form(&form)).status, 200, "round {round}");
        let status = if round.is_multiple_of(2) { "COMPLETED" } else { "ERROR" };
        let body = format!(r#"{{"documentId":"job","status":"{status}"}}"#);
        let called = relay.send(&Request::post(&self.hook).header("Authorization", "hook-secret").json(&body));
        assert_eq!(called.status, 200, "round {round}: {called:?}");
        let event = called.header("docrelay-event-id").expect("a stored event").to_owned();
        // Both endpoints get this event with their credentials.
        for path in ["/main", "/callback"] {
            self.receiver.wait_until(TIMEOUT, |all| {
                let mut of_event = all.iter().filter(|request| {
                    request.target == path
                        && request.json()["status"] == status
                        && request.header("authorization") == Some(path)
                });
                of_event.next_back().is_some()
            });
        }
        let client = TestClient::with_token(relay, "sealed", self.token.clone());
        client
            .wait_for_deliveries("state=pending", |pending| pending.iter().all(|one| one["eventId"] != event.as_str()));
        assert!(client.deliveries("state=dead").is_empty(), "round {round}");
    }
}

/// Kills a rotation at each of its changes. After each kill a relay starts and uses every secret.
fn kill_rotation_at_each_change(cut_power: bool) {
    let started = Instant::now();
    let mut machine = Machine::start(&[("allow_private_endpoints", "127.0.0.0/8")]);
    let secrets = Secrets::new(&machine.relay);
    let (mut resumed, mut with_two_keys) = (0, 0);
    for change in 1.. {
        machine.relay.stop();
        machine.disk.kill_after_changes(change);
        let output = machine.relay.cli(&ROTATE);
        if output.status.success() {
            eprintln!("{} changes, {resumed} resumed, in {:.1?}", change - 1, started.elapsed());
            assert!(change > 20 && resumed > 5 && with_two_keys > 5, "{change} {resumed} {with_two_keys}");
            return;
        }
        assert_eq!(
            (output.status.code(), output.stderr.as_str()),
            (None, ""),
            "change {change}: only the kill ends it"
        );
        if cut_power {
            machine.cut();
        } else {
            machine.disk.kill_after_changes(0);
        }
        let key = std::fs::read(machine.relay.data_dir().join("seal.key")).expect("a key file");
        with_two_keys += usize::from(key.len() == 64);
        machine
            .relay
            .try_start()
            .unwrap_or_else(|error| panic!("change {change}: {error}: {}", machine.relay.output()));
        secrets.check(&machine.relay, change);
        machine.relay.stop();
        let completed = machine.relay.cli(&ROTATE).json();
        resumed += usize::from(completed["resumed"] == true);
        assert_eq!([&completed["clients"], &completed["callbacks"]], [&json!(2), &json!(1)], "change {change}");
        machine.relay.restart();
    }
}

#[test]
fn seal_rotation_killed_at_any_change_loses_no_secret() {
    kill_rotation_at_each_change(false);
}

#[test]
fn seal_rotation_survives_power_cut_at_any_change() {
    kill_rotation_at_each_change(true);
}
