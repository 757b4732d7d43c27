//! `docrelay doctor` against a real relay: what is well is said to be, and what a relay refuses is said with a remedy.

use crate::support::tenant::Tenant;
use crate::support::{Ran, TestRelay, docrelay, run};

/// The command with a token in the environment, listening for a second.
fn doctor(url: &str, token: Option<&str>) -> Ran {
    let settings: Vec<_> = token.map(|token| ("token".to_owned(), token.to_owned())).into_iter().collect();
    run(&mut docrelay(&["doctor", url, "--idle", "1s"], &settings))
}

#[track_caller]
fn fails(ran: &Ran, words: &str) {
    assert_eq!(ran.status.code(), Some(1), "{ran:?}");
    let failed: Vec<_> = ran.stdout.lines().filter(|line| line.starts_with("fail  ")).collect();
    assert!(failed.len() == 1 && failed[0].contains(words), "not {words:?} alone: {ran:?}");
    assert_eq!(ran.stderr, "docrelay: one thing has to be changed\n");
}

#[test]
fn a_healthy_relay_has_nothing_that_warns_or_fails() {
    let relay = TestRelay::with(&[("idle_interval", "200ms"), ("token_ttl", "2h")]);
    let acme = Tenant::new(&relay, "acme");
    let base = format!("http://{}", relay.listen);
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
fn what_a_real_relay_refuses_is_said_with_a_remedy_and_the_exit_code_is_1() {
    let mut relay = TestRelay::with(&[("query_token", "off")]);
    let acme = Tenant::new(&relay, "acme");
    let token = acme.token.clone();
    let base = format!("http://{}", relay.listen);
    fails(&doctor(&base, None), "set DOCRELAY_TOKEN");
    fails(&doctor(&base, Some("x.y.z")), "auth_failed: the token is no JWT");
    fails(&doctor(&format!("{base}/?token={token}"), None), "the relay takes no token from the address");
    let managing = relay.cli(&["token", "--client", "acme", "--scope", "manage"]).succeeded().stdout;
    fails(&doctor(&base, Some(managing.trim())), "needs `events`");
    fails(&doctor(&format!("{base}/docs"), Some(&token)), "is the path right?");
    fails(&doctor(&format!("http://{}", relay.admin), Some(&token)), "is the path right?");
    relay.stop();
    fails(&doctor(&base, Some(&token)), "cannot be reached: Connection refused");
}
