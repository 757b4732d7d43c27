//! Issuers that a reload replaces: which keys stay known, and which grants end.

use serde_json::json;

use super::*;

/// Replaces the issuers by a single one. Returns whether a key was retired.
fn reload(issuers: &Issuers, options: IssuerOptions) -> bool {
    issuers.replace(issuers.prepare(vec![options]).expect("issuers"))
}

#[test]
fn changed_rules_keep_the_keys_and_end_the_grants_of_the_old_ones() {
    let key = TestKey::p256();
    let issuers = with_keys(options_of_set(), vec![key.jwk("k")]);
    let (token, other) = (key.token("k", json!({})), key.token("k", json!({"aud": "other"})));
    let before = check_at(&issuers, &token, NOW).expect("good").key;
    assert!(!reload(&issuers, options_of_set()), "nothing has changed");
    assert!(!before.is_retired());

    let claims = ClaimRules { audience: "other".to_owned(), ..rules() };
    assert!(reload(&issuers, IssuerOptions { claims, ..options_of_set() }));
    assert!(before.is_retired());
    assert_denied(&issuers, &token, AuthError::Audience);
    assert!(!check_at(&issuers, &other, NOW).expect("good").key.is_retired());
    assert!(!replace(&issuers, vec![key.jwk("k")]), "the next fetch finds the same keys");
}

#[test]
fn keys_of_another_address_or_other_algorithms_are_not_kept() {
    let key = TestKey::p256();
    let moved = options(KeySource::KeySet("https://issuer.example/other".to_owned()));
    let restricted = IssuerOptions { algorithms: vec![SignatureAlgorithm(Algorithm::ES256)], ..options_of_set() };
    for changed in [moved, restricted] {
        let issuers = with_keys(options_of_set(), vec![key.jwk("k")]);
        let token = key.token("k", json!({}));
        let before = check_at(&issuers, &token, NOW).expect("good").key;
        assert!(reload(&issuers, changed));
        assert!(before.is_retired());
        let present = issuers.find(ISSUER).expect("the issuer");
        let header = claims::read_header(&token).expect("a header");
        let checked = issuers.verify(present, &token, &header, at(NOW));
        assert_eq!(checked.err(), Some(AuthError::UnknownIssuerKey(present)));
    }
}
