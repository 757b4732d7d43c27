//! Verification of valid, forged and expired tokens, and the cache of verified tokens.

mod tickets;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

use super::*;
use crate::auth::KeyStatus;
use crate::domain::{Client, ClientId, ClientLimits, Hook, Notification, NotificationState, Secret};
use crate::store::StoreFuture;

/// A registry of clients only.
#[derive(Default)]
struct Clients(Mutex<BTreeMap<ClientId, Arc<Client>>>);

impl Clients {
    fn put(&self, name: &str, created: Timestamp) {
        let client = Client { id: id(name), created, secret: Secret::new("s"), previous: None };
        self.0.lock().expect("sound").insert(id(name), Arc::new(client));
    }

    fn remove(&self, name: &str) {
        self.0.lock().expect("sound").remove(&id(name));
    }
}

impl Registry for Clients {
    fn clients(&self) -> Vec<Arc<Client>> {
        self.0.lock().expect("sound").values().cloned().collect()
    }
    fn client(&self, id: &ClientId) -> Option<Arc<Client>> {
        self.0.lock().expect("sound").get(id).cloned()
    }
    fn hook_by_key(&self, _: &str) -> Option<(ClientRef, Arc<Hook>)> {
        None
    }
    fn hooks(&self, _: &ClientRef) -> Vec<Arc<Hook>> {
        Vec::new()
    }
    fn hook_count(&self) -> usize {
        0
    }
    fn add_client(&self, _: Client) -> StoreFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }
    fn update_client(&self, _: &Client, _: Client) -> StoreFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }
    fn remove_client(&self, _: &ClientId) -> StoreFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }
    fn client_limits(&self, _: &ClientRef) -> ClientLimits {
        ClientLimits::default()
    }
    fn set_client_limits(&self, _: &ClientRef, _: ClientLimits, _: ClientLimits) -> StoreFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }
    fn add_hook(&self, _: &ClientRef, _: Hook) -> StoreFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }
    fn update_hook(&self, _: &ClientRef, _: &Hook, _: Hook) -> StoreFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }
    fn remove_hook(&self, _: &ClientRef, _: &str) -> StoreFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }
    fn notifications(&self, _: &ClientRef) -> Vec<Arc<Notification>> {
        Vec::new()
    }
    fn add_notification(&self, _: &ClientRef, _: Notification) -> StoreFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }
    fn update_notification(&self, _: &ClientRef, _: &Notification, _: Notification) -> StoreFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }
    fn set_notification_state(&self, _: &ClientRef, _: &Notification, _: NotificationState) -> StoreFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }
    fn remove_notification(&self, _: &ClientRef, _: &str) -> StoreFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

const HOUR: Duration = Duration::from_secs(3600);

fn id(name: &str) -> ClientId {
    name.parse().expect("a good name")
}

fn acme() -> ClientRef {
    ClientRef { id: id("acme"), created: at(5_000) }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

/// A relay at second 10 000 with the client `acme`, created at 5 000.
struct Relay {
    keys: Keys,
    clients: Arc<Clients>,
    auth: Authenticator,
    _home: tempfile::TempDir,
}

const NOW: i64 = 10_000;

impl Relay {
    fn start() -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let keys = Keys::open_or_create(home.path(), at(NOW)).expect("keys");
        let clients = Arc::new(Clients::default());
        clients.put("acme", at(5_000));
        let auth = Authenticator::new(keys.clone(), Issuers::open(Vec::new()).expect("no issuers"), clients.clone());
        Self { keys, clients, auth, _home: home }
    }

    fn token(&self) -> String {
        self.keys.issue(&acme(), &Scopes::ALL, HOUR, at(NOW)).expect("signed")
    }

    /// Signs arbitrary claims with the relay's own key.
    fn forge(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.keys.newest().1).expect("signed")
    }

    fn header(&self) -> Header {
        Header { kid: Some(self.keys.newest().0), ..Header::new(Algorithm::EdDSA) }
    }

    /// Checks a correctly signed token with changed claims; `Value::Null` removes a claim.
    fn with(&self, changes: Value) -> Result<Grant, AuthError> {
        let mut claims = claims();
        for (key, value) in changes.as_object().expect("an object") {
            match value {
                Value::Null => drop(claims.as_object_mut().expect("an object").remove(key)),
                value => claims[key] = value.clone(),
            }
        }
        self.auth.check(&self.forge(&self.header(), &claims), at(NOW))
    }
}

