//! Libraries for Standard Webhooks, Svix and CloudEvents: they verify the relay's deliveries, and hooks accept what
//! they send.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{find_runtimes, python_program, source};
use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::command::run;
use crate::harness::receiver::Receiver;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Runs a task of `foreign/webhooks.py` and `foreign/webhooks.mjs`. Returns both reports; `None` without one of the
/// programs.
#[track_caller]
fn reports_of(task: &str, variables: &[(&str, &str)]) -> Option<[Value; 2]> {
    let (python, packages) = find_runtimes()?;
    let node = packages.program(&source("webhooks.mjs"));
    let commands = [python_program(&python, "webhooks.py"), node.command()];
    Some(
        commands.map(|mut command| {
            run(command.env("TASK", task).env("SECRET", SECRET).envs(variables.iter().copied())).json()
        }),
    )
}

/// A hook that verifies Standard Webhooks.
fn add_signed_hook(client: &TestClient<'_>) -> String {
    let verify = format!(r#"{{"type":"standard","secret":"{SECRET}"}}"#);
    client.add_hook(&format!(r#"{{"vendor":"standard","verify":{verify}}}"#)).url
}

/// The vendor's identifiers of all documents.
fn vendor_ids(client: &TestClient<'_>) -> Vec<String> {
    let mut ids: Vec<String> =
        client.documents().iter().map(|d| d["vendorId"].as_str().expect("text").to_owned()).collect();
    ids.sort();
    ids
}

#[test]
fn webhook_libraries_verify_standard_deliveries() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    let receiver = Receiver::ok();
    acme.add_notification(&json!({
        "name": "main", "endpoint": receiver.url("/"), "format": "standard", "isDefault": true, "secret": SECRET,
    }));
    let hook = acme.add_unverified_hook("gini").path;
    acme.post_gini(&hook, "626626a0-749f-11e2-bfd6-000000000001", "COMPLETED");
    let delivery = receiver.wait(1).remove(0);
    let headers: BTreeMap<_, _> = delivery.headers.iter().cloned().collect();
    let body = String::from_utf8(delivery.body.clone()).expect("UTF-8");
    let variables = [("HEADERS", &*json!(headers).to_string()), ("BODY", &*body)];
    let Some(reports) = reports_of("verify", &variables) else { return };
    let expected = json!({"standardwebhooks": [true, false], "svix": [true, false]});
    assert_eq!(reports, [expected.clone(), expected], "{delivery:?}");
}

#[test]
fn webhooks_of_standardwebhooks_libraries_are_stored() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let Some(reports) = reports_of("send", &[("HOOK", &add_signed_hook(&acme))]) else { return };
    assert_eq!(reports.map(|report| report["standardwebhooks"].clone()), [json!([200, 401]), json!([200, 401])]);
    let ids = vendor_ids(&acme);
    assert!(
        ids.contains(&"node standardwebhooks".into()) && ids.contains(&"python standardwebhooks".into()),
        "{ids:?}"
    );
}

/// Svix signs the same text and sends it in headers of other names.
#[test]
fn webhooks_of_svix_libraries_are_stored() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let Some(reports) = reports_of("send", &[("HOOK", &add_signed_hook(&acme))]) else { return };
    assert_eq!(reports.map(|report| report["svix"].clone()), [json!([200, 401]), json!([200, 401])]);
    let ids = vendor_ids(&acme);
    assert!(ids.contains(&"node svix".into()) && ids.contains(&"python svix".into()), "{ids:?}");
}

#[test]
fn cloudevents_libraries_store_one_event_in_both_modes() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("standard").url;
    let Some(reports) = reports_of("sendCloudEvents", &[("HOOK", &hook)]) else { return };
    let events = acme.events(2);
    for (event, (report, language)) in events.iter().zip(reports.iter().zip(["python", "node"])) {
        assert_eq!(*report, json!([event.id, event.id]), "source and id identify the event");
        let json = event.json();
        let expected = json!([format!("{language} cloudevents"), "COMPLETED", {"pages": 3}]);
        assert_eq!(json!([json["vendorId"], json["status"], json["result"]]), expected);
    }
}
