//! Where a request carries its credentials: the `Authorization` header (Bearer and Basic), or the query of those who
//! cannot set headers, as far as that is allowed. Knows how they are written, not whether they are good.

use std::borrow::Cow;

use data_encoding::BASE64;

use super::token::{AuthError, Grant};
use crate::domain::Secret;

/// The names of the query parameter; the first that occurs counts, whatever order they come in.
const PARAMETERS: [&str; 2] = ["token", "access_token"];

/// The token of an `Authorization` value of the scheme Bearer, in any case (RFC 9110 11.1); `None` for any other
/// scheme and when no token follows.
pub fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.trim().split_once(' ')?;
    let token = token.trim_start();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// What a token in the query is good for. Whatever this says, the header takes any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryToken {
    /// As much as one in the header.
    Any,
    /// It has to be a ticket.
    Ticket,
    /// Nothing: it is as if there were none.
    Off,
}

/// The token of a request, not checked yet, and where it stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presented<'a> {
    /// In `Authorization`.
    InHeader(&'a str),
    /// In the query, unescaped.
    InQuery(Cow<'a, str>),
}

impl Presented<'_> {
    /// The token.
    pub fn token(&self) -> &str {
        match self {
            Presented::InHeader(token) => token,
            Presented::InQuery(token) => token,
        }
    }

    /// [`AuthError::TicketRequired`] when it may not stand where it stood.
    pub fn allowed(&self, grant: &Grant, rule: QueryToken) -> Result<(), AuthError> {
        match (self, rule) {
            (Presented::InHeader(_), _) | (Presented::InQuery(_), QueryToken::Any) => Ok(()),
            (Presented::InQuery(_), _) if grant.ticket.is_some() => Ok(()),
            (Presented::InQuery(_), _) => Err(AuthError::TicketRequired),
        }
    }
}

/// The token that a request presents. `authorization` is the header's bytes, `query` the raw query without `?`; pass
/// none where a token in the query counts for nothing.
///
/// The header wins: an `Authorization` of another scheme hides the query's token and is [`AuthError::Missing`], as is no
/// token at all, or an empty one.
pub fn presented<'a>(authorization: Option<&'a [u8]>, query: Option<&'a str>) -> Result<Presented<'a>, AuthError> {
    if let Some(header) = authorization {
        let token = std::str::from_utf8(header).ok().and_then(bearer);
        return token.map(Presented::InHeader).ok_or(AuthError::Missing);
    }
    let pairs = || form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    PARAMETERS
        .into_iter()
        .find_map(|name| pairs().find_map(|(key, value)| (key == name && !value.is_empty()).then_some(value)))
        .map(Presented::InQuery)
        .ok_or(AuthError::Missing)
}

/// Client id and secret of an `Authorization` value of the scheme Basic; `None` when it is none.
///
/// RFC 6749 2.3.1 wants both form-urlencoded before they are joined, which RFC 7617 does not know of. Ids and secrets
/// made here read the same either way, so both kinds of sender are understood.
pub fn basic(authorization: &str) -> Option<(String, Secret)> {
    let (scheme, credentials) = authorization.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(BASE64.decode(credentials.trim_start().as_bytes()).ok()?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    Some((form_decoded(id)?, Secret::new(&form_decoded(secret)?)))
}

/// One form-urlencoded value; `None` when an unescaped `&` cuts it in two.
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
    fn the_scheme_counts_in_any_case() {
        for header in ["Bearer t.o.k", "bearer t.o.k", "BEARER  t.o.k", " bEaReR t.o.k "] {
            assert_eq!(bearer(header), Some("t.o.k"), "{header:?}");
        }
        for header in ["", "Bearer", "Bearer ", "Basic dTpw", "Bearert.o.k", "t.o.k"] {
            assert_eq!(bearer(header), None, "{header:?}");
        }
    }

    #[test]
    fn the_header_wins_over_the_query() {
        let query = Some("a=1&token=from-query");
        assert_eq!(presented(Some(b"Bearer from-header"), query), Ok(Presented::InHeader("from-header")));
        assert_eq!(presented(Some(b"Basic dTpw"), query), Err(AuthError::Missing));
        assert_eq!(presented(Some(b"\xff\xfe"), query), Err(AuthError::Missing));
        assert_eq!(presented(None, query), Ok(Presented::InQuery("from-query".into())));
    }

    #[test]
    fn both_names_of_the_parameter_are_read_and_unescaped() {
        assert_eq!(presented(None, Some("access_token=a%2Eb")), Ok(Presented::InQuery("a.b".into())));
        assert_eq!(presented(None, Some("access_token=second&token=first")), Ok(Presented::InQuery("first".into())));
        for none in [None, Some(""), Some("token="), Some("Token=x"), Some("document=token")] {
            assert_eq!(presented(None, none), Err(AuthError::Missing), "{none:?}");
        }
    }

    #[test]
    fn a_query_takes_what_the_rule_allows_and_a_header_takes_any() {
        let at = crate::domain::Timestamp::from_seconds(1);
        let token = Grant {
            client: "acme".parse().expect("a name"),
            scopes: crate::auth::Scopes::ALL,
            issued: at,
            expires: at,
            ticket: None,
        };
        let ticket = Grant { ticket: crate::auth::Ticket::new(None).ok(), ..token.clone() };
        let (header, query) = (Presented::InHeader("t"), Presented::InQuery("t".into()));
        for rule in [QueryToken::Any, QueryToken::Ticket, QueryToken::Off] {
            assert_eq!(header.allowed(&token, rule), Ok(()));
            assert_eq!(header.allowed(&ticket, rule), Ok(()));
            assert_eq!(query.allowed(&ticket, rule), Ok(()));
            assert_eq!(query.allowed(&token, rule).is_ok(), rule == QueryToken::Any);
        }
    }

    #[test]
    fn basic_credentials_are_read_escaped_or_not() {
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
