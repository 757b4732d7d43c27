//! The claims of tokens whose signature is right: required ones, names of claims, scopes and their mapping.

use serde_json::{Value, json};

use super::*;
use crate::auth::{Scope, Scopes};

fn scopes_of(rules: ClaimRules, claims: Value) -> Result<String, AuthError> {
    let options = IssuerOptions { claims: rules, ..options_of_set() };
    let key = TestKey::ed25519();
    let issuers = with_keys(options, vec![key.jwk("k")]);
    check_at(&issuers, &key.token("k", claims), NOW).map(|token| token.claims.scopes.to_string())
}

// Rule 29: issuer, audience, algorithm and key are checked.
#[test]
fn issuer_audience_and_expiry_of_foreign_token_are_required() {
    let key = TestKey::ed25519();
    let issuers = with_keys(options_of_set(), vec![key.jwk("k")]);
    let deny = |claims: Value, error| assert_denied(&issuers, &key.token("k", claims), error);
    for claim in ["iss", "aud", "exp", "sub"] {
        deny(json!({ claim: null }), AuthError::Malformed);
        deny(json!({ claim: 7.5 }), if claim == "exp" { AuthError::Expired } else { AuthError::Malformed });
    }
    deny(json!({"iss": "https://issuer.example/"}), AuthError::Issuer);
    deny(json!({"iss": [ISSUER]}), AuthError::Malformed);
    deny(json!({"aud": "docrelay"}), AuthError::Audience);
    deny(json!({"aud": []}), AuthError::Audience);
    deny(json!({"aud": {"name": AUDIENCE}}), AuthError::Malformed);
    deny(json!({"exp": NOW}), AuthError::Expired);
    deny(json!({"exp": "20000"}), AuthError::Malformed);
    deny(json!({"nbf": NOW + 1}), AuthError::NotYetValid);
    deny(json!({"nbf": "soon"}), AuthError::Malformed);
    deny(json!({"iat": "then"}), AuthError::Malformed);
    deny(json!({"sub": "auth0|5f7c"}), AuthError::UnknownClient);
    assert_accepted(&issuers, &key.token("k", json!({"aud": ["other", AUDIENCE], "iat": null, "nbf": null})));
    let last = key.token("k", json!({}));
    assert!(check_at(&issuers, &last, NOW + 59).is_ok());
    assert_eq!(check_at(&issuers, &last, NOW + 60).err(), Some(AuthError::Expired));
}

#[test]
fn unknown_scopes_grant_nothing_and_known_ones_by_name() {
    let scopes = |scope: Value| scopes_of(rules(), json!({ "scope": scope }));
    assert_eq!(scopes(json!("openid events profile")), Ok("events".to_owned()));
    assert_eq!(scopes(json!(["manage", "events", "admin"])), Ok("events manage".to_owned()));
    for none in [json!("openid"), json!(""), json!("Events"), json!([]), json!(["events manage"]), Value::Null] {
        assert_eq!(scopes(none.clone()), Err(AuthError::Scope), "{none}");
    }
    for odd in [json!(true), json!(1), json!({"events": true}), json!(["events", 1])] {
        assert_eq!(scopes(odd.clone()), Err(AuthError::Malformed), "{odd}");
    }
}

#[test]
fn scope_mapping_replaces_names_of_scopes() {
    let mapping = vec![("read:events".to_owned(), Scope::Events.into()), ("admin".to_owned(), Scopes::ALL)];
    let mapped = ClaimRules { scopes: ScopeMapping::new(mapping), ..rules() };
    let scopes = |scope: &str| scopes_of(mapped.clone(), json!({ "scope": scope }));
    assert_eq!(scopes("openid read:events"), Ok("events".to_owned()));
    assert_eq!(scopes("admin"), Ok("events manage".to_owned()));
    assert_eq!(scopes("events manage"), Err(AuthError::Scope), "names that are not listed grant nothing");
}

#[test]
fn client_and_scopes_are_read_from_configured_claims() {
    let key = TestKey::ed25519();
    let client_claim = ClaimPath::new("https://issuer.example/client");
    let nested = ClaimRules { client_claim, scope_claim: ClaimPath::new("/access/roles"), ..rules() };
    let issuers = with_keys(IssuerOptions { claims: nested, ..options_of_set() }, vec![key.jwk("k")]);
    let roles = json!({"roles": ["manage"]});
    let claims = json!({"https://issuer.example/client": "other", "access": roles, "scope": null});
    let token = check_at(&issuers, &key.token("k", claims), NOW).expect("good").claims;
    assert_eq!((token.client.as_str(), token.scopes), ("other", Scope::Manage.into()));
    let claims = json!({"access": roles});
    assert_denied(&issuers, &key.token("k", claims), AuthError::Malformed);
}
