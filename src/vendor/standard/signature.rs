//! Signatures of Standard Webhooks over id, timestamp and body, also under Svix's header names. Keys are `whsec_…`
//! (shared secret, `v1`) and `whsk_…` (Ed25519, `v1a`). Several signatures and secrets are supported for rotation.

use aws_lc_rs::signature::Ed25519KeyPair;
use data_encoding::{BASE64, BASE64_NOPAD};
use http::HeaderMap;

use crate::domain::{Encoding, Secret, Timestamp};
use crate::vendor::{RenderError, WebhookError, WebhookRequest, shared_secret};

/// The three headers of a signed request.
struct HeaderNames {
    id: &'static str,
    timestamp: &'static str,
    signature: &'static str,
}

/// The names of the specification.
const STANDARD: HeaderNames =
    HeaderNames { id: "webhook-id", timestamp: "webhook-timestamp", signature: "webhook-signature" };
/// The names that Svix sends, for the same signature.
const SVIX: HeaderNames = HeaderNames { id: "svix-id", timestamp: "svix-timestamp", signature: "svix-signature" };

const MISSING: &str = "the headers webhook-id, webhook-timestamp and webhook-signature (or svix-id, svix-timestamp and \
                      svix-signature) are required, each once";
const STALE: &str = "the timestamp of the signature differs from the current time by more than 5 minutes";
const UNKNOWN_VERSION: &str = "there is no v1 signature";
const MISMATCH: &str = "no v1 signature matches";

/// Accepts the request if any of its signatures matches any of the secrets.
pub(super) fn verify(secrets: &[Secret], request: &WebhookRequest<'_>, now: Timestamp) -> Result<(), WebhookError> {
    let Some(names) = signed_names(request.headers) else {
        return Err(shared_secret::missing(request.headers, MISSING));
    };
    let signatures = shared_secret::single_header(request.headers, names.signature, MISSING)?;
    if !signatures.split(|b| *b == b' ').any(|s| s.starts_with(b"v1,")) {
        return Err(shared_secret::unknown_form(signatures, UNKNOWN_VERSION));
    }
    let id = shared_secret::single_header(request.headers, names.id, MISSING)?;
    let timestamp = shared_secret::single_header(request.headers, names.timestamp, MISSING)?;
    // Without an id a replay could not be detected.
    if id.trim_ascii().is_empty() {
        return Err(WebhookError::Unauthorized(MISSING));
    }
    if !shared_secret::is_fresh(timestamp, now) {
        return Err(WebhookError::Unauthorized(STALE));
    }
    // Hooks have shared secrets only, so `v1a` is not verified.
    let sent: Vec<[u8; 32]> = signatures
        .split(|b| *b == b' ')
        .filter_map(|s| shared_secret::decode_tag(Encoding::Base64, s.strip_prefix(b"v1,")?))
        .collect();
    for key in secrets.iter().filter_map(shared_key) {
        let tag = tag(&key, id, timestamp, request.body);
        if sent.iter().any(|s| shared_secret::tags_equal(s, &tag)) {
            return Ok(());
        }
    }
    Err(WebhookError::Unauthorized(MISMATCH))
}

/// The names under which the request is signed, the standard ones first.
fn signed_names(headers: &HeaderMap) -> Option<HeaderNames> {
    [STANDARD, SVIX].into_iter().find(|names| headers.contains_key(names.signature))
}

/// The id of the message. In a signed request it is the one that the signature covers: with another one, a captured
/// request could be repeated as a new message.
pub(super) fn message_id(headers: &HeaderMap) -> Option<&str> {
    let value = |name: &str| headers.get(name).and_then(|id| id.to_str().ok());
    match signed_names(headers) {
        Some(names) => value(names.id),
        None => value(STANDARD.id).or_else(|| value(SVIX.id)),
    }
}

/// The headers with id and timestamp, and one signature for each secret.
pub(crate) fn sign_headers(
    secrets: &[Secret],
    id: &str,
    body: &[u8],
    now: Timestamp,
) -> Result<Vec<(String, String)>, RenderError> {
    const INVALID_KEY: RenderError = RenderError::InvalidSecret("it must be whsec_ or whsk_ followed by a base64 key");
    let timestamp = now.seconds().to_string();
    let mut signatures = Vec::new();
    for secret in secrets {
        let key = SigningKey::of(secret).ok_or(INVALID_KEY)?;
        signatures.push(key.sign(id.as_bytes(), timestamp.as_bytes(), body));
    }
    let mut headers = vec![(STANDARD.id.to_owned(), id.to_owned()), (STANDARD.timestamp.to_owned(), timestamp)];
    if !signatures.is_empty() {
        headers.push((STANDARD.signature.to_owned(), signatures.join(" ")));
    }
    Ok(headers)
}

/// Length of an Ed25519 seed, and of a public key.
const ED25519_KEY_BYTES: usize = 32;

pub(super) enum SigningKey {
    /// HMAC-SHA256.
    Shared(Vec<u8>),
    /// Ed25519.
    Pair(Ed25519KeyPair),
}

