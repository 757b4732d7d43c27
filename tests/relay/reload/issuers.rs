//! Issuers that are added, changed and removed while their tokens are in use.

use std::path::PathBuf;

use serde_json::json;

use super::ConfiguredRelay;
use crate::auth::issuers::key_servers::changing;
use crate::auth::issuers::{IssuerKey, key_set, serving, stream_error};
use crate::harness::receiver::Reply;
use crate::harness::request::Request;

/// The tables of an issuer with a key set at this address.
fn issuer(url: &str, audience: &str) -> String {
    format!(
        "allow_private_endpoints = [\"127.0.0.0/8\"]\n[[issuers]]\nissuer = \"https://issuer.example\"\n\
         audience = \"{audience}\"\njwks_url = \"{url}\"\n"
    )
}

#[test]
fn added_issuer_is_accepted_and_removed_one_is_refused() {
    let configured = ConfiguredRelay::start("");
    let acme = configured.client();
    let key = IssuerKey::new("one");
    let server = serving(Reply { body: key_set(&[&key]), ..Reply::status(200) });
    let token = key.token(&json!({}));
    assert_eq!(stream_error(&configured.relay, &token), "auth_failed");
    let own = configured.relay.follow(&acme.token);

    let added = issuer(&server.url("/keys"), "relay");
    assert_eq!(configured.reload(&added)["changed"], json!(["issuers", "allow_private_endpoints"]));
    let mut foreign = configured.relay.follow(&token);
    assert!(foreign.head.is_chunked());
    assert_eq!(configured.relay.send(&Request::get("/documents").bearer(&token)).status, 200);
    // An issuer with the same settings keeps its keys and its streams.
    configured.reload(&format!("hook_rate = 9\n{added}"));
    assert_eq!(configured.relay.send(&Request::get("/documents").bearer(&token)).status, 200);
    assert_eq!(configured.relay.metric("docrelay_key_set_fetches_total"), 1);
    let hook = acme.add_unverified_hook("gini");
    let id = acme.post_gini(&hook.path, "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "COMPLETED");
    assert_eq!(foreign.next_event().id, id);

    configured.reload("");
    let end = foreign.read_to_end();
    assert!(end.iter().any(|block| block.data.as_deref() == Some("auth_failed")), "{end:?}");
    assert_eq!(stream_error(&configured.relay, &token), "auth_failed");
    assert_eq!(configured.relay.send(&Request::get("/documents").bearer(&token)).status, 401);
    let mut own = own;
    assert_eq!(own.next_event().id, id, "streams of own tokens go on");
    assert_eq!(configured.relay.metric("docrelay_followers"), 1);
}

#[test]
fn changed_audience_applies_to_tokens_that_were_accepted_before() {
    let key = IssuerKey::new("one");
    let server = serving(Reply { body: key_set(&[&key]), ..Reply::status(200) });
    let configured = ConfiguredRelay::start(&issuer(&server.url("/keys"), "relay"));
    configured.client();
    let status = |token: &str| configured.relay.send(&Request::get("/documents").bearer(token)).status;
    let (before, after) = (key.token(&json!({})), key.token(&json!({"aud": "other"})));
    assert_eq!((status(&before), status(&after)), (200, 401));
    configured.reload(&issuer(&server.url("/keys"), "other"));
    assert_eq!((status(&before), status(&after)), (401, 200));
}

#[test]
fn changed_table_keeps_the_key_set_while_its_server_fails() {
    let (key, other_key) = (IssuerKey::new("one"), IssuerKey::new("two"));
    let (server, reply) = changing(Reply { body: key_set(&[&key]), ..Reply::status(200) });
    let other_server = serving(Reply { body: key_set(&[&other_key]), ..Reply::status(200) });
    let other_name = "https://other.example";
    let other_table = format!(
        "[[issuers]]\nissuer = \"{other_name}\"\naudience = \"relay\"\njwks_url = \"{}\"\n",
        other_server.url("/keys")
    );
    let tables = |address: &str, rest: &str| format!("{}{rest}{other_table}", issuer(&server.url(address), "relay"));
    let configured = ConfiguredRelay::start(&tables("/keys", ""));
    let acme = configured.client();
    let (token, other) = (key.token(&json!({})), other_key.token(&json!({"iss": other_name})));
    let (mut stream, mut other_stream) = (configured.relay.follow(&token), configured.relay.follow(&other));
    let status = |path: &str, token: &str| configured.relay.send(&Request::get(path).bearer(token)).status;
    assert_eq!((status("/documents", &token), status("/documents", &other)), (200, 200));

    *reply.lock().expect("a reply") = Reply::status(500);
    configured.reload(&tables("/keys", "scopes = { \"openid\" = \"events\" }\n"));
    let end = stream.read_to_end();
    assert!(end.iter().any(|block| block.data.as_deref() == Some("auth_failed")), "{end:?}");
    assert!(configured.relay.follow(&token).head.is_chunked(), "the new mapping grants events");
    assert_eq!(status("/hooks", &token), 403, "and not manage");
    assert_eq!(configured.relay.metric("docrelay_key_set_fetches_total"), 2, "one for each issuer");
    let hook = acme.add_unverified_hook("gini");
    let id = acme.post_gini(&hook.path, "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "COMPLETED");
    assert_eq!(other_stream.next_event().id, id, "streams of the other issuer go on");

    configured.reload(&tables("/moved", ""));
    assert_eq!(status("/documents", &token), 401, "keys of another address");
    assert_eq!(status("/documents", &other), 200);
}

#[test]
fn issuer_with_a_bad_key_file_changes_nothing() {
    let key = IssuerKey::new("one");
    let server = serving(Reply { body: key_set(&[&key]), ..Reply::status(200) });
    let first = issuer(&server.url("/keys"), "relay");
    let configured = ConfiguredRelay::start(&first);
    let acme = configured.client();
    let (token, path) = (key.token(&json!({})), configured.relay.root().join("issuer.pem"));
    assert_eq!(configured.relay.send(&Request::get("/documents").bearer(&token)).status, 200);
    std::fs::write(&path, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n").expect("a file");
    let second = |path: &PathBuf| {
        format!(
            "hook_rate = 1\n{first}[[issuers]]\nissuer = \"b\"\naudience = \"relay\"\nkey_file = \"{}\"\n",
            path.display()
        )
    };
    let reason = configured.reload_refused(&second(&path));
    assert!(reason.contains("issuer.pem is not 1 to 8 public keys in PEM"), "{reason}");
    let reason = configured.reload_refused(&second(&configured.relay.root().join("absent.pem")));
    assert!(reason.contains("cannot read ") && reason.contains("absent.pem"), "{reason}");
    assert_eq!(configured.relay.send(&Request::get("/documents").bearer(&token)).status, 200);
    let hook = acme.add_unverified_hook("gini");
    for status in ["PENDING", "COMPLETED", "ERROR"] {
        acme.post_gini(&hook.path, "6ba7b810-9dad-11d1-80b4-00c04fd430c8", status);
    }
}
