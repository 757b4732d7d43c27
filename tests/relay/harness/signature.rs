//! Signatures, computed as the vendors' documentation describes. It shares no code with the relay.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use data_encoding::{BASE64, HEXLOWER};
use time::OffsetDateTime;
use time::macros::format_description;

/// Unix time in seconds.
#[expect(clippy::disallowed_methods, reason = "the relay under test uses the system clock")]
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

pub(crate) fn hmac(key: impl AsRef<[u8]>, text: impl AsRef<[u8]>) -> Vec<u8> {
    sign(&Key::new(HMAC_SHA256, key.as_ref()), text.as_ref()).as_ref().to_vec()
}

/// HMAC-SHA256 in lower-case hexadecimal.
pub(crate) fn hex_hmac(key: impl AsRef<[u8]>, text: impl AsRef<[u8]>) -> String {
    HEXLOWER.encode(&hmac(key, text))
}

/// HMAC-SHA256 in base64.
pub(crate) fn base64_hmac(key: impl AsRef<[u8]>, text: impl AsRef<[u8]>) -> String {
    BASE64.encode(&hmac(key, text))
}

/// PPJ's signature in two steps: the hexadecimal text of the first HMAC is the key of the second.
pub(crate) fn ppj_signature(secret: &str, timestamp: &str, text: &str) -> String {
    hex_hmac(hex_hmac(timestamp, secret), text)
}

/// The signature of Standard Webhooks, without the version prefix.
pub(crate) fn webhook_signature(secret: &str, id: &str, timestamp: &str, body: &str) -> String {
    let key = BASE64.decode(secret.trim_start_matches("whsec_").as_bytes()).expect("base64");
    base64_hmac(key, format!("{id}.{timestamp}.{body}"))
}

/// A request that is signed with Baidu's `bce-auth-v1` over the `Host` header. The target has no query.
#[derive(Clone, Copy)]
pub(crate) struct BceRequest<'a> {
    pub(crate) access_key: &'a str,
    pub(crate) secret_key: &'a str,
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    pub(crate) host: &'a str,
    /// Unix time of the signature, in seconds.
    pub(crate) time: u64,
}

impl BceRequest<'_> {
    /// The value of the `Authorization` header.
    pub(crate) fn authorization(&self) -> String {
        let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
        let time = OffsetDateTime::from_unix_timestamp(self.time.try_into().expect("a time")).expect("a time");
        let prefix = format!("bce-auth-v1/{}/{}/1800", self.access_key, time.format(format).expect("a time"));
        let canonical = format!("{}\n{}\n\nhost:{}", self.method, self.target, self.host.replace(':', "%3A"));
        let signature = hex_hmac(hex_hmac(self.secret_key, &prefix), canonical);
        format!("{prefix}/host/{signature}")
    }
}

#[test]
fn published_signature_vectors_match() {
    let secret = "kKdBnfSJNnBjex9gczp6P9g2";
    assert_eq!(
        ppj_signature(secret, "1489820220", "7bzaglsx2y1nmujw"),
        "988b7b1bdd05d10a0b21840561097f2dbbabeaf7e2bbe0dc960856a5fcdeb84e"
    );
    let text = "GET\n/notify\nagent=06875f8b&code=0&token=8v9iSKnj&type=completed";
    assert_eq!(
        ppj_signature(secret, "1490255398", text),
        "9b566f493c25afa7b57b6e2289f2382c32ab2393bdf0b0367ba77bb53dce36db"
    );
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let (id, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", r#"{"test": 2432232314}"#);
    assert_eq!(webhook_signature(secret, id, "1614265330", body), "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}
