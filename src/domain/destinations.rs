//! Where the events of a document go: its destinations, and the form of endpoint addresses.

use serde::{Deserialize, Serialize};

use super::notification::{Credential, Format, NotificationName};

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
}
