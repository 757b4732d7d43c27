//! `POST /events/ticket`: a short-lived token for web pages that can follow streams and nothing else.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde::{Deserialize, Deserializer, Serialize};

use crate::auth::{Grant, Scope, Ticket};
use crate::domain::Timestamp;
use crate::http::problem::{HandlerResult, Problem};
use crate::http::request::Request;
use crate::http::response;
use crate::http::{Context, auth, body};

/// A hundred documents have some 4 KiB.
const MAX_BODY_BYTES: usize = 64 << 10;

/// The body, which may be empty.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct TicketRequest {
    /// In seconds.
    #[serde(default, deserialize_with = "given")]
    ttl: Option<u64>,
    #[serde(default, deserialize_with = "given")]
    documents: Option<Vec<String>>,
}

/// Refuses `null`: as the value of `documents` it would allow all of them.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Option<T>, D::Error> {
    T::deserialize(d).map(Some)
}

/// `POST /events/ticket`. A ticket cannot create tickets.
pub(in crate::http) async fn create(context: Arc<Context>, mut request: Request, _: Grant) -> HandlerResult {
    #[derive(Serialize)]
    struct TicketJson {
        token: String,
        expires_in: u64,
    }
    let limits = context.body_limits().at_most(MAX_BODY_BYTES);
    let wanted: TicketRequest = body::read_optional_json(&mut request, limits).await?.unwrap_or_default();
    let ttl = ttl(wanted.ttl)?;
    let read = |names: Vec<String>| names.iter().map(|name| name.parse()).collect::<Result<_, _>>();
    let documents =
        wanted.documents.map(read).transpose().map_err(|e| Problem::bad_request(format!("documents: {e}")))?;
    let ticket = Ticket::new(documents)?;
    // Checked again: the token may have expired while the body was read.
    let now = Timestamp::now();
    let grant = auth::require(&context, &request, &[Scope::Events], now)?;
    let (token, lasts) = context.keys.issue_ticket(&grant, &ticket, ttl, now).map_err(|error| {
        tracing::error!(%error, "ticket not signed");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no ticket can be signed at present: try again later")
    })?;
    Ok(response::json(StatusCode::OK, &TicketJson { token, expires_in: lasts.as_secs() }))
}

fn ttl(seconds: Option<u64>) -> Result<Duration, Problem> {
    let longest = Ticket::MAX_TTL.as_secs();
    match seconds {
        None => Ok(Ticket::DEFAULT_TTL),
        Some(seconds) if (1..=longest).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        Some(_) => Err(Problem::bad_request(format!("ttl: seconds, from 1 to {longest}"))),
    }
}
