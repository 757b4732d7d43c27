//! Checks the credentials of a request: a bearer token with a scope, or the admin token.

use super::Context;
use super::problem::Problem;
use super::request::Request;
use crate::auth::{AuthError, Grant, Scope, bearer, find_token};
use crate::domain::Timestamp;

/// The grant of the request's bearer token, which has one of `scopes`. A token in the query is not accepted: only streams
/// need it, because browsers cannot send headers there.
pub(super) fn require(
    context: &Context,
    request: &Request,
    scopes: &[Scope],
    now: Timestamp,
) -> Result<Grant, Problem> {
    let header = request.headers.get("authorization").map(http::HeaderValue::as_bytes);
    let token = find_token(header, None).map_err(|_| Problem::token_required())?;
    let grant = context.auth.check(token.token(), now).map_err(|denied: AuthError| {
        tracing::info!(request_id = %request.id.0, reason = %denied, "token rejected");
        Problem::from(denied)
    })?;
    if grant.ticket.is_some() {
        return Err(Problem::ticket());
    }
    if scopes.iter().any(|s| grant.scopes.has(*s)) { Ok(grant) } else { Err(Problem::scope(scopes[0].as_str())) }
}

/// Checks the admin token.
pub(super) fn require_admin(context: &Context, request: &Request) -> Result<(), Problem> {
    let token = request.header("authorization").and_then(bearer).ok_or_else(Problem::token_required)?;
    if context.admin.matches(token) {
        return Ok(());
    }
    tracing::warn!(request_id = %request.id.0, "admin token rejected");
    Err(Problem::invalid_token("this is not the admin token"))
}
