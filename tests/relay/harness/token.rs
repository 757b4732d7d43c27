//! Tokens with claims of the test's choice, signed with the relay's own key.

use std::fs;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::TestRelay;

impl TestRelay {
    /// A token for the client `acme` with these claims changed or added; `null` removes a claim.
    #[track_caller]
    pub(crate) fn sign_token(&self, changes: &Value) -> String {
        let key = fs::read_dir(self.data_dir().join("keys")).expect("keys").next().expect("a key").expect("a key");
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = key.path().file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let now = jsonwebtoken::get_current_timestamp();
        let mut claims = json!({
            "iss": "docrelay", "aud": "docrelay", "sub": "acme", "scope": "events manage",
            "iat": now, "exp": now + 3600, "jti": "signed-by-test",
        });
        for (name, value) in changes.as_object().expect("claims") {
            claims[name] = value.clone();
        }
        claims.as_object_mut().expect("claims").retain(|_, value| !value.is_null());
        let pem = fs::read(key.path()).expect("a key");
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ed_pem(&pem).expect("a key")).expect("a token")
    }
}
