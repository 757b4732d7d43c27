//! Who is asking, on the management addresses: a bearer token in the header, with the scope that the address needs.

use super::Context;
use super::problem::Problem;
use super::request::Request;
use crate::auth::{AuthError, Grant, Scope, presented};
use crate::domain::Timestamp;

/// The client that a management request acts for.
pub(super) fn require(context: &Context, request: &Request, scope: Scope, now: Timestamp) -> Result<Grant, Problem> {
    any(context, request, &[scope], now)
}

/// Reading documents and events is open to whoever may follow them, and to whoever may manage them.
pub(super) fn require_reader(context: &Context, request: &Request, now: Timestamp) -> Result<Grant, Problem> {
    any(context, request, &[Scope::Events, Scope::Manage], now)
}

fn any(context: &Context, request: &Request, scopes: &[Scope], now: Timestamp) -> Result<Grant, Problem> {
    let header = request.headers.get("authorization").map(http::HeaderValue::as_bytes);
    // A token in the query is for streams, which browsers cannot open otherwise.
    let token = presented(header, None).map_err(|_| Problem::token_required())?;
    let grant = context.auth.check(token.token(), now).map_err(|denied: AuthError| {
        tracing::info!(request_id = %request.id.0, %denied, "a token was not accepted");
        Problem::from(denied)
    })?;
    if grant.ticket.is_some() {
        return Err(Problem::ticket());
    }
    if scopes.iter().any(|s| grant.scopes.has(*s)) { Ok(grant) } else { Err(Problem::scope(scopes[0].as_str())) }
}
