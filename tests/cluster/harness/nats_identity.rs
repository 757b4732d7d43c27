//! Operators, accounts and users of NATS: nkeys, and JWTs that one signs for another. Written from the formats, without
//! the relay's client library.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use serde_json::{Value, json};

/// What a key is for. The value is the first byte of its public form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdentityKind {
    Operator = 14 << 3,
    Account = 0,
    User = 20 << 3,
}

/// The first byte of a private key.
const SEED_PREFIX: u8 = 18 << 3;

/// A key pair.
pub(crate) struct Identity {
    kind: IdentityKind,
    pair: Ed25519KeyPair,
    /// The private key as text, such as `SU…`.
    pub(crate) seed: String,
}

impl Identity {
    pub(crate) fn new(kind: IdentityKind) -> Self {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).expect("random bytes");
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("a key");
        let prefix = kind as u8;
        let text = encode(&[&[SEED_PREFIX | (prefix >> 5), (prefix & 31) << 3], &seed[..]].concat());
        Self { kind, pair, seed: text }
    }

    /// The public key as text, such as `U…`.
    pub(crate) fn public(&self) -> String {
        encode(&[&[self.kind as u8], self.pair.public_key().as_ref()].concat())
    }

    /// The JWT by which this key describes `subject`. `permissions` are those of its kind.
    pub(crate) fn sign(&self, subject: &Identity, permissions: Value) -> String {
        let mut nats = permissions;
        nats["version"] = json!(2);
        nats["type"] = json!(match subject.kind {
            IdentityKind::Operator => "operator",
            IdentityKind::Account => "account",
            IdentityKind::User => "user",
        });
        let mut claims =
            json!({"iat": 1_700_000_000, "iss": self.public(), "sub": subject.public(), "name": "test", "nats": nats});
        claims["jti"] = json!(BASE32_NOPAD.encode(digest(&SHA256, claims.to_string().as_bytes()).as_ref()));
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(&json!({"typ": "JWT", "alg": "ed25519-nkey"})), part(&claims));
        format!("{signed}.{}", BASE64URL_NOPAD.encode(self.pair.sign(signed.as_bytes()).as_ref()))
    }
}

/// The text of a `.creds` file.
pub(crate) fn credentials(jwt: &str, user: &Identity) -> String {
    format!(
        "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        user.seed
    )
}

/// Base 32 with the checksum CRC-16/XMODEM, its low byte first.
fn encode(bytes: &[u8]) -> String {
    let mut checksum: u16 = 0;
    for byte in bytes {
        checksum ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            checksum = if checksum & 0x8000 == 0 { checksum << 1 } else { (checksum << 1) ^ 0x1021 };
        }
    }
    BASE32_NOPAD.encode(&[bytes, &checksum.to_le_bytes()].concat())
}
