//! `docrelay doctor` against a real relay: what is well is said to be, and what a relay refuses is said with a remedy.

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::command::{CommandOutput, docrelay, run};

/// The command with a token in the environment, listening for a second.
fn doctor(url: &str, token: Option<&str>) -> CommandOutput {
    let config: Vec<_> = token.map(|token| ("token", token)).into_iter().collect();
    run(&mut docrelay(&["doctor", url, "--idle", "1s"], &config))
}

#[track_caller]
fn fails(ran: &CommandOutput, words: &str) {
    assert_eq!(ran.status.code(), Some(1), "{ran:?}");
    let failed: Vec<_> = ran.stdout.lines().filter(|line| line.starts_with("fail  ")).collect();
    assert!(failed.len() == 1 && failed[0].contains(words), "not {words:?} alone: {ran:?}");
    assert_eq!(ran.stderr, "docrelay: one thing has to be changed\n");
}

#[test]
fn healthy_relay_passes_every_doctor_check() {
    let relay = TestRelay::with_config(&[("idle_interval", "200ms"), ("token_ttl", "2h")]);
    let acme = TestClient::new(&relay, "acme");
    let base = relay.url("");
    for url in [base.clone(), format!("{base}/"), format!("{base}/events/client")] {
        let ran = doctor(&url, Some(&acme.token)).succeeded();
        assert!(ran.stdout.lines().all(|line| line.starts_with("ok    ")), "{ran:?}");
        assert!(ran.stdout.contains("the token is good until 2") && ran.stdout.contains("keep-alive lines"), "{ran:?}");
    }
    let ticket = acme.post("/events/ticket", "{}").json()["token"].as_str().expect("a token").to_owned();
    let ran = doctor(&format!("{base}/?token={ticket}"), None).succeeded();
    assert!(ran.stdout.contains("the ticket is good until 2") && !ran.stdout.contains(&ticket), "{ran:?}");
}

#[test]
fn doctor_reports_refusals_with_remedy_and_exit_code_1() {
    let mut relay = TestRelay::with_config(&[("query_token", "off")]);
    let acme = TestClient::new(&relay, "acme");
    let token = acme.token.clone();
    let base = relay.url("");
    fails(&doctor(&base, None), "set DOCRELAY_TOKEN");
    fails(&doctor(&base, Some("x.y.z")), "auth_failed: the token is no JWT");
    fails(&doctor(&format!("{base}/?token={token}"), None), "the relay takes no token from the address");
    let managing = relay.token_with_scope("acme", "manage");
    fails(&doctor(&base, Some(managing.trim())), "needs `events`");
    fails(&doctor(&format!("{base}/docs"), Some(&token)), "is the path right?");
    fails(&doctor(&format!("http://{}", relay.admin_listen), Some(&token)), "is the path right?");
    relay.stop();
    fails(&doctor(&base, Some(&token)), "cannot be reached: Connection refused");
}
