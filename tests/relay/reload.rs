//! Reload of the configuration while the relay runs. This file: the relay with its file, and what a reload reports.

mod certificates;
mod deliveries;
mod issuers;
mod limits;
mod refusals;
mod signals;

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::request::Request;
use crate::harness::response::assert_problem;

/// A relay with a configuration file.
pub(super) struct ConfiguredRelay {
    pub(super) relay: TestRelay,
    path: PathBuf,
}

impl ConfiguredRelay {
    /// Starts a relay with this file.
    #[track_caller]
    pub(super) fn start(content: &str) -> Self {
        let mut relay = TestRelay::not_started(&[]);
        let path = relay.root().join("relay.toml");
        std::fs::write(&path, content).expect("a file");
        relay.set_config("config", path.to_str().expect("a path in UTF-8"));
        relay.restart();
        Self { relay, path }
    }

    #[track_caller]
    pub(super) fn write(&self, content: &str) {
        std::fs::write(&self.path, content).expect("a file");
    }

    /// Replaces the file and reloads it. Returns the report.
    #[track_caller]
    pub(super) fn reload(&self, content: &str) -> Value {
        self.write(content);
        let response = self.relay.admin("POST", "/admin/reload");
        assert_eq!(response.status, 200, "{response:?}");
        response.json()
    }

    /// Replaces the file by one that the relay must refuse. Returns the reason.
    #[track_caller]
    pub(super) fn reload_refused(&self, content: &str) -> String {
        self.write(content);
        assert_problem(&self.relay.admin("POST", "/admin/reload"), 422)
    }

    /// The client `acme`, created now.
    #[track_caller]
    pub(super) fn client(&self) -> TestClient<'_> {
        TestClient::new(&self.relay, "acme")
    }
}

#[test]
fn reload_reports_changed_keys_and_those_that_need_a_restart() {
    let configured = ConfiguredRelay::start("hook_rate = 100\nlog_format = \"text\"\n");
    assert_eq!(configured.reload("hook_rate = 100\n"), json!({"changed": [], "needsRestart": ["log_format"]}));
    let report = configured.reload("hook_rate = 7\nlog_format = \"json\"\npublic_url = \"https://a.example\"\n");
    assert_eq!(report, json!({"changed": ["hook_rate"], "needsRestart": ["public_url", "log_format"]}));
    // By another thread, a little after the response.
    configured.relay.wait_for_output("keys=\"public_url,log_format\"");
    let output = configured.relay.output();
    let warned =
        output.lines().find(|line| line.contains("changed settings need a restart") && line.contains("public_url"));
    assert!(
        warned.is_some_and(|line| line.contains("WARN") && line.contains("keys=\"public_url,log_format\"")),
        "{output}"
    );
    // The flags of the start come before the file.
    assert_eq!(configured.reload("listen = \"127.0.0.1:1\"\n")["needsRestart"], json!(["log_format"]));
    assert_eq!(configured.relay.metric("docrelay_config_reloads_total{outcome=\"applied\"}"), 3);
}

#[test]
fn reload_needs_the_admin_token_and_its_method() {
    let configured = ConfiguredRelay::start("");
    assert_problem(&configured.relay.send_admin(&Request::post("/admin/reload")), 401);
    assert_problem(&configured.relay.send_admin(&Request::post("/admin/reload").bearer("x")), 401);
    assert_problem(&configured.relay.admin("GET", "/admin/reload"), 405);
    assert_problem(&configured.relay.send(&Request::post("/admin/reload")), 404);
    assert_eq!(configured.relay.metric("docrelay_config_reloads_total{outcome=\"applied\"}"), 0);
}

#[test]
fn command_prints_the_report_and_names_a_relay_that_is_not_running() {
    let mut configured = ConfiguredRelay::start("hook_rate = 100\n");
    configured.write("hook_rate = 9\nlog_format = \"json\"\n");
    let report = configured.relay.cli(&["reload"]).json();
    assert_eq!(report, json!({"changed": ["hook_rate"], "needsRestart": ["log_format"]}));
    configured.relay.stop();
    let output = configured.relay.cli(&["reload"]);
    assert_eq!((output.status.code(), output.stdout.as_str()), (Some(1), ""));
    assert!(output.stderr.contains("no relay is running on ") && output.stderr.lines().count() == 1, "{output:?}");
}
