//! Tokens that confuse a careless verifier: algorithms of another type of key, public keys as secrets, headers that
//! bring keys, names that occur twice.

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::EncodingKey;
use serde_json::json;

use super::*;

fn raw(header: &str, claims: &str, signature: &[u8]) -> String {
    let part = |text: &[u8]| BASE64URL_NOPAD.encode(text);
    format!("{}.{}.{}", part(header.as_bytes()), part(claims.as_bytes()), part(signature))
}

// Rule 29: issuer, audience, algorithm and key are checked.
#[test]
fn public_key_as_shared_secret_is_refused() {
    for key in [RSA.clone(), TestKey::p256(), TestKey::ed25519()] {
        let jwk = key.jwk("k");
        let issuers = with_keys(options_of_set(), vec![jwk.clone()]);
        let file = key_files::file(&key.pem);
        let by_file = Issuers::open(vec![options(KeySource::PublicKeys(file.path().to_owned()))]).expect("issuers");
        let member = jwk["n"].as_str().or(jwk["x"].as_str()).expect("a member");
        let bytes = BASE64URL_NOPAD.decode(member.as_bytes()).expect("base64");
        for secret in
            [key.pem.as_bytes(), key.pem.trim().as_bytes(), jwk.to_string().as_bytes(), member.as_bytes(), &bytes]
        {
            for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
                let header = Header { alg: algorithm, ..key.header("k") };
                let secret = EncodingKey::from_secret(secret);
                let token = jsonwebtoken::encode(&header, &changed(json!({})), &secret).expect("signed");
                assert_denied(&issuers, &token, AuthError::Algorithm);
                assert_denied(&by_file, &token, AuthError::Algorithm);
            }
        }
    }
}

// Rule 29: issuer, audience, algorithm and key are checked.
#[test]
fn unsigned_token_is_refused() {
    let issuers = with_keys(options_of_set(), vec![RSA.jwk("k")]);
    let claims = changed(json!({})).to_string();
    for alg in ["none", "None", "NONE", "nOnE", "", "RS1", "HS256\0", "Ed25519"] {
        let header = json!({"alg": alg, "kid": "k"}).to_string();
        for signature in [&b""[..], b"x"] {
            assert_eq!(
                check_at(&issuers, &raw(&header, &claims, signature), NOW).err(),
                Some(AuthError::Malformed),
                "{alg}"
            );
        }
    }
    for alg in ["RS256", "PS512"] {
        let header = json!({"alg": alg, "kid": "k"}).to_string();
        assert!(check_at(&issuers, &raw(&header, &claims, b""), NOW).is_err());
    }
    assert!(check_at(&issuers, &raw(r#"{"alg":"EdDSA","kid":"k"}"#, &claims, &[0; 64]), NOW).is_err());
    let good = RSA.token("k", json!({}));
    let cut = good.rsplit_once('.').expect("three parts").0;
    assert!(check_at(&issuers, &format!("{cut}."), NOW).is_err());
    assert!(check_at(&issuers, cut, NOW).is_err());
}

// Rule 29: issuer, audience, algorithm and key are checked.
#[test]
fn foreign_header_brings_no_key_and_no_address() {
    let (key, other) = (TestKey::p256(), TestKey::p256());
    let issuers = with_keys(options_of_set(), vec![key.jwk("k")]);
    let jwk: Jwk = serde_json::from_value(other.jwk("k")).expect("a JWK");
    let address = Some("https://evil.example/jwks.json".to_owned());
    let brought = Header { jwk: Some(jwk), ..other.header("k") };
    let named = Header { jku: address.clone(), x5u: address, ..other.header("k") };
    for header in [brought, named, other.header("k")] {
        assert_denied(&issuers, &other.sign(&header, &changed(json!({}))), AuthError::InvalidSignature);
    }
    for kid in ["", "../k", "K", "k\0", "https://evil.example/jwks.json"] {
        assert_denied(&issuers, &key.token(kid, json!({})), AuthError::UnknownIssuerKey(IssuerIndex(0)));
    }
    let critical = Header { crit: Some(vec!["exp".to_owned()]), ..key.header("k") };
    assert_denied(&issuers, &key.sign(&critical, &changed(json!({}))), AuthError::Malformed);
    for typ in ["logout+jwt", "dpop+jwt", "secevent+jwt", "JOSE"] {
        let header = Header { typ: Some(typ.to_owned()), ..key.header("k") };
        assert_denied(&issuers, &key.sign(&header, &changed(json!({}))), AuthError::Malformed);
    }
    for typ in [None, Some("at+jwt"), Some("application/at+JWT"), Some("jwt")] {
        let header = Header { typ: typ.map(str::to_owned), ..key.header("k") };
        assert_accepted(&issuers, &key.sign(&header, &changed(json!({}))));
    }
}

#[test]
fn repeated_claim_or_header_is_refused() {
    let key = TestKey::ed25519();
    let issuers = with_keys(options_of_set(), vec![key.jwk("k")]);
    let claims = changed(json!({})).to_string();
    let pair = |claims: &str| {
        let token = raw(r#"{"alg":"EdDSA","kid":"k"}"#, claims, b"");
        let message = token.trim_end_matches('.').to_owned();
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key.private, Algorithm::EdDSA).expect("signed");
        format!("{message}.{signature}")
    };
    assert_accepted(&issuers, &pair(&claims));
    for name in ["iss", "aud", "sub", "scope", "exp"] {
        let value = changed(json!({}))[name].to_string();
        let repeated = format!("{},\"{name}\":{value}}}", claims.trim_end_matches('}'));
        assert!(check_at(&issuers, &pair(&repeated), NOW).is_err(), "{name}");
    }
    let header = raw(r#"{"alg":"EdDSA","alg":"none","kid":"k"}"#, &claims, b"");
    assert_eq!(claims::read_header(&header).err(), Some(AuthError::Malformed));
}

// Rule 29: issuer, audience, algorithm and key are checked.
#[test]
fn key_of_one_issuer_does_not_verify_for_another() {
    let (first, second) = (TestKey::p256(), TestKey::p256());
    let other = IssuerOptions { issuer: "https://other.example".to_owned(), ..options_of_set() };
    let issuers = Issuers::open(vec![options_of_set(), other]).expect("issuers");
    for (issuer, key) in issuers.all.load().iter().zip([&first, &second]) {
        let keys = json!({"keys": [key.jwk("k")]}).to_string();
        issuer.replace_keys(jwk::read_key_set(keys.as_bytes(), &[]).expect("keys"));
    }
    assert_accepted(&issuers, &first.token("k", json!({})));
    // The same kid, but the key of the other issuer.
    assert_denied(&issuers, &second.token("k", json!({})), AuthError::InvalidSignature);
    // The issuer's own key, but the name of the other.
    assert_denied(&issuers, &first.token("k", json!({"iss": "https://other.example"})), AuthError::Issuer);
    assert_eq!(issuers.find("https://other.example"), Some(IssuerIndex(1)));
    assert_eq!(issuers.find("https://evil.example"), None);
}
