//! The configuration of issuers: key files, and errors that name the place to correct.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use jsonwebtoken::{Algorithm, EncodingKey, Header, get_current_timestamp};
use serde_json::json;

use super::{ISSUER, stream_error};
use crate::harness::TestRelay;
use crate::harness::command::{docrelay, run};
use crate::harness::request::Request;

#[test]
fn token_signed_with_shared_secret_is_accepted_until_the_secret_changes() {
    let mut relay = TestRelay::not_started(&[]);
    let secret = "0123456789abcdef0123456789abcdef";
    let path = relay.root().join("issuer.secret");
    fs::write(&path, secret).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("changed");
    let file = path.display();
    relay
        .set_config("issuers", &format!("[{{issuer = \"{ISSUER}\", audience = \"relay\", secret_file = \"{file}\"}}]"));
    relay.restart();
    relay.add_client("acme");
    let sign = |secret: &str| {
        let claims = json!({
            "iss": ISSUER, "aud": "relay", "sub": "acme", "scope": "events", "exp": get_current_timestamp() + 60,
        });
        let secret = EncodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &secret).expect("a token")
    };
    assert!(relay.follow(&sign(secret)).head.is_chunked());
    assert_eq!(stream_error(&relay, &sign("another")), "auth_failed");
    fs::write(&path, secret.to_uppercase()).expect("written");
    relay.restart();
    assert_eq!(stream_error(&relay, &sign(secret)), "auth_failed");
    assert!(relay.follow(&sign(&secret.to_uppercase())).head.is_chunked());
}

#[test]
fn secret_file_with_another_mode_is_used_with_one_warning() {
    let mut relay = TestRelay::not_started(&[]);
    let secret = "0123456789abcdef0123456789abcdef";
    let path = relay.root().join("issuer.secret");
    fs::write(&path, secret).expect("written");
    // As Kubernetes mounts a secret by default.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("changed");
    let file = path.display();
    relay
        .set_config("issuers", &format!("[{{issuer = \"{ISSUER}\", audience = \"relay\", secret_file = \"{file}\"}}]"));
    relay.restart();
    relay.add_client("acme");
    let exp = get_current_timestamp() + 60;
    let claims = json!({"iss": ISSUER, "aud": "relay", "sub": "acme", "scope": "events", "exp": exp});
    let secret = EncodingKey::from_secret(secret.as_bytes());
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &secret).expect("a token");
    assert!(relay.follow(&token).head.is_chunked());
    let reloaded = relay.send_admin(&Request::post("/admin/reload").bearer(&relay.admin_token()));
    assert_eq!(reloaded.status, 200, "{reloaded:?}");
    relay.wait_for_output("configuration reloaded");
    let warnings = |text: &str| text.lines().filter(|line| line.contains("accessible to other users")).count();
    assert_eq!(warnings(&relay.output()), 1, "the reload reads the file again");
}

#[test]
fn key_file_that_does_not_fit_its_algorithms_ends_the_start() {
    let mut relay = TestRelay::not_started(&[]);
    let path = relay.root().join("issuer.pem");
    let public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";
    fs::write(&path, public).expect("written");
    let file = path.display();
    let table = |rest: &str| format!("[{{issuer = \"{ISSUER}\", audience = \"relay\", key_file = \"{file}\"{rest}}}]");
    relay.set_config("issuers", &table(", algorithms = [\"ES256\"]"));
    relay.try_start().expect_err("refused");
    relay.wait_for_output("ES256 is not an algorithm of the Ed25519 keys in ");
    relay.set_config("issuers", &table(""));
    relay.try_start().expect("it starts");
}

#[test]
fn invalid_issuer_is_reported_with_its_line() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("relay.toml");
    let base = format!("hook_rate = 9\n[[issuers]]\nissuer = \"{ISSUER}\"\naudience = \"relay\"\n");
    for (rest, error) in [
        ("", ":2: issuers.key_file must be given, or secret_file, or jwks_url"),
        ("key_file = \"a\"\nsecret_file = \"b\"\n", ":6: issuers.secret_file must be the only one of"),
        ("key_file = \"a\"\njwks_url = \"https://b/\"\n", ":6: issuers.jwks_url must be the only one of"),
        ("jwks_url = \"ftp://b/\"\n", ":5: issuers.jwks_url must be the https:// address"),
        (
            "jwks_url = \"https://b/\"\nalgorithms = [\"RS256\", \"HS256\"]\n",
            ":6: issuers.algorithms must be without HS256",
        ),
        ("secret_file = \"b\"\nalgorithms = [\"RS256\"]\n", ":6: issuers.algorithms must be HS256, HS384 or HS512"),
        ("secret_file = \"b\"\nalgorithms = [\"none\"]\n", ":6: issuers.algorithms must be a list of RS256"),
        ("secret_file = \"b\"\nalgorithms = []\n", ":6: issuers.algorithms must be a list of strings"),
        ("secret_file = \"b\"\nalgorithm = \"HS256\"\n", ":6: issuers.algorithm must be removed"),
        ("secret_file = \"b\"\nscopes = {x = \"admin\"}\n", ":6: issuers.scopes must be a table from"),
        ("secret_file = \"b\"\nclient_claim = \"\"\n", ":6: issuers.client_claim must be the name of a claim"),
        (
            "secret_file = \"b\"\n[[issuers]]\naudience = \"x\"\nsecret_file = \"b\"\n",
            ":6: issuers.issuer must be given",
        ),
        (
            "secret_file = \"b\"\n[[issuers]]\nissuer = \"https://issuer.example\"\naudience = \"x\"\nsecret_file = \"b\"\n",
            ":7: issuers.issuer must be that of one table only",
        ),
        ("secret_file = \"b\"\n[[issuers]]\nissuer = \"docrelay\"\n", ":7: issuers.issuer must be the `iss`"),
    ] {
        fs::write(&path, format!("{base}{rest}")).expect("written");
        let output = run(docrelay(&["check"], &[]).arg(&path));
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(output.stderr.contains(&format!("relay.toml{error}")), "{rest}: {}", output.stderr);
    }
    fs::write(&path, format!("{base}jwks_url = \"https://b/\"\nscopes = {{ \"read:x\" = \"events manage\" }}\n"))
        .expect("written");
    run(docrelay(&["check"], &[]).arg(&path)).succeeded();
    let output = run(docrelay(&["serve"], &[("issuers", "[{issuer = 1}]")]).arg("--data").arg(home.path()));
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stderr.contains("DOCRELAY_ISSUERS: issuers.issuer must be a string"), "{output:?}");
}
