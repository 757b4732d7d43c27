//! Reads a JWK set (RFC 7517). A key that is not for verifying signatures, or of a type that is not supported, is left
//! out; the others stay usable. Every limit holds for a set from an address that others control.

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::Value;

use super::key_set::IssuerKeys;
use super::verification_key::{KeyMaterial, KeyType, VerificationKey};

/// Keys of a set. A set with more is refused as a whole: the key that is needed could be among those left out.
const MAX_KEYS: usize = 100;

/// Bytes of a `kid`.
const MAX_KID_BYTES: usize = 1024;

/// What is wrong with a whole set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeySetError {
    #[error("the response is not a JWK set")]
    Malformed,
    #[error("the JWK set has more than {MAX_KEYS} keys")]
    TooManyKeys,
    #[error(
        "the JWK set has no key that can be used: signature keys of the types RSA, EC and OKP for the configured algorithms"
    )]
    NoUsableKey,
}

#[derive(Deserialize)]
struct ReceivedKeySet {
    keys: Vec<Value>,
}

/// serde refuses repeated members.
#[derive(Deserialize)]
struct ReceivedKey {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    /// A private key or a secret. One that is published is not secret any more.
    d: Option<Value>,
    k: Option<Value>,
}

/// The keys of a set that may verify tokens with the `accepted` algorithms; an empty list accepts all.
///
/// # Errors
/// [`KeySetError`]: the set cannot replace an earlier one.
pub(super) fn read_key_set(json: &[u8], accepted: &[Algorithm]) -> Result<IssuerKeys, KeySetError> {
    let set: ReceivedKeySet = serde_json::from_slice(json).map_err(|_| KeySetError::Malformed)?;
    if set.keys.len() > MAX_KEYS {
        return Err(KeySetError::TooManyKeys);
    }
    let keys: Vec<_> = set.keys.into_iter().filter_map(|key| read_key(key, accepted)).collect();
    if keys.is_empty() { Err(KeySetError::NoUsableKey) } else { Ok(IssuerKeys::new(keys)) }
}

fn read_key(json: Value, accepted: &[Algorithm]) -> Option<VerificationKey> {
    let key: ReceivedKey = serde_json::from_value(json).ok()?;
    let is_for_signatures = key.purpose.as_deref().is_none_or(|purpose| purpose == "sig");
    let may_verify = key.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|name| name == "verify"));
    let is_public = key.d.is_none() && key.k.is_none();
    let has_short_kid = key.kid.as_ref().is_none_or(|kid| kid.len() <= MAX_KID_BYTES);
    if !(is_for_signatures && may_verify && is_public && has_short_kid) {
        return None;
    }
    let material = material(&key)?;
    let mut key_of_set = VerificationKey::new(key.kid, material, accepted)?;
    if let Some(name) = key.alg {
        // Also leaves out algorithms for encryption, and those of another type of key.
        // RFC 9864 has a name of its own for EdDSA with such a key. jsonwebtoken does not know it.
        let algorithm: Algorithm = if name == "Ed25519" { Algorithm::EdDSA } else { name.parse().ok()? };
        key_of_set.algorithms.retain(|own| *own == algorithm);
    }
    (!key_of_set.algorithms.is_empty()).then_some(key_of_set)
}

/// The key itself. `oct` is a secret, which no public address can hold.
fn material(key: &ReceivedKey) -> Option<KeyMaterial> {
    let bytes = |member: &Option<String>| BASE64URL_NOPAD.decode(member.as_ref()?.as_bytes()).ok();
    match (key.kty.as_str(), key.crv.as_deref()) {
        ("RSA", _) => KeyMaterial::rsa(&bytes(&key.n)?, &bytes(&key.e)?),
        ("EC", Some(curve @ ("P-256" | "P-384"))) => {
            let (x, y) = (bytes(&key.x)?, bytes(&key.y)?);
            let key_type = if curve == "P-256" { KeyType::P256 } else { KeyType::P384 };
            let point = KeyMaterial::from_point(&[&[4], &x[..], &y[..]].concat())?;
            (x.len() == y.len() && point.key_type == key_type).then_some(point)
        }
        ("OKP", Some("Ed25519")) => KeyMaterial::ed25519(&bytes(&key.x)?),
        _ => None,
    }
}