fn claims() -> Value {
    json!({"iss": "docrelay", "aud": "docrelay", "sub": "acme", "scope": "events", "iat": NOW, "exp": NOW + 60, "jti": "1"})
}

/// A token made of unverified parts.
fn raw(header: &Value, claims: &Value, signature: &[u8]) -> String {
    let part = |v: &Value| BASE64URL_NOPAD.encode(v.to_string().as_bytes());
    format!("{}.{}.{}", part(header), part(claims), BASE64URL_NOPAD.encode(signature))
}

#[test]
fn issued_token_carries_client_scopes_and_expiry() {
    let relay = Relay::start();
    let token = relay.token();
    let grant = relay.auth.check(&token, at(NOW)).expect("good");
    let expected = Grant { client: acme(), expires: at(NOW + 3600), ticket: None, ..grant.clone() };
    assert_eq!(grant.scopes, Scopes::ALL);
    assert_eq!(grant, expected);
    assert_eq!(relay.auth.check(&token, at(NOW)), Ok(expected), "the cached grant is the same");
    assert_ne!(relay.token(), token, "each has a jti of its own");
    assert_eq!(relay.with(json!({})).expect("good").require(Scope::Manage), Err(AuthError::Scope));
}

#[test]
fn token_is_invalid_at_its_expiry_cached_or_not() {
    let relay = Relay::start();
    let end = at(NOW + 3600);
    let last = end.minus(Duration::from_millis(1));
    let (fresh, remembered) = (relay.token(), relay.token());
    assert!(relay.auth.check(&remembered, last).is_ok());
    for now in [end, at(NOW + 3601)] {
        assert_eq!(relay.auth.check(&remembered, now), Err(AuthError::Expired));
        assert_eq!(relay.auth.check(&fresh, now), Err(AuthError::Expired));
    }
    assert_eq!(relay.auth.inner.verified.len(), 0, "expired tokens are removed");
}

#[test]
fn token_of_removed_client_is_rejected_at_once() {
    let relay = Relay::start();
    let token = relay.token();
    let grant = relay.auth.check(&token, at(NOW)).expect("good");
    relay.clients.remove("acme");
    assert_eq!(relay.auth.check(&token, at(NOW)), Err(AuthError::UnknownClient));
    assert_eq!(relay.auth.check_grant(&grant, at(NOW)), Err(AuthError::UnknownClient));
}

#[test]
fn recreated_client_does_not_inherit_tokens() {
    let relay = Relay::start();
    let token = relay.token();
    assert!(relay.auth.check(&token, at(NOW)).is_ok());
    relay.clients.put("acme", at(NOW + 1));
    assert_eq!(relay.auth.check(&token, at(NOW + 1)), Err(AuthError::UnknownClient));
    relay.clients.put("acme", Timestamp::from_millis(NOW * 1000 + 1));
    assert_eq!(relay.auth.check(&token, at(NOW + 1)), Err(AuthError::UnknownClient), "`iat` has whole seconds");
}

#[test]
fn token_without_creation_claim_needs_older_client() {
    let relay = Relay::start();
    let token = relay.forge(&relay.header(), &claims());
    for (created_ms, good) in [(NOW * 1000 + 999, true), (NOW * 1000 + 1000, false)] {
        relay.clients.put("acme", Timestamp::from_millis(created_ms));
        let checked = relay.auth.check(&token, at(NOW + 1));
        assert_eq!(checked.map(|grant| grant.client.created.millis()).ok(), good.then_some(created_ms));
    }
    assert_eq!(relay.with(json!({"client_created": i64::MIN})), Err(AuthError::UnknownClient));
}

// Rule 29: issuer, audience, algorithm and key are checked.
#[test]
fn algorithms_other_than_eddsa_are_rejected() {
    let relay = Relay::start();
    let (kid, _, x) = relay.keys.newest();
    for alg in ["none", "None", "NONE", ""] {
        let token = raw(&json!({"alg": alg, "kid": kid}), &claims(), b"");
        assert_eq!(relay.auth.check(&token, at(NOW)), Err(AuthError::Malformed), "{alg:?}");
    }
    let public = BASE64URL_NOPAD.decode(x.as_bytes()).expect("base64");
    for secret in [public, relay.keys.jwks_json().to_vec(), x.as_bytes().to_vec()] {
        let header = Header { kid: Some(kid.clone()), ..Header::new(Algorithm::HS256) };
        let token = jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(&secret)).expect("signed");
        assert_eq!(relay.auth.check(&token, at(NOW)), Err(AuthError::Algorithm));
    }
}