impl SigningKey {
    /// `None` if the secret is neither kind of key.
    pub(super) fn of(secret: &Secret) -> Option<Self> {
        match secret.expose().strip_prefix("whsk_") {
            Some(text) => pair(&decode(text)?).map(SigningKey::Pair),
            None => shared_key(secret).map(SigningKey::Shared),
        }
    }

    /// One entry of `webhook-signature`: the version, a comma, and base64.
    pub(super) fn sign(&self, id: &[u8], timestamp: &[u8], body: &[u8]) -> String {
        match self {
            SigningKey::Shared(key) => format!("v1,{}", BASE64.encode(&tag(key, id, timestamp, body))),
            SigningKey::Pair(pair) => {
                let message = [id, b".", timestamp, b".", body].concat();
                format!("v1a,{}", BASE64.encode(pair.sign(&message).as_ref()))
            }
        }
    }
}

/// Decodes `whsec_…`: base64 of 24 to 64 bytes.
pub(crate) fn shared_key(secret: &Secret) -> Option<Vec<u8>> {
    let key = decode(secret.expose().strip_prefix("whsec_")?)?;
    (24..=64).contains(&key.len()).then_some(key)
}

/// The tag of `v1`.
pub(super) fn tag(key: &[u8], id: &[u8], timestamp: &[u8], body: &[u8]) -> [u8; 32] {
    shared_secret::hmac(key, &[id, b".", timestamp, b".", body])
}

/// The specification says only "standard ed25519 key pair". Svix, its author, uses the seed followed by the public key,
/// other libraries the seed alone. A public key that does not belong to the seed is rejected.
fn pair(bytes: &[u8]) -> Option<Ed25519KeyPair> {
    match bytes.len() {
        ED25519_KEY_BYTES => Ed25519KeyPair::from_seed_unchecked(bytes).ok(),
        n if n == 2 * ED25519_KEY_BYTES => {
            Ed25519KeyPair::from_seed_and_public_key(&bytes[..ED25519_KEY_BYTES], &bytes[ED25519_KEY_BYTES..]).ok()
        }
        _ => None,
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.as_bytes()).or_else(|_| BASE64_NOPAD.decode(text.as_bytes())).ok()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, KeyPair as _, UnparsedPublicKey};

    use super::*;

    const ID: &[u8] = b"msg_p5jXN8AQM9LWM0D4loKWxJek";
    const AT: &[u8] = b"1614265330";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;

    /// `test_asymmetric_key_signing` of the Svix server; the specification shows the same signature.
    const PAIR: &str = "6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
    const SIGNED: &str = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==";

    fn key(text: &str) -> Option<SigningKey> {
        SigningKey::of(&Secret::new(text))
    }

    /// The example of the reference libraries.
    #[test]
    fn published_shared_secret_vector_is_reproduced() {
        let key = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("24 bytes");
        assert_eq!(key.sign(ID, AT, BODY), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn published_key_pair_vector_is_reproduced_from_pair_and_seed() {
        let bytes = decode(PAIR).expect("base64");
        let seed = BASE64.encode(&bytes[..ED25519_KEY_BYTES]);
        for text in [PAIR, PAIR.trim_end_matches('='), &seed, seed.trim_end_matches('=')] {
            assert_eq!(key(&format!("whsk_{text}")).expect("a key").sign(ID, AT, BODY), SIGNED, "{text}");
        }
    }

    #[test]
    fn public_key_verifies_the_signature() {
        let Some(SigningKey::Pair(pair)) = key(&format!("whsk_{}", BASE64.encode(&[7; 32]))) else { panic!("no pair") };
        let public = UnparsedPublicKey::new(&ED25519, pair.public_key().as_ref().to_vec());
        let signed = SigningKey::Pair(pair).sign(b"msg_1", b"1", b"{}");
        let signature = BASE64.decode(&signed.as_bytes()[4..]).expect("base64");
        assert!(public.verify(b"msg_1.1.{}", &signature).is_ok());
        assert!(public.verify(b"msg_1.1.{ }", &signature).is_err());
    }

    #[test]
    fn shared_secret_is_whsec_with_24_to_64_bytes() {
        for (bytes, good) in [(23, false), (24, true), (64, true), (65, false)] {
            let secret = Secret::new(&format!("whsec_{}", BASE64.encode(&vec![1; bytes])));
            assert_eq!(shared_key(&secret).is_some(), good, "{bytes}");
        }
        for bad in
            ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!!!!", "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
        {
            assert!(shared_key(&Secret::new(bad)).is_none(), "{bad}");
        }
    }

    #[test]
    fn invalid_key_pair_is_rejected() {
        let mut strange = decode(PAIR).expect("base64");
        strange[63] ^= 1;
        assert!(key(&format!("whsk_{}", BASE64.encode(&strange))).is_none());
        for bytes in [0, 31, 33, 63, 65] {
            assert!(key(&format!("whsk_{}", BASE64.encode(&vec![1; bytes]))).is_none(), "{bytes}");
        }
        assert!(key(&format!("whpk_{PAIR}")).is_none());
        assert!(key("whsk_!").is_none());
    }
}
