//! What a token says of itself, read without checking it: enough to say in words why a relay refuses it, or when it
//! will. Whether it is good is the relay's business.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;

use super::finding::{Finding, seconds};
use crate::domain::Timestamp;

/// What a relay means that cannot accept to be asked for a stream.
pub(super) const NOT_ACCEPTED: &str =
    "not_accepted: the relay was not asked for text/event-stream: something in between changes the Accept header";

/// A token that ends sooner than this is worth a word.
const SOON: Duration = Duration::from_secs(600);

/// The claims of a token, as far as it has any.
pub(super) struct Passport {
    claims: Value,
    in_address: bool,
}

impl Passport {
    pub(super) fn read(token: &str, in_address: bool) -> Self {
        let middle = token.split('.').nth(1).and_then(|part| BASE64URL_NOPAD.decode(part.as_bytes()).ok());
        let claims = middle.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        Self { claims, in_address }
    }

    fn time(&self, claim: &str) -> Option<Timestamp> {
        // A cast from a float saturates.
        self.claims[claim].as_f64().map(|seconds| Timestamp::from_millis((seconds * 1000.0) as i64))
    }

    fn is_ticket(&self) -> bool {
        self.claims["use"] == "ticket"
    }

    /// Why the relay said this word, and what to do.
    pub(super) fn refused(&self, word: &str, now: Timestamp) -> String {
        match word {
            "auth_required" if self.in_address => {
                "auth_required: the relay takes no token from the address, or something in between \
                 takes it out: send it as Authorization: Bearer, or see query_token"
                    .to_owned()
            }
            "auth_required" => {
                "auth_required: the token was sent and did not arrive: something in between takes the Authorization \
                 header out, or puts its own there"
                    .to_owned()
            }
            "auth_failed" => format!("auth_failed: {}", self.why(now)),
            "not_accepted" => NOT_ACCEPTED.to_owned(),
            other => format!("the relay refuses the stream: {other}"),
        }
    }

    fn why(&self, now: Timestamp) -> String {
        let scope = self.claims["scope"].as_str().unwrap_or_default();
        match (self.time("exp"), self.time("nbf")) {
            _ if self.claims.is_null() => "the token is no JWT: was it copied whole?".to_owned(),
            (Some(exp), _) if exp <= now => format!("the token expired at {exp}: `docrelay token` makes a new one"),
            (_, Some(nbf)) if nbf > now => format!("the token is not valid before {nbf}"),
            _ if !scope.split(' ').any(|word| word == "events") => {
                format!("the token has the scope `{scope}` and needs `events`: `docrelay token --scope events`")
            }
            _ if self.in_address && !self.is_ticket() => {
                "the token is another relay's, its client was removed, or query_token wants \
                 a ticket in the address: POST /events/ticket makes one"
                    .to_owned()
            }
            _ => "the token is another relay's, or its client was removed: `docrelay token` makes a new one".to_owned(),
        }
    }

    /// What is to be said of a token that was accepted; the stream is listened to for `idle` more.
    pub(super) fn accepted(&self, now: Timestamp, idle: Duration) -> Vec<Finding> {
        let what = if self.is_ticket() { "ticket" } else { "token" };
        let mut found = vec![match self.time("exp") {
            Some(exp) if !self.is_ticket() && now.until(exp) < SOON.max(idle) => Finding::warn(format!(
                "the token is good, but ends in {}, and every stream with it: have a new one ready",
                seconds(now.until(exp))
            )),
            Some(exp) => Finding::ok(format!("the {what} is good until {exp}")),
            None => Finding::ok(format!("the {what} is good")),
        }];
        if self.in_address && !self.is_ticket() {
            let text =
                "the token stands in the address, which ends up in logs: put tickets there (POST /events/ticket)";
            found.push(Finding::warn(text));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::finding::Grade;
    use super::*;

    fn token(claims: &Value) -> String {
        format!("e30.{}.c2ln", BASE64URL_NOPAD.encode(claims.to_string().as_bytes()))
    }

    #[test]
    fn why_a_token_failed_is_guessed_from_what_it_says() {
        let now = Timestamp::from_seconds(1000);
        let why = |claims: Value| Passport::read(&token(&claims), false).refused("auth_failed", now);
        assert!(why(json!({"exp": 1000, "scope": "events"})).contains("expired at 1970-01-01T00:16:40"));
        assert!(why(json!({"exp": 2000, "nbf": 1500, "scope": "events"})).contains("not valid before"));
        assert!(why(json!({"exp": 2000, "scope": "manage"})).contains("needs `events`"));
        assert!(why(json!({"exp": 2000, "scope": "events manage"})).contains("another relay's"));
        for odd in ["", "x", "x.y.z", "a.bm8.c"] {
            assert!(Passport::read(odd, false).refused("auth_failed", now).contains("no JWT"), "{odd}");
        }
        let in_address = Passport::read(&token(&json!({"exp": 2000, "scope": "events"})), true);
        assert!(in_address.refused("auth_failed", now).contains("query_token"));
        assert!(in_address.refused("auth_required", now).contains("query_token"));
    }

    #[test]
    fn a_token_that_ends_soon_and_one_in_an_address_are_worth_a_word() {
        let now = Timestamp::from_seconds(1000);
        let grades = |claims: Value, in_address| {
            let found = Passport::read(&token(&claims), in_address).accepted(now, Duration::from_secs(40));
            found.iter().map(|f| f.grade).collect::<Vec<_>>()
        };
        assert_eq!(grades(json!({"exp": 5000}), false), [Grade::Ok]);
        assert_eq!(grades(json!({"exp": 1500}), false), [Grade::Warn]);
        assert_eq!(grades(json!({"exp": 1500, "use": "ticket"}), true), [Grade::Ok]);
        assert_eq!(grades(json!({"exp": 5000}), true), [Grade::Ok, Grade::Warn]);
        assert_eq!(grades(json!({"exp": 1e300}), false), [Grade::Ok]);
    }
}
