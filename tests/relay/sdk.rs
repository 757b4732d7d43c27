//! Baidu's own SDKs against the relay: that it speaks their API is only shown by them.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::command::{CommandOutput, run};
use crate::harness::response::string_at;
use crate::harness::tool::find_tool;

/// A Python that has the SDK; set by `make test`.
const PYTHON: &str = "DOCRELAY_PYTHON";

/// A directory of Node.js packages that has the SDK; set by `make test`.
const NODE: &str = "DOCRELAY_NODE_MODULES";

/// Where the notifications of this test point to. Nothing is sent there.
const TARGET: &str = "http://127.0.0.1:9/notify";

/// A client of a relay that may call this machine, and what a program of `tests/relay/sdk` says when it is that client.
#[track_caller]
fn seen_by(command: &mut Command) -> Value {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    command.env("ENDPOINT", relay.url(""));
    command.env("AK", &acme.id).env("SK", &acme.secret).env("TARGET", TARGET);
    // A proxy is none of this test's business.
    for proxy in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(proxy);
    }
    let ran: CommandOutput = run(command);
    let seen = ran.json();
    assert_eq!(acme.get("/v2/notification").json(), json!({"notifications": []}), "{seen}");
    seen
}

#[track_caller]
fn expected(mut seen: Value, name: &str) {
    let time = string_at(&seen["got"], "time");
    assert_eq!((time.len(), &time[10..11], &time[19..]), (20, "T", "Z"), "{time}");
    seen["got"].as_object_mut().expect("an object").remove("time");
    let refused = |status: u16, code: &str| json!({"status": status, "code": code, "named": true});
    let expected = json!({
        "named": true,
        "again": refused(400, "DocExceptions.DuplicateNotification"),
        "got": {"name": name, "endpoint": TARGET, "isDefault": false},
        "listed": [name],
        "forged": refused(400, "SignatureDoesNotMatch"),
        "missing": refused(404, "DocExceptions.NoSuchNotification"),
    });
    assert_eq!(seen, expected);
}

fn program(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/relay/sdk").join(name)
}

#[test]
fn baidu_python_sdk_manages_notifications() {
    let Some(python) = find_tool(PYTHON) else { return };
    expected(seen_by(Command::new(python).arg(program("notifications.py"))), "python_sdk");
}

#[test]
fn baidu_javascript_sdk_manages_notifications() {
    let Some(packages) = find_tool(NODE) else { return };
    let mut node = Command::new("node");
    // Its own dependencies are as old as it is, and say so.
    node.arg("--no-warnings").arg(program("notifications.js")).env("NODE_PATH", packages);
    expected(seen_by(&mut node), "js_sdk");
}
