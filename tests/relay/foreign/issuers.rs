//! Issuers of other authors: the relay verifies their tokens with the keys that they publish.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{find_runtimes, python_program, source};
use crate::harness::child::{ChildProcess, read_lines};
use crate::harness::request::Request;
use crate::harness::{TIMEOUT, TestRelay};

/// Starts the issuer and checks that the relay accepts each of its tokens, with this `[[issuers]]` table.
#[track_caller]
fn assert_tokens_accepted(issuer: &mut Command, table: Value, count: usize) {
    // The client is older than its tokens.
    let mut relay = TestRelay::allowing_loopback_endpoints();
    relay.add_client("acme");
    let mut process = ChildProcess::spawn(issuer.stdin(Stdio::piped()).stdout(Stdio::piped())).expect("an issuer");
    let line = read_lines(process.take_stdout()).recv_timeout(TIMEOUT).expect("a line");
    let report: Value = serde_json::from_str(&line).expect("JSON");
    let mut table = table;
    table["issuer"] = report["issuer"].clone();
    table["jwks_url"] = report["jwks"].clone();
    relay.set_config("issuers", &inline_table(&table));
    relay.restart();
    let tokens = report["tokens"].as_object().expect("tokens");
    assert_eq!(tokens.len(), count);
    for (algorithm, token) in tokens {
        let token = token.as_str().expect("a token");
        let response = relay.send(&Request::get("/documents").bearer(token));
        assert_eq!(response.status, 200, "{algorithm}: {response:?}");
        assert!(relay.follow(token).head.is_chunked(), "{algorithm}");
    }
    assert_eq!(relay.metric("docrelay_key_set_failures_total"), 0);
}

/// A list with one table as the environment has it: TOML writes JSON's strings and lists alike, but not its objects.
fn inline_table(table: &Value) -> String {
    let entry = |(name, value): (&String, &Value)| match value {
        Value::Object(_) => format!("\"{name}\" = {}", inline_table(value).trim_matches(['[', ']'])),
        value => format!("\"{name}\" = {value}"),
    };
    let entries: Vec<_> = table.as_object().expect("a table").iter().map(entry).collect();
    format!("[{{{}}}]", entries.join(", "))
}

#[test]
fn tokens_of_oauth2_mock_server_are_accepted() {
    let Some((_, packages)) = find_runtimes() else { return };
    let program = packages.program(&source("issuer.mjs"));
    assert_tokens_accepted(&mut program.command(), json!({"audience": "https://relay.example"}), 3);
}

#[test]
fn id_token_of_oidc_provider_mock_is_accepted() {
    let Some((python, _)) = find_runtimes() else { return };
    let table = json!({
        "audience": "relay", "algorithms": ["RS256"], "scope_claim": "relay_roles", "scopes": {"follower": "events"},
    });
    assert_tokens_accepted(&mut python_program(&python, "issuer.py"), table, 1);
}
