//! Key sets: members of keys that must be respected, keys that are left out, ids that select none, replaced sets.

use serde_json::json;

use super::*;
use jwk::KeySetError;

fn read(keys: &Value, accepted: &[Algorithm]) -> Result<usize, KeySetError> {
    jwk::read_key_set(keys.to_string().as_bytes(), accepted).map(|keys| keys.len())
}

/// Whether a key with this member changed is used; `null` removes the member.
fn is_used(key: &TestKey, member: &str, value: Value) -> bool {
    let mut jwk = json_without(key.jwk("k"), "alg");
    jwk[member] = value;
    if jwk[member].is_null() {
        jwk = json_without(jwk, member);
    }
    read(&json!({"keys": [jwk, TestKey::ed25519().jwk("other")]}), &[]) == Ok(2)
}

#[test]
fn key_for_another_purpose_is_left_out() {
    let key = TestKey::p256();
    for (member, value) in [
        ("use", json!("enc")),
        ("use", json!("")),
        ("use", json!(["sig"])),
        ("key_ops", json!(["sign"])),
        ("key_ops", json!([])),
        ("key_ops", json!("verify")),
        ("alg", json!("ES384")),
        ("alg", json!("RS256")),
        ("alg", json!("Ed25519")),
        ("alg", json!("HS256")),
        ("alg", json!("ECDH-ES")),
        ("alg", json!(7)),
        ("kty", json!("RSA")),
        ("kty", json!("oct")),
        ("kty", Value::Null),
        ("crv", json!("P-384")),
        ("crv", json!("P-521")),
        ("crv", json!("Ed25519")),
        ("crv", Value::Null),
        ("x", json!("AAAA")),
        ("x", json!("=")),
        ("y", Value::Null),
        ("d", json!("AAAA")),
        ("k", json!("AAAA")),
        ("kid", json!(["k"])),
        ("kid", json!("k".repeat(1025))),
    ] {
        assert!(!is_used(&key, member, value.clone()), "{member}: {value}");
    }
    for (member, value) in [
        ("use", Value::Null),
        ("alg", json!("ES256")),
        ("key_ops", json!(["verify"])),
        ("x5c", json!(["not a certificate"])),
        ("x5u", json!("https://evil.example/")),
        ("unknown", json!({"a": [1]})),
        ("kid", Value::Null),
    ] {
        assert!(is_used(&key, member, value.clone()), "{member}: {value}");
    }
    // RFC 9864.
    assert!(is_used(&TestKey::ed25519(), "alg", json!("Ed25519")));
}

// Rule 29: issuer, audience, algorithm and key are checked.
#[test]
fn symmetric_key_in_set_is_refused() {
    let k = data_encoding::BASE64URL_NOPAD.encode(b"0123456789abcdef0123456789abcdef");
    let oct = json!({"kty": "oct", "kid": "k", "alg": "HS256", "use": "sig", "k": k});
    assert_eq!(read(&json!({"keys": [oct]}), &[]), Err(KeySetError::NoUsableKey));
    let issuers = with_keys(options_of_set(), vec![oct, RSA.jwk("r")]);
    let secret = EncodingKey::from_secret(b"0123456789abcdef0123456789abcdef");
    let header = Header { kid: Some("k".to_owned()), ..Header::new(Algorithm::HS256) };
    let token = jsonwebtoken::encode(&header, &changed(json!({})), &secret).expect("signed");
    assert_denied(&issuers, &token, AuthError::UnknownIssuerKey(IssuerIndex(0)));
}

#[test]
fn small_rsa_key_and_point_off_the_curve_are_left_out() {
    let n = data_encoding::BASE64URL_NOPAD.encode(&[0xC5; 128]);
    assert!(!is_used(&RSA, "n", json!(n)), "1024 bits");
    assert!(!is_used(&RSA, "e", json!("AQ")), "1");
    assert!(!is_used(&RSA, "n", json!("")));
    let y = data_encoding::BASE64URL_NOPAD.encode(&[7; 32]);
    assert!(!is_used(&TestKey::p256(), "y", json!(y)));
}