// Rule 29: issuer, audience, algorithm and key are checked.
#[test]
fn keys_named_in_the_header_are_not_trusted() {
    let relay = Relay::start();
    let other = Relay::start();
    let theirs = other.forge(&other.header(), &claims());
    assert_eq!(relay.auth.check(&theirs, at(NOW)), Err(AuthError::UnknownKey));
    let posing = Header { kid: relay.header().kid, ..other.header() };
    assert_eq!(relay.auth.check(&other.forge(&posing, &claims()), at(NOW)), Err(AuthError::InvalidSignature));
    // A header that brings its key, or says where it is.
    let jwks: jsonwebtoken::jwk::JwkSet = serde_json::from_slice(&other.keys.jwks_json()).expect("a set of keys");
    let address = Some("https://evil.example/jwks.json".to_owned());
    let brought = Header { jwk: jwks.keys.first().cloned(), ..posing.clone() };
    for header in [brought, Header { jku: address.clone(), ..posing.clone() }, Header { x5u: address, ..posing }] {
        assert_eq!(relay.auth.check(&other.forge(&header, &claims()), at(NOW)), Err(AuthError::InvalidSignature));
        let theirs = Header { kid: other.header().kid, ..header };
        assert_eq!(relay.auth.check(&other.forge(&theirs, &claims()), at(NOW)), Err(AuthError::UnknownKey));
    }
    for kid in [None, Some(String::new()), Some("../seal".to_owned())] {
        let header = Header { kid, ..relay.header() };
        assert_eq!(relay.auth.check(&relay.forge(&header, &claims()), at(NOW)), Err(AuthError::UnknownKey));
    }
    let critical = Header { crit: Some(vec!["b64".to_owned()]), ..relay.header() };
    assert_eq!(relay.auth.check(&relay.forge(&critical, &claims()), at(NOW)), Err(AuthError::Malformed));
}

#[test]
fn token_changed_in_any_byte_is_rejected() {
    let relay = Relay::start();
    let token = relay.token();
    for at_byte in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at_byte] = if bytes[at_byte] == b'A' { b'B' } else { b'A' };
        let touched = String::from_utf8(bytes).expect("ASCII");
        assert!(relay.auth.check(&touched, at(NOW)).is_err(), "byte {at_byte}");
    }
    let cut = token.rsplit_once('.').expect("three parts").0;
    for bad in [cut, "", ".", "..", "...", "a.b.c", "\u{1f511}", &format!("{token}."), &format!("{token} ")] {
        assert!(relay.auth.check(bad, at(NOW)).is_err(), "{bad:?}");
    }
    assert_eq!(relay.auth.check("", at(NOW)), Err(AuthError::Missing));
    assert_eq!(relay.auth.check(&"a".repeat(MAX_TOKEN_BYTES + 1), at(NOW)), Err(AuthError::TooLong));
}

// Rule 29: issuer, audience, algorithm and key are checked.
#[test]
fn issuer_audience_subject_scope_and_times_are_required() {
    let relay = Relay::start();
    for claim in ["iss", "aud", "sub", "scope", "exp", "iat"] {
        assert_eq!(relay.with(json!({ claim: null })), Err(AuthError::Malformed), "{claim}");
    }
    assert_eq!(relay.with(json!({"iss": "evil"})), Err(AuthError::Issuer));
    assert_eq!(relay.with(json!({"iss": ["evil", "docrelay"]})), Err(AuthError::Malformed));
    assert_eq!(relay.with(json!({"aud": "other"})), Err(AuthError::Audience));
    assert_eq!(relay.with(json!({"aud": []})), Err(AuthError::Audience));
    assert!(relay.with(json!({"aud": ["other", "docrelay"]})).is_ok());
    assert_eq!(relay.with(json!({"sub": "nobody"})), Err(AuthError::UnknownClient));
    assert_eq!(relay.with(json!({"sub": "no\nname"})), Err(AuthError::UnknownClient));
    assert_eq!(relay.with(json!({"scope": "events admin"})), Err(AuthError::Malformed));
    assert_eq!(relay.with(json!({"scope": ""})), Err(AuthError::Malformed));
}

