//! Key files: what is accepted, what is refused at the start, and files that change while the relay runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use jsonwebtoken::EncodingKey;
use serde_json::json;

use super::*;

/// A file that only its owner may read.
pub(super) fn file(content: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), content).expect("written");
    file
}

fn open(source: fn(std::path::PathBuf) -> KeySource, content: &str, algorithms: &[&str]) -> Result<Issuers, String> {
    let file = file(content);
    let algorithms = algorithms.iter().map(|name| name.parse().expect("an algorithm")).collect();
    let options = IssuerOptions { algorithms, ..options(source(file.path().to_owned())) };
    let path = file.path().display().to_string();
    Issuers::open(vec![options]).map_err(|error| error.to_string().replace(&path, "FILE"))
}

fn error_of(source: fn(std::path::PathBuf) -> KeySource, content: &str, algorithms: &[&str]) -> String {
    open(source, content, algorithms).err().expect("refused")
}

#[test]
fn algorithm_of_another_type_of_key_is_an_error_at_start() {
    for (key, other) in
        [(RSA.clone(), "ES256"), (TestKey::p256(), "ES384"), (TestKey::p384(), "ES256"), (TestKey::ed25519(), "RS256")]
    {
        let own = format!("{:?}", key.algorithm);
        assert!(open(KeySource::PublicKeys, &key.pem, &[&own]).is_ok());
        let error = error_of(KeySource::PublicKeys, &key.pem, &[&own, other]);
        assert!(error.starts_with(&format!("{other} is not an algorithm of the ")), "{error}");
    }
}

#[test]
fn file_without_supported_public_keys_is_an_error_at_start() {
    let key = TestKey::ed25519();
    let secp521 = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n";
    let mixed = format!("{}{}", key.pem, TestKey::p256().pem);
    let many = key.pem.repeat(9);
    let certificate = key.pem.replace("PUBLIC KEY", "CERTIFICATE");
    let cut = &key.pem[..key.pem.len() - 40];
    for content in ["", "secret", secp521, &mixed, &many, &certificate, cut, &"x".repeat(70_000)] {
        let error = error_of(KeySource::PublicKeys, content, &[]);
        assert!(error.starts_with("FILE is not 1 to 8 public keys in PEM"), "{error}");
    }
    let error = error_of(KeySource::PublicKeys, &key.private_pem, &[]);
    assert!(error.starts_with("FILE holds a private key"), "{error}");
    let missing = options(KeySource::PublicKeys("/nonexistent/key.pem".into()));
    let error = Issuers::open(vec![missing]).err().expect("refused").to_string();
    assert!(error.starts_with("cannot read /nonexistent/key.pem: "), "{error}");
}

#[test]
fn secret_verifies_hmac_and_must_be_long() {
    let secret = "0123456789abcdef0123456789abcdef";
    let issuers = open(KeySource::Secret, &format!("{secret}\n"), &[]).expect("issuers");
    let sign = |algorithm: Algorithm, secret: &str| {
        let (header, secret) = (Header::new(algorithm), EncodingKey::from_secret(secret.as_bytes()));
        jsonwebtoken::encode(&header, &changed(json!({})), &secret).expect("signed")
    };
    assert_accepted(&issuers, &sign(Algorithm::HS256, secret));
    assert_denied(&issuers, &sign(Algorithm::HS256, "another"), AuthError::InvalidSignature);
    assert_denied(&issuers, &sign(Algorithm::HS512, secret), AuthError::Algorithm);
    assert_denied(&issuers, &TestKey::p256().token("k", json!({})), AuthError::Algorithm);
    let error = error_of(KeySource::Secret, secret, &["HS256", "HS512"]);
    assert_eq!(error, "FILE is too short for HS512: it needs 64 bytes or more");
    assert_eq!(
        error_of(KeySource::Secret, &secret[1..], &[]),
        "FILE is too short for HS256: it needs 32 bytes or more"
    );
    let error = error_of(KeySource::Secret, &RSA.pem, &[]);
    assert_eq!(error, "FILE is not a shared secret: keys in PEM belong into key_file");
    let exposed = file(secret);
    fs::set_permissions(exposed.path(), fs::Permissions::from_mode(0o644)).expect("changed");
    let issuers = Issuers::open(vec![options(KeySource::Secret(exposed.path().to_owned()))]).expect("issuers");
    assert_accepted(&issuers, &sign(Algorithm::HS256, secret));
}

#[test]
fn changed_key_file_retires_removed_keys_and_keeps_the_others() {
    let (old, new) = (TestKey::p256(), TestKey::p256());
    let file = file(&old.pem);
    let issuers = Issuers::open(vec![options(KeySource::PublicKeys(file.path().to_owned()))]).expect("issuers");
    let (by_old, by_new) = (old.token("any", json!({})), new.token("any", json!({})));
    assert_denied(&issuers, &by_new, AuthError::InvalidSignature);
    let status = check_at(&issuers, &by_old, NOW).expect("good").key;

    fs::write(file.path(), format!("{}{}", new.pem, old.pem)).expect("written");
    assert!(!issuers.reload_files());
    assert_accepted(&issuers, &by_new);
    assert_accepted(&issuers, &by_old);
    assert!(!status.is_retired());

    fs::write(file.path(), "").expect("written");
    assert!(!issuers.reload_files(), "a file that cannot be used changes nothing");
    assert_accepted(&issuers, &by_old);

    fs::write(file.path(), &new.pem).expect("written");
    assert!(issuers.reload_files());
    assert_denied(&issuers, &by_old, AuthError::InvalidSignature);
    assert!(status.is_retired());
    assert_accepted(&issuers, &by_new);
}
