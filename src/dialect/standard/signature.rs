//! The signature of Standard Webhooks: `v1,` and the base64 of an HMAC-SHA256 over id, timestamp and body. A list of
//! them, so that a sender can rotate its secret; two secrets here, so that a receiver can.

use data_encoding::{BASE64, BASE64_NOPAD};

use crate::clock::Timestamp;
use crate::dialect::{Inbound, Inexpressible, Refusal, proof};
use crate::hook::{Encoding, Secret};

const ID: &str = "webhook-id";
const TIMESTAMP: &str = "webhook-timestamp";
const SIGNATURE: &str = "webhook-signature";

const WANTED: &str = "the headers webhook-id, webhook-timestamp and webhook-signature are needed, each once";
const STALE: &str = "webhook-timestamp is more than 5 minutes from this clock";
const WRONG: &str = "no v1 signature in webhook-signature matches";

/// The key inside `whsec_…`: 24 to 64 bytes of base64; `None` when it is anything else.
pub(crate) fn key(secret: &Secret) -> Option<Vec<u8>> {
    let text = secret.expose().strip_prefix("whsec_")?.as_bytes();
    let key = BASE64.decode(text).or_else(|_| BASE64_NOPAD.decode(text)).ok()?;
    (24..=64).contains(&key.len()).then_some(key)
}

/// Whether any of the listed signatures is by any of the secrets.
pub(super) fn check(secrets: &[Secret], request: &Inbound<'_>, now: Timestamp) -> Result<(), Refusal> {
    let id = proof::once(request.headers, ID, WANTED)?;
    let timestamp = proof::once(request.headers, TIMESTAMP, WANTED)?;
    let signatures = proof::once(request.headers, SIGNATURE, WANTED)?;
    // A blank id is one that is missing: it names no message, so that a replay could not be told from a new one.
    if id.trim_ascii().is_empty() {
        return Err(Refusal::Unproven(WANTED));
    }
    if !proof::is_fresh(timestamp, now) {
        return Err(Refusal::Unproven(STALE));
    }
    // Of the other versions, `v1a` needs a public key that a hook cannot be given.
    let sent: Vec<[u8; 32]> = signatures
        .split(|b| *b == b' ')
        .filter_map(|s| proof::decode(Encoding::Base64, s.strip_prefix(b"v1,")?))
        .collect();
    for key in secrets.iter().filter_map(key) {
        let tag = sign(&key, id, timestamp, request.body);
        if sent.iter().any(|s| proof::same(s, &tag)) {
            return Ok(());
        }
    }
    Err(Refusal::Unproven(WRONG))
}

/// The three headers, with one signature for each secret.
pub(super) fn headers(
    secrets: &[Secret],
    id: &str,
    body: &[u8],
    now: Timestamp,
) -> Result<[(String, String); 3], Inexpressible> {
    let timestamp = now.seconds().to_string();
    let mut signatures = Vec::new();
    for secret in secrets {
        let key = key(secret).ok_or(Inexpressible::Secret("it must be whsec_ and the base64 of 24 to 64 bytes"))?;
        let tag = sign(&key, id.as_bytes(), timestamp.as_bytes(), body);
        signatures.push(format!("v1,{}", BASE64.encode(&tag)));
    }
    if signatures.is_empty() {
        return Err(Inexpressible::Secret("there is none"));
    }
    Ok([
        (ID.to_owned(), id.to_owned()),
        (TIMESTAMP.to_owned(), timestamp),
        (SIGNATURE.to_owned(), signatures.join(" ")),
    ])
}

fn sign(key: &[u8], id: &[u8], timestamp: &[u8], body: &[u8]) -> [u8; 32] {
    proof::hmac(key, &[id, b".", timestamp, b".", body])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference libraries.
    #[test]
    fn the_published_vector_comes_out() {
        let key = key(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).expect("24 bytes");
        let tag = sign(&key, b"msg_p5jXN8AQM9LWM0D4loKWxJek", b"1614265330", br#"{"test": 2432232314}"#);
        assert_eq!(BASE64.encode(&tag), "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_whsec_and_24_to_64_bytes() {
        for (bytes, good) in [(23, false), (24, true), (64, true), (65, false)] {
            let secret = Secret::new(&format!("whsec_{}", BASE64.encode(&vec![1; bytes])));
            assert_eq!(key(&secret).is_some(), good, "{bytes}");
        }
        for bad in
            ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!!!!", "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
        {
            assert!(key(&Secret::new(bad)).is_none(), "{bad}");
        }
    }
}
