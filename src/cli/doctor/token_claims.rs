//! The claims of the token, read without verifying its signature: enough to explain why the relay refuses it and when
//! it expires. Verification is up to the relay.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;

use super::report::{Finding, duration_text};
use crate::auth::ISSUER;
use crate::domain::Timestamp;

/// The remedy for the error `not_accepted`.
pub(super) const NOT_ACCEPTED: &str =
    "not_accepted: the request reached the relay without Accept: text/event-stream: a proxy changes the Accept header";

/// A token that expires sooner gets a warning.
const MIN_TOKEN_LIFETIME: Duration = Duration::from_secs(600);

/// How the request carries the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenPlace {
    Header,
    Query,
}

/// The claims are null if the token is not a JWT.
pub(super) struct TokenClaims {
    claims: Value,
    place: TokenPlace,
}

impl TokenClaims {
    pub(super) fn decode(token: &str, place: TokenPlace) -> Self {
        let payload = token.split('.').nth(1).and_then(|part| BASE64URL_NOPAD.decode(part.as_bytes()).ok());
        let claims = payload.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        Self { claims, place }
    }

    fn time(&self, claim: &str) -> Option<Timestamp> {
        // A cast from a float saturates.
        self.claims[claim].as_f64().map(|seconds| Timestamp::from_millis((seconds * 1000.0) as i64))
    }

    fn is_ticket(&self) -> bool {
        self.claims["use"] == "ticket"
    }

    /// Whether this is a token in the URL that is not a ticket.
    fn is_query_token(&self) -> bool {
        self.place == TokenPlace::Query && !self.is_ticket()
    }

    /// The likely cause of the relay's error `code`, and the remedy.
    pub(super) fn explain_refusal(&self, code: &str, now: Timestamp) -> String {
        match (code, self.place) {
            ("auth_required", TokenPlace::Query) => {
                "auth_required: the relay takes no token from the URL, or a proxy removes it: send it as \
                 Authorization: Bearer, or see query_token"
                    .to_owned()
            }
            ("auth_required", TokenPlace::Header) => {
                "auth_required: the token was sent and did not arrive: a proxy removes or replaces the Authorization header"
                    .to_owned()
            }
            ("auth_failed", _) => format!("auth_failed: {}", self.likely_defect(now)),
            ("not_accepted", _) => NOT_ACCEPTED.to_owned(),
            (other, _) => format!("the relay refuses the stream: {other}"),
        }
    }

    fn likely_defect(&self, now: Timestamp) -> String {
        let scope = self.claims["scope"].as_str().unwrap_or_default();
        match (self.time("exp"), self.time("nbf")) {
            _ if self.claims.is_null() => "the token is no JWT: was it copied completely?".to_owned(),
            (Some(exp), _) if exp <= now => format!("the token expired at {exp}: `docrelay token` prints a new one"),
            (_, Some(nbf)) if nbf > now => format!("the token is not valid before {nbf}"),
            _ if self.claims["iss"].as_str().is_some_and(|issuer| issuer != ISSUER) => {
                let issuer = self.claims["iss"].as_str().unwrap_or_default();
                format!(
                    "the token is of the issuer `{issuer}`: the relay's log says which issuers it accepts, and why it refused the token"
                )
            }
            _ if !scope.split(' ').any(|word| word == "events") => {
                format!("the token has the scope `{scope}` and needs `events`: `docrelay token --scope events`")
            }
            _ if self.is_query_token() => {
                "the token is from another relay, its client was removed, or query_token requires a ticket in the URL: \
                 POST /events/ticket creates one"
                    .to_owned()
            }
            _ => "the token is from another relay, or its client was removed: `docrelay token` prints a new one"
                .to_owned(),
        }
    }

    /// Findings about a token that the relay has accepted. The stream is watched for `idle` from `now`.
    pub(super) fn check_accepted(&self, now: Timestamp, idle: Duration) -> Vec<Finding> {
        let name = if self.is_ticket() { "ticket" } else { "token" };
        let mut findings = vec![match self.time("exp") {
            Some(exp) if !self.is_ticket() && now.until(exp) < MIN_TOKEN_LIFETIME.max(idle) => Finding::warn(format!(
                "the token is valid, but expires in {}, which also ends its streams: get a new one before",
                duration_text(now.until(exp))
            )),
            Some(exp) => Finding::ok(format!("the {name} is valid until {exp}")),
            None => Finding::ok(format!("the {name} is valid")),
        }];
        if self.is_query_token() {
            findings.push(Finding::warn(
                "the token is in the URL, which proxies write to their logs: use a ticket there (POST /events/ticket)",
            ));
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::report::Severity;
    use super::*;

    fn token(claims: &Value) -> String {
        format!("e30.{}.c2ln", BASE64URL_NOPAD.encode(claims.to_string().as_bytes()))
    }

    #[test]
    fn refusal_is_explained_by_claims() {
        let now = Timestamp::from_seconds(1000);
        let explain = |token: &str, place| TokenClaims::decode(token, place).explain_refusal("auth_failed", now);
        let reason = |claims: Value| explain(&token(&claims), TokenPlace::Header);
        assert!(reason(json!({"exp": 1000, "scope": "events"})).contains("expired at 1970-01-01T00:16:40"));
        assert!(reason(json!({"exp": 2000, "nbf": 1500, "scope": "events"})).contains("not valid before"));
        assert!(reason(json!({"exp": 2000, "scope": "manage"})).contains("needs `events`"));
        assert!(reason(json!({"exp": 2000, "scope": "events manage"})).contains("from another relay"));
        let foreign = json!({"exp": 2000, "iss": "https://id.example", "groups": ["events"]});
        assert!(reason(foreign).contains("of the issuer `https://id.example`: the relay's log"));
        assert!(reason(json!({"exp": 2000, "iss": "docrelay", "scope": "manage"})).contains("needs `events`"));
        for malformed in ["", "x", "x.y.z", "a.bm8.c"] {
            assert!(explain(malformed, TokenPlace::Header).contains("no JWT"), "{malformed}");
        }
        let in_query = TokenClaims::decode(&token(&json!({"exp": 2000, "scope": "events"})), TokenPlace::Query);
        assert!(in_query.explain_refusal("auth_failed", now).contains("query_token"));
        assert!(in_query.explain_refusal("auth_required", now).contains("query_token"));
    }

    #[test]
    fn soon_expiring_token_and_query_token_warn() {
        let now = Timestamp::from_seconds(1000);
        let severities = |claims: Value, place| {
            let findings = TokenClaims::decode(&token(&claims), place).check_accepted(now, Duration::from_secs(40));
            findings.iter().map(|f| f.severity).collect::<Vec<_>>()
        };
        assert_eq!(severities(json!({"exp": 5000}), TokenPlace::Header), [Severity::Ok]);
        assert_eq!(severities(json!({"exp": 1500}), TokenPlace::Header), [Severity::Warn]);
        assert_eq!(severities(json!({"exp": 1500, "use": "ticket"}), TokenPlace::Query), [Severity::Ok]);
        assert_eq!(severities(json!({"exp": 5000}), TokenPlace::Query), [Severity::Ok, Severity::Warn]);
        assert_eq!(severities(json!({"exp": 1e300}), TokenPlace::Header), [Severity::Ok]);
    }
}
