//! Notifications as the registry keeps them: where events go out again, in which format, with which proof. Plain
//! data; how a format looks is the dialects' business, when it is sent is that of `notify`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

use crate::domain::{Secret, Status, Timestamp, Vendor, millis};

/// How many notifications one client may have; Baidu's own limit.
pub const NOTIFICATIONS_PER_CLIENT: usize = 5;

/// Characters of an endpoint at most; Baidu's own limit.
pub const ENDPOINT_LENGTH: usize = 256;

/// A notification's name: a lower-case letter, then lower-case letters, digits and underscores, 40 characters at most.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NotificationName(Arc<str>);

/// Why a text is no name of a notification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 40 lower-case letters, digits or underscores, and begin with a letter")]
pub struct InvalidName;

impl NotificationName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NotificationName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let begins = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        let fits = text.len() <= 40 && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if begins && fits { Ok(Self(text.into())) } else { Err(InvalidName) }
    }
}

impl TryFrom<String> for NotificationName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<NotificationName> for String {
    fn from(name: NotificationName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for NotificationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NotificationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// In whose words an event goes out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Baidu's envelope; final states only.
    #[default]
    Baidu,
    /// PPJ's GET; final states only, and only to an endpoint that has passed the handshake.
    Ppj,
    /// zOffice's callback.
    Zoffice,
    /// The event as the stream shows it.
    Gini,
    /// Standard Webhooks.
    Standard,
}

impl Format {
    /// Every format, in the order of the contract.
    pub const ALL: [Format; 5] = [Format::Baidu, Format::Ppj, Format::Zoffice, Format::Gini, Format::Standard];

    /// The vendor whose format it is.
    pub fn vendor(self) -> Vendor {
        match self {
            Format::Baidu => Vendor::Baidu,
            Format::Ppj => Vendor::Ppj,
            Format::Zoffice => Vendor::Zoffice,
            Format::Gini => Vendor::Gini,
            Format::Standard => Vendor::Standard,
        }
    }

    /// The name used in JSON, flags and metrics.
    pub fn as_str(self) -> &'static str {
        self.vendor().as_str()
    }

    /// Whether it has words for this status.
    pub fn tells(self, status: Status) -> bool {
        status != Status::Pending || !matches!(self, Format::Baidu | Format::Ppj)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Format::ALL
            .into_iter()
            .find(|f| f.as_str() == text)
            .ok_or_else(|| format!("must be one of {}", Format::ALL.map(Format::as_str).join(", ")))
    }
}

/// What zOffice calls `tokenType` and `tokenValue`: a header's value that the receiver chose, sent as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Credential {
    /// The whole `Cookie` header.
    Cookie(Secret),
    /// The whole `Authorization` header.
    Header(Secret),
}

/// Whether a notification's endpoint is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NotificationState {
    /// It has not passed PPJ's handshake yet: that is tried before anything is sent.
    Unverified,
    /// It is called.
    Active,
    /// It has answered 410: nothing is sent until its owner says so.
    Disabled,
}

impl NotificationState {
    /// The name used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            NotificationState::Unverified => "unverified",
            NotificationState::Active => "active",
            NotificationState::Disabled => "disabled",
        }
    }
}

/// One outbound address of a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    /// Tells it from an earlier one of the same name.
    pub id: String,
    /// How its owner calls it.
    pub name: NotificationName,
    /// Where it goes: an absolute `http` or `https` address of at most [`ENDPOINT_LENGTH`] characters.
    pub endpoint: String,
    /// In whose words.
    pub format: Format,
    /// Whether it takes the events of documents that name none.
    pub is_default: bool,
    /// What it is signed with: none, one, or two where the format can carry two signatures.
    pub secrets: Vec<Secret>,
    /// The secret before the last change, and until when it signs, too.
    pub previous: Option<Retired>,
    /// What is sent along for the receiver to recognise.
    pub credential: Option<Credential>,
    /// Whether it is called.
    pub state: NotificationState,
    /// When it was made.
    #[serde(with = "millis")]
    pub created: Timestamp,
}

/// A secret on its way out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retired {
    /// The secret.
    pub secret: Secret,
    /// Until when it is used.
    #[serde(with = "millis")]
    pub until: Timestamp,
}

impl Notification {
    /// What to sign with at this time, the newest first.
    pub fn signing_secrets(&self, now: Timestamp) -> Vec<Secret> {
        let previous = self.previous.iter().filter(|p| now < p.until).map(|p| p.secret.clone());
        self.secrets.iter().cloned().chain(previous).collect()
    }
}

/// Where the events of one document go, beside its notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Callback {
    /// An absolute `http` or `https` address.
    pub url: String,
    /// In whose words.
    pub format: Format,
    /// What is sent along for the receiver to recognise.
    pub credential: Option<Credential>,
}

/// Where the events of one document go, as the application said when it announced it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// This notification instead of the client's default one.
    pub notification: Option<NotificationName>,
    /// And there.
    pub callback: Option<Callback>,
}

