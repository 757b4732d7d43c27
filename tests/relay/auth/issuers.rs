//! Tokens of foreign issuers on a running relay. This file: an issuer with a server for its key set, and what its
//! tokens can do.

mod configuration;
pub(crate) mod key_servers;
mod metadata;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, get_current_timestamp};
use serde_json::{Value, json};

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::receiver::{Receiver, Reply};
use crate::harness::request::Request;
use crate::harness::response::{assert_problem, string_at};

const ISSUER: &str = "https://issuer.example";

/// A key pair of the issuer.
pub(crate) struct IssuerKey {
    kid: &'static str,
    private: EncodingKey,
    /// The public key as a JWK.
    pub(super) jwk: Value,
}

impl IssuerKey {
    pub(crate) fn new(kid: &'static str) -> Self {
        let pair = Ed25519KeyPair::generate().expect("a key");
        let x = BASE64URL_NOPAD.encode(pair.public_key().as_ref());
        let private = EncodingKey::from_ed_der(pair.to_pkcs8v1().expect("DER").as_ref());
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid, "x": x});
        Self { kid, private, jwk }
    }

    /// A token for the client `acme` with both scopes and these claims changed; `null` removes a claim.
    pub(crate) fn token(&self, changes: &Value) -> String {
        let now = get_current_timestamp();
        let mut claims = json!({
            "iss": ISSUER, "aud": "relay", "sub": "acme", "scope": "openid events manage", "iat": now, "exp": now + 600,
        });
        for (name, value) in changes.as_object().expect("claims") {
            claims[name] = value.clone();
        }
        claims.as_object_mut().expect("claims").retain(|_, value| !value.is_null());
        let header = Header { kid: Some(self.kid.to_owned()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, &claims, &self.private).expect("a token")
    }
}

/// The body of a key set.
pub(crate) fn key_set(keys: &[&IssuerKey]) -> String {
    json!({"keys": keys.iter().map(|key| &key.jwk).collect::<Vec<_>>()}).to_string()
}

/// A server with this response to every request.
pub(crate) fn serving(reply: Reply) -> Receiver {
    Receiver::start(move |_, _| reply.clone())
}

/// A relay with the client `acme`, which accepts the tokens of an issuer whose key set is here.
pub(super) fn relay_with(server: &Receiver) -> TestRelay {
    relay_with_address(&server.url("/keys"))
}

/// The same for any address.
pub(super) fn relay_with_address(jwks_url: &str) -> TestRelay {
    let issuers = format!("[{{issuer = \"{ISSUER}\", audience = \"relay\", jwks_url = \"{jwks_url}\"}}]");
    let relay = TestRelay::with_config(&[("allow_private_endpoints", "127.0.0.0/8"), ("issuers", &issuers)]);
    relay.add_client("acme");
    relay
}

/// The error that ends a stream with this token at once.
#[track_caller]
pub(crate) fn stream_error(relay: &TestRelay, token: &str) -> String {
    let mut follower = relay.follow(token);
    let event = follower.next_event();
    assert_eq!(event.name, "error");
    event.data
}

#[test]
fn foreign_token_opens_streams_manages_and_gets_tickets() {
    let key = IssuerKey::new("one");
    let server = serving(Reply { body: key_set(&[&key]), ..Reply::status(200) });
    let relay = relay_with(&server);
    let token = key.token(&json!({}));
    relay.wait_for_output("tokens of issuer accepted");
    let hook =
        relay.send(&Request::post("/hooks").bearer(&token).json(r#"{"vendor":"gini","verify":{"type":"none"}}"#));
    assert_eq!(hook.status, 201, "{hook:?}");
    let hook = string_at(&hook.json(), "url");
    let mut follower = relay.follow(&token);
    let ticket = relay.send(&Request::post("/events/ticket").bearer(&token).json("{}"));
    let mut page = relay.follow(&string_at(&ticket.json(), "token"));
    let path = hook.split_once("/in/").expect("a hook").1;
    let webhook = Request::post(&format!("/in/{path}"));
    let body = r#"{"documentId":"6ba7b810-9dad-11d1-80b4-00c04fd430c8","status":"COMPLETED"}"#;
    assert_eq!(relay.send(&webhook.json(body)).status, 200);
    assert_eq!(follower.next_event().id, page.next_event().id);

    let reader = key.token(&json!({"scope": "events"}));
    assert_problem(&relay.send(&Request::get("/hooks").bearer(&reader)), 403);
    let nothing = key.token(&json!({"scope": "openid"}));
    let refused = relay.send(&Request::get("/documents").bearer(&nothing));
    assert_problem(&refused, 403);
    assert!(refused.header("www-authenticate").is_some_and(|v| v.contains("insufficient_scope")), "{refused:?}");
    assert_eq!(stream_error(&relay, &nothing), "auth_failed");
    let own = TestClient::new(&relay, "other");
    assert_eq!(relay.send(&Request::get("/documents").bearer(&own.token)).status, 200, "own tokens as before");
    assert_eq!(relay.metric("docrelay_key_set_fetches_total"), 1);
    for token in [&token, &reader, &nothing] {
        assert!(!relay.output().contains(token.as_str()));
    }
}

// Rule 28: invalid is not anonymous.
#[test]
fn foreign_token_that_is_not_valid_gets_auth_failed() {
    let (key, forger) = (IssuerKey::new("one"), IssuerKey::new("one"));
    let server = serving(Reply { body: key_set(&[&key]), ..Reply::status(200) });
    let relay = relay_with(&server);
    let now = get_current_timestamp();
    for token in [
        forger.token(&json!({})),
        key.token(&json!({"iss": "https://evil.example"})),
        key.token(&json!({"iss": "docrelay"})),
        key.token(&json!({"iss": null})),
        key.token(&json!({"aud": "docrelay"})),
        key.token(&json!({"aud": null})),
        key.token(&json!({"exp": now - 1})),
        key.token(&json!({"exp": null})),
        key.token(&json!({"nbf": now + 60})),
        key.token(&json!({"sub": "unknown"})),
        key.token(&json!({"sub": "../acme"})),
        key.token(&json!({"sub": null})),
        key.token(&json!({"iat": now - 3600})),
        key.token(&json!({"pad": "x".repeat(8_192)})),
        relay.sign_token(&json!({"iss": ISSUER, "aud": "relay"})),
    ] {
        assert_eq!(stream_error(&relay, &token), "auth_failed");
        assert_problem(&relay.send(&Request::get("/documents").bearer(&token)), 401);
    }
    let token = key.token(&json!({}));
    let mut follower = relay.follow(&token);
    relay.remove_client("acme");
    assert!(follower.ends());
    assert_eq!(stream_error(&relay, &token), "auth_failed");
    // A token without `iat` does not say that it is older than the client that has the name now.
    let undated = key.token(&json!({"iat": null}));
    assert_eq!(stream_error(&relay, &undated), "auth_failed");
    relay.add_client("acme");
    assert!(relay.follow(&undated).head.is_chunked());
}
