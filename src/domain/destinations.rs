//! Where events go: endpoint addresses, the destinations of a document, the targets of deliveries and their queues.

use std::sync::Arc;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

use super::client::ClientId;
use super::notification::{Credential, Format, InvalidName, NotificationName};
use super::time::Timestamp;

/// Maximum length of an endpoint in characters (Baidu's limit).
pub const MAX_ENDPOINT_CHARS: usize = 256;

/// An outbound address of one document, besides its notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Callback {
    /// An absolute `http` or `https` address.
    pub url: String,
    pub format: Format,
    pub credential: Option<Credential>,
}

/// The receivers of the events of one document, as given when the application registers it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destinations {
    /// Replaces the client's default notification.
    pub notification: Option<NotificationName>,
    pub callback: Option<Callback>,
}

/// Checks the form of the address of a notification or a callback: absolute, `http` or `https`, at most
/// [`MAX_ENDPOINT_CHARS`] characters. The error is a clause that states the rule. Whether the address may be called is
/// checked by the HTTP client.
pub fn check_endpoint(text: &str) -> Result<(), String> {
    if text.chars().count() > MAX_ENDPOINT_CHARS {
        return Err(format!("must have at most {MAX_ENDPOINT_CHARS} characters"));
    }
    // `Url::parse` removes white space and repairs a missing host, so the checked address could differ from the
    // stored text. A fragment is never sent.
    let odd = text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\' || c == '#');
    let hostless = text.split_once("//").is_none_or(|(_, rest)| rest.is_empty() || rest.starts_with(['/', '?']));
    match url::Url::parse(text) {
        Ok(url) if !odd && !hostless && ["http", "https"].contains(&url.scheme()) && url.has_host() => Ok(()),
        _ => Err("must be an absolute http or https address".to_owned()),
    }
}

/// The target of a delivery: a notification, or one callback address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// A notification.
    Notification(NotificationName),
    /// The callbacks to one address.
    Callback {
        /// Scheme, host and port, as in `https://app.example.com`.
        origin: Arc<str>,
        /// The first 64 bits of the SHA-256 of the whole address: the path may hold a secret, and this is stored in the clear.
        digest: u64,
    },
}

impl Target {
    /// The text form: the notification's name, or `@origin#digest`. No name begins with `@`.
    pub fn key(&self) -> String {
        match self {
            Target::Notification(name) => name.as_str().to_owned(),
            Target::Callback { origin, digest } => format!("@{origin}#{digest:016x}"),
        }
    }

    /// Parses [`Target::key`].
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

    /// The endpoint whose queue holds the deliveries to this target.
    pub fn endpoint(&self) -> Endpoint {
        match self {
            Target::Notification(name) => Endpoint::Notification(name.clone()),
            Target::Callback { origin, .. } => Endpoint::Origin(origin.clone()),
        }
    }

    /// The target of a callback; `None` if its address is not absolute.
    pub fn of(callback: &Callback) -> Option<Self> {
        let url = url::Url::parse(&callback.url).ok()?;
        url.host()?;
        let digest = digest::digest(&digest::SHA256, callback.url.as_bytes());
        let digest = digest.as_ref().first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
        Some(Target::Callback { origin: url.origin().ascii_serialization().into(), digest })
    }
}

/// What a delivery queue delivers to. Callback addresses usually hold a document's id in path or query, so all of them at
/// one origin are one endpoint: one queue, one health.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Endpoint {
    /// A notification.
    Notification(NotificationName),
    /// Callbacks to one origin: scheme, host and port.
    Origin(Arc<str>),
}

impl Endpoint {
    /// The text form: the notification's name, or `@origin`. No name begins with `@`.
    pub fn key(&self) -> String {
        match self {
            Endpoint::Notification(name) => name.as_str().to_owned(),
            Endpoint::Origin(origin) => format!("@{origin}"),
        }
    }

    /// Parses [`Endpoint::key`].
    pub fn from_key(key: &str) -> Result<Self, InvalidName> {
        match key.strip_prefix('@') {
            Some("") => Err(InvalidName),
            Some(origin) => Ok(Endpoint::Origin(origin.into())),
            None => key.parse().map(Endpoint::Notification),
        }
    }
}

/// Names a delivery queue: the deliveries of one client to one endpoint. A slow endpoint delays its own queue only.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueKey {
    /// The owner of the deliveries.
    pub client: ClientId,
    /// Their receiver.
    pub endpoint: Endpoint,
}

/// The state of a delivery after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// The endpoint accepted it.
    Delivered,
    /// The attempt failed; the next one is due at this time.
    Retry(Timestamp),
    /// The attempt failed and no further one is made.
    Dead,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_must_be_absolute_and_within_length() {
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
    fn target_survives_a_round_trip_through_its_key() {
        let callback = |url: &str| Callback { url: url.into(), format: Format::Gini, credential: None };
        let named = Target::Notification("main".parse().expect("good"));
        let origin = Target::of(&callback("https://App.example.com:8443/x?y=1")).expect("absolute");
        assert!(origin.key().starts_with("@https://app.example.com:8443#"), "{}", origin.key());
        assert_ne!(Target::of(&callback("https://app.example.com:8443/x?y=2")), Some(origin.clone()));
        for target in [named.clone(), origin.clone()] {
            assert_eq!(Target::from_key(&target.key()), Ok(target));
        }
        let second = Target::of(&callback("https://app.example.com:8443/x?y=2")).expect("absolute");
        assert_eq!(second.endpoint(), origin.endpoint(), "addresses of one origin share a queue");
        for endpoint in [named.endpoint(), second.endpoint()] {
            assert_eq!(Endpoint::from_key(&endpoint.key()), Ok(endpoint));
        }
        assert_eq!(Target::of(&callback("/x")), None);
        assert_eq!(Target::of(&callback("mailto:a@b")), None);
    }
}
