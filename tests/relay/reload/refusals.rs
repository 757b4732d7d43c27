//! A configuration that cannot be used changes nothing, and the error names the place.

use serde_json::json;

use super::ConfiguredRelay;
use crate::harness::command::{docrelay, run};
use crate::harness::request::Request;

#[test]
fn wrong_file_changes_nothing_and_is_logged_counted_and_answered() {
    const ALLOW: &str = "access-control-allow-origin";
    let configured = ConfiguredRelay::start("cors_origins = [\"https://app.example\"]\nlog_level = \"info\"\n");
    let relay = &configured.relay;
    let page = Request::get("/").header("Origin", "https://other.example");
    let acme = configured.client();
    let mut stream = relay.follow(&acme.token);
    let wrong = [
        ("cors_origins = \"*\"\nlog_level = \n", ":2: "),
        ("cors_origins = \"*\"\n\nlissen = 1\n", ":3: there is no key `lissen`"),
        ("cors_origins = \"*\"\nhook_rate = 0\n", ":2: hook_rate must be"),
        (
            "cors_origins = \"*\"\nmax_followers = 9999999\nmax_connections = 100\n",
            ":2: max_followers must be fewer than",
        ),
        ("cors_origins = \"*\"\ntls_cert = \"a.pem\"\n", "tls_key must be given with tls_cert"),
    ];
    for (number, (content, reason)) in wrong.into_iter().enumerate() {
        let told = configured.reload_refused(content);
        assert!(told.contains(reason), "{told}");
        relay.wait_for_output(reason);
        let output = relay.output();
        let logged = output.lines().filter(|line| line.contains("configuration not reloaded")).collect::<Vec<_>>();
        assert_eq!(logged.len(), number + 1);
        assert!(logged[number].contains("ERROR") && logged[number].contains(reason), "{logged:?}");
        assert_eq!(relay.send(&page).header(ALLOW), None);
    }
    std::fs::remove_file(relay.root().join("relay.toml")).expect("a file");
    let response = relay.admin("POST", "/admin/reload");
    assert_eq!(response.status, 422);
    assert!(response.text().contains("cannot read the configuration"), "{}", response.text());
    assert_eq!(relay.metric("docrelay_config_reloads_total{outcome=\"refused\"}"), 6);
    assert_eq!(relay.metric("docrelay_config_reloads_total{outcome=\"applied\"}"), 0);
    assert_eq!(configured.reload("")["changed"], json!(["cors_origins", "log_level"]));
    assert_eq!(relay.send(&page).header(ALLOW), Some("*"));
    let hook = acme.add_unverified_hook("gini");
    let id = acme.post_gini(&hook.path, "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "COMPLETED");
    assert_eq!(stream.next_event().id, id);
}

#[test]
fn command_tells_the_reason_with_exit_code_2() {
    let configured = ConfiguredRelay::start("");
    configured.write("grace = 0\n");
    let data = configured.relay.data_dir();
    // Without the relay's environment: the relay itself reads the file.
    let output = run(docrelay(&["reload"], &[]).arg("--data").arg(&data));
    assert_eq!((output.status.code(), output.stdout.as_str()), (Some(2), ""), "{output:?}");
    assert!(output.stderr.contains("relay.toml:1: grace must be a duration"), "{output:?}");
    assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
    assert_eq!(configured.relay.metric("docrelay_config_reloads_total{outcome=\"refused\"}"), 1);
}
