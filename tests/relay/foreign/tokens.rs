//! OAuth and JWT libraries: they get tokens, use them, and verify them with the published keys.

use std::process::Command;

use serde_json::{Value, json};

use super::{find_runtimes, python_program, source};
use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::command::run;

/// Runs a program as a client of a new relay. Returns its report.
#[track_caller]
fn report_of(command: &mut Command) -> Value {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    command.env("RELAY", relay.url("")).env("CLIENT_ID", &acme.id).env("CLIENT_SECRET", &acme.secret);
    run(command).json()
}

/// The report of one way to send the credentials. Libraries show the refusal differently.
fn expected(refused: &Value) -> Value {
    let report = json!({
        "expired": false, "scope": "manage", "documents": 200, "sub": "acme", "refused": refused, "forged": "rejected",
    });
    json!({"header": report, "body": report})
}

#[test]
fn authlib_and_pyjwt_get_and_verify_tokens() {
    let Some((python, _)) = find_runtimes() else { return };
    assert_eq!(report_of(&mut python_program(&python, "tokens.py")), expected(&json!("invalid_client")));
}

#[test]
fn simple_oauth2_and_jose_get_and_verify_tokens() {
    let Some((_, packages)) = find_runtimes() else { return };
    let program = packages.program(&source("tokens.mjs"));
    assert_eq!(report_of(&mut program.command()), expected(&json!([401, "invalid_client"])));
}

#[test]
fn openid_client_finds_token_endpoint_from_refusal() {
    let Some((_, packages)) = find_runtimes() else { return };
    let program = packages.program(&source("discovery.mjs"));
    let report = json!({"scope": "manage", "documents": 200, "refused": 401, "byDefault": true, "resource": true});
    assert_eq!(report_of(&mut program.command()), report);
}
