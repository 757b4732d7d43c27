//! Baidu's SDKs as clients of the relay's notification API.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::command::{CommandOutput, run};
use crate::harness::response::string_at;
use crate::harness::tool::{find_tool, without_proxy};

/// A Python that has the SDK; set by `make test`.
const PYTHON: &str = "DOCRELAY_PYTHON";

/// A directory of Node.js packages that has the SDK; set by `make test`.
const NODE: &str = "DOCRELAY_NODE_MODULES";

/// The endpoint of the test's notifications. Nothing is sent to it.
const TARGET: &str = "http://127.0.0.1:9/notify";

/// Runs a program of `tests/relay/sdk` as a client of a new relay. Returns the program's report.
#[track_caller]
fn report_of(command: &mut Command) -> Value {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    command.env("ENDPOINT", relay.url(""));
    command.env("AK", &acme.id).env("SK", &acme.secret).env("TARGET", TARGET);
    without_proxy(command);
    let output: CommandOutput = run(command);
    let report = output.json();
    assert_eq!(acme.get("/v2/notification").json(), json!({"notifications": []}), "{report}");
    report
}

#[track_caller]
fn assert_report(mut report: Value, name: &str) {
    let time = string_at(&report["got"], "time");
    assert_eq!((time.len(), &time[10..11], &time[19..]), (20, "T", "Z"), "{time}");
    report["got"].as_object_mut().expect("an object").remove("time");
    let refused = |status: u16, code: &str| json!({"status": status, "code": code, "named": true});
    let expected = json!({
        "named": true,
        "again": refused(400, "DocExceptions.DuplicateNotification"),
        "got": {"name": name, "endpoint": TARGET, "isDefault": false},
        "listed": [name],
        "forged": refused(400, "SignatureDoesNotMatch"),
        "missing": refused(404, "DocExceptions.NoSuchNotification"),
    });
    assert_eq!(report, expected);
}

fn program(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/relay/sdk").join(name)
}

#[test]
fn baidu_python_sdk_manages_notifications() {
    let Some(python) = find_tool(PYTHON) else { return };
    assert_report(report_of(Command::new(python).arg(program("notifications.py"))), "python_sdk");
}

#[test]
fn baidu_javascript_sdk_manages_notifications() {
    let Some(packages) = find_tool(NODE) else { return };
    let mut node = Command::new("node");
    // Dependencies of the SDK are deprecated and warn.
    node.arg("--no-warnings").arg(program("notifications.js")).env("NODE_PATH", packages);
    assert_report(report_of(&mut node), "js_sdk");
}