#[test]
fn set_that_is_malformed_or_too_large_is_refused_as_a_whole() {
    let key = TestKey::ed25519();
    for malformed in ["", "[]", "{}", "null", "{\"keys\":{}}", "{\"keys\":[]", "<html>", "{\"keys\":[]}{\"keys\":[]}"] {
        let read = jwk::read_key_set(malformed.as_bytes(), &[]).err();
        assert_eq!(read, Some(KeySetError::Malformed), "{malformed}");
    }
    let deep = format!("{{\"keys\":[{}1{}]}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(jwk::read_key_set(deep.as_bytes(), &[]).err(), Some(KeySetError::Malformed));
    assert_eq!(read(&json!({"keys": []}), &[]), Err(KeySetError::NoUsableKey));
    let keys = |count: usize| json!({"keys": (0..count).map(|n| key.jwk(&n.to_string())).collect::<Vec<_>>()});
    assert_eq!(read(&keys(100), &[]), Ok(100));
    assert_eq!(read(&keys(101), &[]), Err(KeySetError::TooManyKeys));
    let rest = json!({"keys": [1, "x", null, [], {}, key.jwk("k")]});
    assert_eq!(read(&rest, &[]), Ok(1), "keys that are no objects do not harm the others");
}

#[test]
fn configured_algorithms_restrict_keys_of_set() {
    let algorithms = vec![SignatureAlgorithm(Algorithm::RS256), SignatureAlgorithm(Algorithm::EdDSA)];
    let keys = [json_without(RSA.jwk("r"), "alg"), TestKey::p256().jwk("e")];
    let issuers = with_keys(IssuerOptions { algorithms, ..options_of_set() }, keys.to_vec());
    assert_accepted(&issuers, &RSA.token("r", json!({})));
    let header = Header { alg: Algorithm::PS256, ..RSA.header("r") };
    assert_denied(&issuers, &RSA.sign(&header, &changed(json!({}))), AuthError::Algorithm);
    assert_eq!(read(&json!({"keys": [keys[1]]}), &[Algorithm::RS256]), Err(KeySetError::NoUsableKey));
    let declared = with_keys(options_of_set(), vec![RSA.jwk("r")]);
    assert_denied(&declared, &RSA.sign(&header, &changed(json!({}))), AuthError::Algorithm);
}

// Rule 29: issuer, audience, algorithm and key are checked.
#[test]
fn kid_of_two_keys_of_one_type_selects_none() {
    let (first, second, other) = (TestKey::p256(), TestKey::p256(), TestKey::ed25519());
    let issuers = with_keys(options_of_set(), vec![first.jwk("k"), second.jwk("k"), other.jwk("k")]);
    assert_denied(&issuers, &first.token("k", json!({})), AuthError::UnknownKey);
    assert_denied(&issuers, &second.token("k", json!({})), AuthError::UnknownKey);
    // RFC 7517, 4.5: keys of different types may share an id.
    assert_accepted(&issuers, &other.token("k", json!({})));
}

#[test]
fn token_without_kid_needs_a_single_fitting_key() {
    let (first, second, other) = (TestKey::p256(), TestKey::p256(), TestKey::ed25519());
    let without = |key: &TestKey| key.sign(&Header { kid: None, ..key.header("") }, &changed(json!({})));
    let issuers = with_keys(options_of_set(), vec![first.jwk("a"), other.jwk("b")]);
    assert_accepted(&issuers, &without(&first));
    assert_accepted(&issuers, &without(&other));
    let issuers = with_keys(options_of_set(), vec![first.jwk("a"), second.jwk("b")]);
    assert_denied(&issuers, &without(&first), AuthError::UnknownKey);
    // A set without ids: a few keys are tried, many are not.
    let anonymous = |key: &TestKey| json_without(key.jwk(""), "kid");
    let few = with_keys(options_of_set(), vec![anonymous(&first), anonymous(&second)]);
    assert_accepted(&few, &second.token("x", json!({})));
    let many = with_keys(options_of_set(), (0..9).map(|_| anonymous(&TestKey::p256())).collect());
    assert_denied(&many, &first.token("x", json!({})), AuthError::UnknownKey);
}

#[test]
fn replaced_set_keeps_status_of_its_keys_and_retires_the_others() {
    let (old, kept, new) = (TestKey::p256(), TestKey::p256(), TestKey::p256());
    let issuers = with_keys(options_of_set(), vec![old.jwk("1"), kept.jwk("2")]);
    let status = |key: &TestKey, kid| check_at(&issuers, &key.token(kid, json!({})), NOW).map(|token| token.key);
    let (of_old, of_kept) = (status(&old, "1").expect("good"), status(&kept, "2").expect("good"));
    assert!(!replace(&issuers, vec![kept.jwk("2"), old.jwk("1")]), "another order is no change");
    assert!(replace(&issuers, vec![kept.jwk("2"), new.jwk("1")]), "another key with the id of the old one");
    assert!(of_old.is_retired() && !of_kept.is_retired());
    assert_eq!(status(&kept, "2"), Ok(of_kept));
    assert_eq!(status(&old, "1"), Err(AuthError::InvalidSignature));
    assert!(status(&new, "1").is_ok());
}