// Rule 19: times do not overflow.
#[test]
fn extreme_times_neither_overflow_nor_give_access() {
    let relay = Relay::start();
    let end = |exp: Value| relay.with(json!({ "exp": exp })).map(|grant| grant.expires);
    assert_eq!(end(json!(i64::MAX)), Ok(Timestamp::from_millis(i64::MAX)));
    assert_eq!(end(json!(u64::MAX)), Ok(Timestamp::from_millis(i64::MAX)));
    assert_eq!(end(json!(1e300)), Ok(Timestamp::from_millis(i64::MAX)));
    assert_eq!(end(json!(10_000.001_5)), Ok(Timestamp::from_millis(10_000_001)));
    for passed in [json!(NOW), json!(NOW - 1), json!(0), json!(-1), json!(i64::MIN), json!(-1e300), json!(9999.9999)] {
        assert_eq!(end(passed.clone()), Err(AuthError::Expired), "{passed}");
    }
    for odd in [json!("10060"), json!(true), json!([10060]), json!({})] {
        assert_eq!(end(odd.clone()), Err(AuthError::Malformed), "{odd}");
    }
    assert_eq!(relay.with(json!({"iat": -1})), Err(AuthError::UnknownClient));
    assert_eq!(relay.with(json!({"nbf": NOW + 1})), Err(AuthError::NotYetValid));
    assert_eq!(relay.with(json!({"nbf": i64::MAX})), Err(AuthError::NotYetValid));
    assert_eq!(relay.with(json!({"nbf": "soon"})), Err(AuthError::Malformed));
    assert!(relay.with(json!({"nbf": NOW})).is_ok());
}

#[test]
fn token_is_rejected_until_its_not_before_time() {
    let relay = Relay::start();
    let mut later = claims();
    later["nbf"] = json!(NOW + 30);
    let token = relay.forge(&relay.header(), &later);
    assert_eq!(relay.auth.check(&token, at(NOW + 29)), Err(AuthError::NotYetValid));
    assert!(relay.auth.check(&token, at(NOW + 30)).is_ok());
}

#[test]
fn verified_token_cache_is_bounded_and_drops_expired_tokens() {
    let relay = Relay::start();
    let cache = &relay.auth.inner.verified;
    let grant =
        |end| Grant { client: acme(), scopes: Scopes::ALL, key: KeyStatus::default(), expires: at(end), ticket: None };
    for n in 0..MAX_CACHED_TOKENS as u64 {
        let mut cache_key = [0; 32];
        cache_key[..8].copy_from_slice(&n.to_le_bytes());
        cache.insert(cache_key, grant(if n == 0 { NOW + 1 } else { NOW + 100 }));
    }
    assert!(relay.auth.check(&relay.token(), at(NOW)).is_ok(), "a full cache does not reject tokens");
    assert_eq!(cache.len(), MAX_CACHED_TOKENS);
    assert!(relay.auth.check(&relay.token(), at(NOW + 2)).is_ok());
    assert!(relay.auth.check(&relay.token(), at(NOW + 3)).is_ok());
    assert_eq!(cache.len(), MAX_CACHED_TOKENS, "one had expired, one took its place");
    assert!(relay.auth.check(&relay.token(), at(NOW + 101)).is_ok());
    assert_eq!(cache.len(), 2);
}

#[test]
fn keys_are_added_and_retired_without_restart() {
    let relay = Relay::start();
    let old = relay.token();
    let old_file = std::fs::read_dir(relay._home.path()).expect("listed").next().expect("one").expect("entry").path();
    let other = tempfile::tempdir().expect("a directory");
    Keys::open_or_create(other.path(), at(2_000_000_000)).expect("made");
    let new_file = std::fs::read_dir(other.path()).expect("listed").next().expect("one").expect("entry").path();
    std::fs::rename(&new_file, relay._home.path().join(new_file.file_name().expect("a name"))).expect("moved");
    relay.auth.reload_keys(at(NOW)).expect("read");
    let new = relay.token();
    let grant = relay.auth.check(&old, at(NOW)).expect("both keys verify");
    assert!(relay.auth.check(&new, at(NOW)).is_ok());

    std::fs::remove_file(old_file).expect("deleted");
    relay.auth.reload_keys(at(NOW)).expect("read");
    assert_eq!(relay.auth.check(&old, at(NOW)), Err(AuthError::UnknownKey), "also if it was cached");
    assert_eq!(relay.auth.check_grant(&grant, at(NOW)), Err(AuthError::UnknownKey));
    assert!(relay.auth.check(&new, at(NOW)).is_ok());
}