/// Whether a text can be the address of a notification or a callback: absolute, `http` or `https`, and no longer than
/// [`ENDPOINT_LENGTH`]. If not, a clause that says what it must be. Whether it may be called is for egress to say.
pub fn check_endpoint(text: &str) -> Result<(), String> {
    if text.chars().count() > ENDPOINT_LENGTH {
        return Err(format!("must have at most {ENDPOINT_LENGTH} characters"));
    }
    // The parser would take white space away in silence, or find a host where a reader sees none: what was checked would
    // not be what is kept. A fragment is never sent.
    let odd = text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\' || c == '#');
    let hostless = text.split_once("//").is_none_or(|(_, rest)| rest.is_empty() || rest.starts_with(['/', '?']));
    match url::Url::parse(text) {
        Ok(url) if !odd && !hostless && ["http", "https"].contains(&url.scheme()) && url.has_host() => Ok(()),
        _ => Err("must be an absolute http or https address".to_owned()),
    }
}

/// What a delivery is aimed at, which is also the line it waits in: a notification, or one address of callbacks.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// The notification of this name.
    Notification(NotificationName),
    /// The callbacks to one address.
    Callback {
        /// Its scheme, host and port, as in `https://app.example.com`.
        origin: Arc<str>,
        /// The beginning of the SHA-256 of all of it: the rest may hold a secret, and this is stored in the clear.
        digest: u64,
    },
}

impl Target {
    /// The notification's name; or, after an `@` which no name begins with, origin and digest with a `#` between them.
    pub fn key(&self) -> String {
        match self {
            Target::Notification(name) => name.as_str().to_owned(),
            Target::Callback { origin, digest } => format!("@{origin}#{digest:016x}"),
        }
    }

    /// From [`Target::key`].
    pub fn from_key(key: &str) -> Result<Self, InvalidName> {
        match key.strip_prefix('@') {
            Some(key) => {
                let (origin, digest) = key.split_once('#').ok_or(InvalidName)?;
                let digest = u64::from_str_radix(digest, 16).map_err(|_| InvalidName)?;
                Ok(Target::Callback { origin: origin.into(), digest })
            }
            None => key.parse().map(Target::Notification),
        }
    }

    /// Where this callback waits. `None` when its address is not an absolute one.
    pub fn of(callback: &Callback) -> Option<Self> {
        let url = url::Url::parse(&callback.url).ok()?;
        url.host()?;
        let digest = digest::digest(&digest::SHA256, callback.url.as_bytes());
        let digest = digest.as_ref().first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
        Some(Target::Callback { origin: url.origin().ascii_serialization().into(), digest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_baidus() {
        for good in ["a", "doc_notification", "a0_", &"a".repeat(40)] {
            assert!(good.parse::<NotificationName>().is_ok(), "{good}");
        }
        for bad in ["", "A", "_a", "0a", "a-b", "a b", "ä", "a\n", &"a".repeat(41)] {
            assert!(bad.parse::<NotificationName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn endpoints_are_absolute_addresses_of_baidus_length() {
        let long = |length: usize| format!("http://a.example/{}", "x".repeat(length - 17));
        let wide = format!("http://a.example/{}", "\u{e9}".repeat(239));
        for good in
            ["http://a.example", "HTTPS://[2001:db8::1]:8443/x?y=1", "http://xn--bcher-kva.example/", &long(256), &wide]
        {
            assert_eq!(check_endpoint(good), Ok(()), "{good}");
        }
        for bad in
            ["", "/x", "a.example/x", "http://", "ftp://a.example/", "mailto:a@b", "http:\n//a.example", &long(257)]
        {
            assert!(check_endpoint(bad).is_err(), "{bad}");
        }
        for bad in [" http://a.example", "http://a.example/ ", "http://a.exa\tmple/", "http://a.example/x y"] {
            assert!(check_endpoint(bad).is_err(), "{bad:?}");
        }
        for bad in ["http:///x", "http://a.example\\@127.0.0.1/", "https:a.example", "http://a.example/#x", "http://?x"]
        {
            assert!(check_endpoint(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn targets_come_back_from_their_keys() {
        let callback = |url: &str| Callback { url: url.into(), format: Format::Gini, credential: None };
        let named = Target::Notification("main".parse().expect("good"));
        let origin = Target::of(&callback("https://App.example.com:8443/x?y=1")).expect("absolute");
        assert!(origin.key().starts_with("@https://app.example.com:8443#"), "{}", origin.key());
        assert_ne!(Target::of(&callback("https://app.example.com:8443/x?y=2")), Some(origin.clone()));
        for target in [named, origin] {
            assert_eq!(Target::from_key(&target.key()), Ok(target));
        }
        assert_eq!(Target::of(&callback("/x")), None);
        assert_eq!(Target::of(&callback("mailto:a@b")), None);
    }
}
