//! The check of credentials within the bound of failed tokens of an address. Beyond it, nothing is verified for the
//! address: only tokens that were verified before are accepted, which cost no signature. So a flood of forged tokens
//! does not lock out those that work behind the same address.

use std::time::{Duration, Instant};

use super::Context;
use super::request::Request;
use super::response::Problem;
use crate::auth::{AuthError, Grant};
use crate::domain::Timestamp;

/// What a person reads.
pub(super) const TOO_MANY_FAILED_TOKENS: &str = "too many failed tokens from this address";

/// The name of the bound in a response: its key in the configuration.
const LIMIT: &str = "failed_tokens_per_address";

/// Why a token gives no access.
#[derive(Debug, thiserror::Error)]
pub(super) enum TokenRefusal {
    #[error(transparent)]
    Denied(#[from] AuthError),
    /// It was not verified.
    #[error(transparent)]
    TooManyFailures(#[from] TooManyFailures),
}

/// An address has failed with too many credentials.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("{TOO_MANY_FAILED_TOKENS}")]
pub(super) struct TooManyFailures {
    /// When the next one is verified.
    pub(super) retry_after: Duration,
}

impl TooManyFailures {
    /// `Retry-After` in seconds, at least one.
    pub(super) fn retry_after_seconds(self) -> String {
        self.retry_after.as_millis().div_ceil(1000).max(1).to_string()
    }
}

impl From<TooManyFailures> for Problem {
    fn from(refusal: TooManyFailures) -> Self {
        let seconds = refusal.retry_after_seconds();
        Self::too_many(LIMIT, format!("{TOO_MANY_FAILED_TOKENS}: try again later")).with_header("retry-after", seconds)
    }
}

impl From<TokenRefusal> for Problem {
    fn from(refusal: TokenRefusal) -> Self {
        match refusal {
            TokenRefusal::Denied(denied) => denied.into(),
            TokenRefusal::TooManyFailures(refusal) => refusal.into(),
        }
    }
}

impl Context {
    /// The grant of a request's token. Counts a failure for the address of the request.
    pub(super) async fn check_request_token(
        &self,
        request: &Request,
        token: &str,
        now: Timestamp,
    ) -> Result<Grant, TokenRefusal> {
        if let Some(grant) = self.auth.check_verified(token, now) {
            return Ok(grant);
        }
        self.check_failures(request)?;
        let checked = self.check_token(token, now).await;
        if checked.as_ref().is_err_and(|denied| self.auth.counts_as_failure(*denied)) {
            self.record_failure(request);
        }
        Ok(checked?)
    }

    /// To be called before other credentials than tokens are verified.
    ///
    /// # Errors
    /// [`TooManyFailures`] if those of this address are not verified at present.
    pub(super) fn check_failures(&self, request: &Request) -> Result<(), TooManyFailures> {
        let wait = request.address.and_then(|address| self.failed_tokens.retry_after(address, Instant::now()));
        let Some(retry_after) = wait else { return Ok(()) };
        self.metrics.token_checks_refused.inc();
        Err(TooManyFailures { retry_after })
    }

    /// Counts credentials that were not accepted, for the address of the request.
    pub(super) fn record_failure(&self, request: &Request) {
        let Some(address) = request.address else { return };
        if self.failed_tokens.record(address, Instant::now()) {
            tracing::warn!(
                request_id = %request.id.0,
                %address,
                "too many failed tokens: those of this address are not verified for a while (failed_tokens_per_address)"
            );
        }
    }
}
