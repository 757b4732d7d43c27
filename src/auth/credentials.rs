//! Finds credentials in a request: the `Authorization` header (Bearer and Basic), or the query for clients that cannot
//! set headers. Parses their syntax only; `token` and `secret` check them.

use std::borrow::Cow;

use data_encoding::BASE64;

use super::grant::{AuthError, Grant};
use crate::domain::Secret;

/// The names of the query parameter, in order of precedence.
const PARAMETERS: [&str; 2] = ["token", "access_token"];

/// The token in an `Authorization` value with the scheme Bearer, in any case (RFC 9110, 11.1). `None` for other schemes
/// and for an empty token.
pub fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.trim().split_once(' ')?;
    let token = token.trim_start();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Which tokens are accepted in the query. The header accepts all tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryToken {
    Any,
    /// Tickets only.
    Ticket,
    /// None; the query parameter is ignored.
    Off,
}

/// An unverified token, and its place in the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PresentedToken<'a> {
    InHeader(&'a str),
    /// Percent-decoded.
    InQuery(Cow<'a, str>),
}

impl PresentedToken<'_> {
    pub fn token(&self) -> &str {
        match self {
            PresentedToken::InHeader(token) => token,
            PresentedToken::InQuery(token) => token,
        }
    }

    /// Checks whether a token with this grant is accepted at its place in the request.
    ///
    /// # Errors
    /// [`AuthError::TicketRequired`].
    pub fn check_location(&self, grant: &Grant, rule: QueryToken) -> Result<(), AuthError> {
        match (self, rule) {
            (PresentedToken::InHeader(_), _) | (PresentedToken::InQuery(_), QueryToken::Any) => Ok(()),
            (PresentedToken::InQuery(_), _) if grant.ticket.is_some() => Ok(()),
            (PresentedToken::InQuery(_), _) => Err(AuthError::TicketRequired),
        }
    }
}

/// Finds the token of a request. `authorization` is the header's value, `query` the raw query without `?`; pass `None`
/// where tokens in the query are not accepted. The header takes precedence, even with another scheme than Bearer.
///
/// # Errors
/// [`AuthError::Missing`] if there is no token, an empty one, or an `Authorization` of another scheme.
pub fn find_token<'a>(
    authorization: Option<&'a [u8]>,
    query: Option<&'a str>,
) -> Result<PresentedToken<'a>, AuthError> {
    if let Some(header) = authorization {
        let token = std::str::from_utf8(header).ok().and_then(bearer);
        return token.map(PresentedToken::InHeader).ok_or(AuthError::Missing);
    }
    let pairs = || form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    PARAMETERS
        .into_iter()
        .find_map(|name| pairs().find_map(|(key, value)| (key == name && !value.is_empty()).then_some(value)))
        .map(PresentedToken::InQuery)
        .ok_or(AuthError::Missing)
}

/// Client id and secret in an `Authorization` value with the scheme Basic; `None` if it is malformed.
///
/// RFC 6749, 2.3.1 form-encodes both before they are joined; RFC 7617 does not. Ids and secrets created by the relay
/// contain no character that form encoding changes, so senders of both kinds are accepted.
pub fn basic(authorization: &str) -> Option<(String, Secret)> {
    let (scheme, credentials) = authorization.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(BASE64.decode(credentials.trim_start().as_bytes()).ok()?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    Some((form_decoded(id)?, Secret::new(&form_decoded(secret)?)))
}

/// One form-encoded value; `None` if it contains an unescaped `&`.
fn form_decoded(text: &str) -> Option<String> {
    if text.contains('&') {
        return None;
    }
    let form = format!("v={text}");
    form_urlencoded::parse(form.as_bytes()).next().map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_scheme_is_case_insensitive() {
        for header in ["Bearer t.o.k", "bearer t.o.k", "BEARER  t.o.k", " bEaReR t.o.k "] {
            assert_eq!(bearer(header), Some("t.o.k"), "{header:?}");
        }
        for header in ["", "Bearer", "Bearer ", "Basic dTpw", "Bearert.o.k", "t.o.k"] {
            assert_eq!(bearer(header), None, "{header:?}");
        }
    }

    #[test]
    fn header_takes_precedence_over_query() {
        let query = Some("a=1&token=from-query");
        assert_eq!(find_token(Some(b"Bearer from-header"), query), Ok(PresentedToken::InHeader("from-header")));
        assert_eq!(find_token(Some(b"Basic dTpw"), query), Err(AuthError::Missing));
        assert_eq!(find_token(Some(b"\xff\xfe"), query), Err(AuthError::Missing));
        assert_eq!(find_token(None, query), Ok(PresentedToken::InQuery("from-query".into())));
    }

    #[test]
    fn both_query_parameters_are_found_and_decoded() {
        assert_eq!(find_token(None, Some("access_token=a%2Eb")), Ok(PresentedToken::InQuery("a.b".into())));
        assert_eq!(
            find_token(None, Some("access_token=second&token=first")),
            Ok(PresentedToken::InQuery("first".into()))
        );
        for none in [None, Some(""), Some("token="), Some("Token=x"), Some("document=token")] {
            assert_eq!(find_token(None, none), Err(AuthError::Missing), "{none:?}");
        }
    }

    // Rule 30: tokens do not leak from URLs.
    #[test]
    fn query_token_rule_restricts_the_query_only() {
        let at = crate::domain::Timestamp::from_seconds(1);
        let token = Grant {
            client: crate::domain::ClientRef { id: "acme".parse().expect("a name"), created: at },
            scopes: crate::auth::Scopes::ALL,
            key: crate::auth::KeyStatus::default(),
            expires: at,
            ticket: None,
        };
        let ticket = Grant { ticket: crate::auth::Ticket::new(None).ok(), ..token.clone() };
        let (header, query) = (PresentedToken::InHeader("t"), PresentedToken::InQuery("t".into()));
        for rule in [QueryToken::Any, QueryToken::Ticket, QueryToken::Off] {
            assert_eq!(header.check_location(&token, rule), Ok(()));
            assert_eq!(header.check_location(&ticket, rule), Ok(()));
            assert_eq!(query.check_location(&ticket, rule), Ok(()));
            assert_eq!(query.check_location(&token, rule).is_ok(), rule == QueryToken::Any);
        }
    }

    #[test]
    fn basic_credentials_parse_with_and_without_form_encoding() {
        let header = |pair: &str| format!("Basic {}", BASE64.encode(pair.as_bytes()));
        let read = |pair: &str| basic(&header(pair)).map(|(id, secret)| (id, secret.expose().to_owned()));
        assert_eq!(read("acme:s3cret"), Some(("acme".into(), "s3cret".into())));
        assert_eq!(read("a%3Ab:p%26q+r%25"), Some(("a:b".into(), "p&q r%".into())));
        assert_eq!(read("acme:with:colon=1"), Some(("acme".into(), "with:colon=1".into())));
        assert_eq!(read("acme:"), Some(("acme".into(), String::new())));
        assert_eq!(basic("bAsIc YTpi").map(|(id, _)| id).as_deref(), Some("a"));
        for bad in ["Basic", "Basic ", "Basic !!", "Bearer YTpi", "Basic YQ==", "Basic /w=="] {
            assert!(basic(bad).is_none(), "{bad:?}");
        }
        assert!(read("a&b:c").is_none());
    }
}
