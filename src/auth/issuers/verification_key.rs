//! One key that verifies tokens of a foreign issuer, with the algorithms that it may be used for. A key of one type
//! never verifies an algorithm of another: a public key must not become a shared secret.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::PublicEncryptingKey;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents,
};
use jsonwebtoken::{Algorithm, DecodingKey};

use crate::auth::grant::KeyStatus;

/// The types of keys that the relay supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyType {
    /// 2048 to 8192 bits.
    Rsa,
    P256,
    P384,
    Ed25519,
    /// A shared secret.
    Secret,
}

impl KeyType {
    /// What a key of this type can verify.
    pub(super) fn algorithms(self) -> &'static [Algorithm] {
        match self {
            KeyType::Rsa => &[
                Algorithm::RS256,
                Algorithm::RS384,
                Algorithm::RS512,
                Algorithm::PS256,
                Algorithm::PS384,
                Algorithm::PS512,
            ],
            KeyType::P256 => &[Algorithm::ES256],
            KeyType::P384 => &[Algorithm::ES384],
            KeyType::Ed25519 => &[Algorithm::EdDSA],
            KeyType::Secret => &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512],
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            KeyType::Rsa => "RSA",
            KeyType::P256 => "P-256",
            KeyType::P384 => "P-384",
            KeyType::Ed25519 => "Ed25519",
            KeyType::Secret => "secret",
        }
    }
}

/// A public key or a secret, checked when it was read.
#[derive(Clone)]
pub(super) struct KeyMaterial {
    pub(super) key_type: KeyType,
    decoding: DecodingKey,
    /// SHA-256 of type and key, to recognize the key when it is read again.
    fingerprint: [u8; 32],
}

impl KeyMaterial {
    fn new(key_type: KeyType, decoding: DecodingKey, parts: &[&[u8]]) -> Self {
        let mut fingerprint = [0; 32];
        let all = [&[key_type.name().as_bytes()][..], parts].concat().join(&b'|');
        fingerprint.copy_from_slice(digest(&SHA256, &all).as_ref());
        Self { key_type, decoding, fingerprint }
    }

    pub(super) fn secret(secret: &[u8]) -> Self {
        Self::new(KeyType::Secret, DecodingKey::from_secret(secret), &[secret])
    }

    /// One PEM block with a public key; `None` if it is none of a supported type.
    pub(super) fn from_pem(pem: &[u8]) -> Option<Self> {
        if let Ok(key) = DecodingKey::from_rsa_pem(pem) {
            let der = key.try_get_as_bytes().ok()?.to_vec();
            let parsed = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &der).ok()?;
            return is_supported_rsa(&parsed).then(|| Self::new(KeyType::Rsa, key, &[&der[..]]));
        }
        if let Ok(key) = DecodingKey::from_ec_pem(pem) {
            return Self::from_point(key.try_get_as_bytes().ok()?);
        }
        let key = DecodingKey::from_ed_pem(pem).ok()?;
        Self::ed25519(key.try_get_as_bytes().ok()?)
    }

    /// Modulus and exponent, big-endian.
    pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        // RFC 7518, 6.3.1.1 forbids leading zeros, which some issuers send all the same.
        let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
        let (n, e) = (&modulus[zeros..], exponent);
        let parsed = RsaPublicKeyComponents { n, e }.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).ok()?;
        let key = DecodingKey::from_rsa_raw_components(n, e);
        is_supported_rsa(&parsed).then(|| Self::new(KeyType::Rsa, key, &[n, e]))
    }

    /// A point of P-256 or P-384 in the uncompressed form of SEC 1.
    pub(super) fn from_point(point: &[u8]) -> Option<Self> {
        let (key_type, algorithm) = match point.len() {
            65 => (KeyType::P256, &ECDSA_P256_SHA256_FIXED),
            97 => (KeyType::P384, &ECDSA_P384_SHA384_FIXED),
            _ => return None,
        };
        // Fails unless the point is on the curve.
        ParsedPublicKey::new(algorithm, point).ok()?;
        Some(Self::new(key_type, DecodingKey::from_ec_der(point), &[point]))
    }

    pub(super) fn ed25519(public: &[u8]) -> Option<Self> {
        if public.len() != 32 {
            return None;
        }
        ParsedPublicKey::new(&ED25519, public).ok()?;
        Some(Self::new(KeyType::Ed25519, DecodingKey::from_ed_der(public), &[public]))
    }
}

/// The check of the size is otherwise made with each signature only.
fn is_supported_rsa(key: &ParsedPublicKey) -> bool {
    let der: Result<PublicKeyX509Der<'_>, _> = key.as_der();
    der.is_ok_and(|der| PublicEncryptingKey::from_der(der.as_ref()).is_ok())
}

/// A key of an issuer.
#[derive(Clone)]
pub(super) struct VerificationKey {
    /// From a JWK; keys of files have none.
    pub(super) kid: Option<String>,
    pub(super) material: KeyMaterial,
    /// At least one, all of the key's type.
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) status: KeyStatus,
}

impl VerificationKey {
    /// `None` if the key's type has none of the `accepted` algorithms; an empty list accepts all.
    pub(super) fn new(kid: Option<String>, material: KeyMaterial, accepted: &[Algorithm]) -> Option<Self> {
        let is_accepted = |algorithm: &Algorithm| accepted.is_empty() || accepted.contains(algorithm);
        let algorithms: Vec<_> = material.key_type.algorithms().iter().copied().filter(is_accepted).collect();
        (!algorithms.is_empty()).then(|| Self { kid, material, algorithms, status: KeyStatus::default() })
    }

    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.material.decoding
    }

    /// Whether tokens of one are also tokens of the other.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.kid == other.kid
            && self.material.fingerprint == other.material.fingerprint
            && self.algorithms == other.algorithms
    }
}
