//! Tokens of foreign issuers with keys of each type. This file: keys, tokens and issuers for the tests, and good
//! tokens.

mod claim_checks;
mod confusions;
mod fetches;
mod key_files;
mod key_sets;
mod replacements;

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair,
};
use data_encoding::BASE64;
use jsonwebtoken::EncodingKey;
use jsonwebtoken::jwk::Jwk;
use serde_json::{Value, json};

use super::*;

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "https://relay.example";
const NOW: i64 = 10_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

/// A key pair of an issuer.
#[derive(Clone)]
struct TestKey {
    algorithm: Algorithm,
    private: EncodingKey,
    /// The public key in PEM.
    pem: String,
    /// The private key in PEM.
    private_pem: String,
}

/// Made once, because an RSA key takes a while.
static RSA: LazyLock<TestKey> = LazyLock::new(TestKey::rsa);

fn pem(label: &str, der: &[u8]) -> String {
    let lines: Vec<String> =
        BASE64.encode(der).as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

impl TestKey {
    fn rsa() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().expect("DER");
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("DER");
        let private_pem = pem("PRIVATE KEY", pkcs8.as_ref());
        let private = EncodingKey::from_rsa_pem(private_pem.as_bytes()).expect("a key");
        Self { algorithm: Algorithm::RS256, private, pem: pem("PUBLIC KEY", public.as_ref()), private_pem }
    }

    fn ec(algorithm: Algorithm, signing: &'static EcdsaSigningAlgorithm) -> Self {
        let pair = EcdsaKeyPair::generate(signing).expect("a key");
        let pkcs8 = pair.to_pkcs8v1().expect("DER");
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("DER");
        let private = EncodingKey::from_ec_der(pkcs8.as_ref());
        let private_pem = pem("PRIVATE KEY", pkcs8.as_ref());
        Self { algorithm, private, pem: pem("PUBLIC KEY", public.as_ref()), private_pem }
    }

    fn p256() -> Self {
        Self::ec(Algorithm::ES256, &ECDSA_P256_SHA256_FIXED_SIGNING)
    }

    fn p384() -> Self {
        Self::ec(Algorithm::ES384, &ECDSA_P384_SHA384_FIXED_SIGNING)
    }

    fn ed25519() -> Self {
        let pair = Ed25519KeyPair::generate().expect("a key");
        let pkcs8 = pair.to_pkcs8v1().expect("DER");
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("DER");
        let private = EncodingKey::from_ed_der(pkcs8.as_ref());
        let private_pem = pem("PRIVATE KEY", pkcs8.as_ref());
        Self { algorithm: Algorithm::EdDSA, private, pem: pem("PUBLIC KEY", public.as_ref()), private_pem }
    }

    /// The public key as a JWK with this `kid`.
    fn jwk(&self, kid: &str) -> Value {
        let jwk = Jwk::from_encoding_key(&self.private, self.algorithm).expect("a JWK");
        let mut jwk = serde_json::to_value(jwk).expect("JSON");
        jwk["kid"] = json!(kid);
        jwk["use"] = json!("sig");
        jwk
    }

    fn header(&self, kid: &str) -> Header {
        Header { kid: Some(kid.to_owned()), ..Header::new(self.algorithm) }
    }

    /// A token with these claims changed; `null` removes a claim.
    fn token(&self, kid: &str, changes: Value) -> String {
        self.sign(&self.header(kid), &changed(changes))
    }

    fn sign(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.private).expect("signed")
    }
}

fn changed(changes: Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "acme", "scope": "events", "iat": NOW, "nbf": NOW, "exp": NOW + 60,
    });
    for (name, value) in changes.as_object().expect("an object") {
        claims[name] = value.clone();
    }
    claims.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
    claims
}

fn options(keys: KeySource) -> IssuerOptions {
    IssuerOptions { issuer: ISSUER.to_owned(), keys, algorithms: Vec::new(), claims: rules() }
}

fn rules() -> ClaimRules {
    ClaimRules {
        audience: AUDIENCE.to_owned(),
        client_claim: ClaimPath::new("sub"),
        scope_claim: ClaimPath::new("scope"),
        scopes: ScopeMapping::default(),
    }
}

/// An issuer with an address for its key set.
fn options_of_set() -> IssuerOptions {
    options(KeySource::KeySet("https://issuer.example/jwks".to_owned()))
}

/// Issuers whose first one has this key set, as if it was fetched.
fn with_keys(options: IssuerOptions, keys: Vec<Value>) -> Issuers {
    let issuers = Issuers::open(vec![options]).expect("issuers");
    replace(&issuers, keys);
    issuers
}

/// Returns whether a key was retired.
fn replace(issuers: &Issuers, keys: Vec<Value>) -> bool {
    let issuer = &issuers.all.load()[0];
    let keys = jwk::read_key_set(json!({ "keys": keys }).to_string().as_bytes(), &issuer.accepted);
    issuer.replace_keys(keys.expect("a key set"))
}

/// Checks a token of the first issuer at this time.
fn check_at(issuers: &Issuers, token: &str, now: i64) -> Result<ForeignToken, AuthError> {
    issuers.verify(IssuerIndex(0), token, &claims::read_header(token)?, at(now))
}

#[track_caller]
fn assert_accepted(issuers: &Issuers, token: &str) {
    let checked = check_at(issuers, token, NOW);
    assert_eq!(checked.map(|token| token.claims.client.to_string()), Ok("acme".to_owned()));
}

#[track_caller]
fn assert_denied(issuers: &Issuers, token: &str, error: AuthError) {
    assert_eq!(check_at(issuers, token, NOW).err(), Some(error));
}

#[test]
fn keys_of_each_type_verify_from_set_and_from_file() {
    for key in [RSA.clone(), TestKey::p256(), TestKey::p384(), TestKey::ed25519()] {
        let token = key.token("k", json!({}));
        let issuers = with_keys(options_of_set(), vec![key.jwk("k")]);
        assert_accepted(&issuers, &token);
        let verified = check_at(&issuers, &token, NOW).expect("good").claims;
        assert_eq!((verified.expires, verified.issued), (at(NOW + 60), Some(at(NOW))));
        assert_eq!(verified.scopes, crate::auth::Scope::Events.into());

        let file = key_files::file(&key.pem);
        let issuers = Issuers::open(vec![options(KeySource::PublicKeys(file.path().to_owned()))]).expect("issuers");
        assert_accepted(&issuers, &token);
    }
}

#[test]
fn rsa_key_verifies_every_padding_and_digest() {
    let issuers = with_keys(options_of_set(), vec![json_without(RSA.jwk("k"), "alg")]);
    for algorithm in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] {
        let header = Header { alg: algorithm.parse().expect("known"), ..RSA.header("k") };
        assert_accepted(&issuers, &RSA.sign(&header, &changed(json!({}))));
    }
}

fn json_without(mut json: Value, name: &str) -> Value {
    json.as_object_mut().expect("an object").remove(name);
    json
}
