//! `docrelay doctor` against a relay: every check of a healthy relay passes, and every refusal comes with a remedy.

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::command::{CommandOutput, docrelay, run};

/// Runs the command with a token in the environment, and watches the stream for one second.
fn doctor(url: &str, token: Option<&str>) -> CommandOutput {
    let config: Vec<_> = token.map(|token| ("token", token)).into_iter().collect();
    run(&mut docrelay(&["doctor", url, "--idle", "1s"], &config))
}

#[track_caller]
fn assert_fails(output: &CommandOutput, text: &str) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let failed: Vec<_> = output.stdout.lines().filter(|line| line.starts_with("fail  ")).collect();
    assert!(failed.len() == 1 && failed[0].contains(text), "not {text:?} alone: {output:?}");
    assert_eq!(output.stderr, "docrelay: 1 check failed\n");
}

#[test]
fn healthy_relay_passes_every_doctor_check() {
    let relay = TestRelay::with_config(&[("idle_interval", "200ms"), ("token_ttl", "2h")]);
    let acme = TestClient::new(&relay, "acme");
    let base = relay.url("");
    for url in [base.clone(), format!("{base}/"), format!("{base}/events/client")] {
        let output = doctor(&url, Some(&acme.token)).succeeded();
        assert!(output.stdout.lines().all(|line| line.starts_with("ok    ")), "{output:?}");
        assert!(
            output.stdout.contains("the token is valid until 2") && output.stdout.contains("keepalives"),
            "{output:?}"
        );
    }
    let ticket = acme.post("/events/ticket", "{}").json()["token"].as_str().expect("a token").to_owned();
    let output = doctor(&format!("{base}/?token={ticket}"), None).succeeded();
    assert!(output.stdout.contains("the ticket is valid until 2") && !output.stdout.contains(&ticket), "{output:?}");
}

#[test]
fn doctor_reports_refusals_with_remedy_and_exit_code_1() {
    let mut relay = TestRelay::with_config(&[("query_token", "off")]);
    let acme = TestClient::new(&relay, "acme");
    let token = acme.token.clone();
    let base = relay.url("");
    assert_fails(&doctor(&base, None), "set DOCRELAY_TOKEN");
    assert_fails(&doctor(&base, Some("x.y.z")), "auth_failed: the token is no JWT");
    assert_fails(&doctor(&format!("{base}/?token={token}"), None), "the relay takes no token from the URL");
    let manage_token = relay.token_with_scope("acme", "manage");
    assert_fails(&doctor(&base, Some(manage_token.trim())), "needs `events`");
    assert_fails(&doctor(&format!("{base}/docs"), Some(&token)), "is the path right?");
    assert_fails(&doctor(&format!("http://{}", relay.admin_listen), Some(&token)), "is the path right?");
    relay.stop();
    assert_fails(&doctor(&base, Some(&token)), "cannot be reached: Connection refused");
}
