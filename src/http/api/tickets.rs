//! `POST /events/ticket`: what a client's own server hands to its pages, instead of a token that could do more and
//! longer.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use serde::{Deserialize, Deserializer, Serialize};

use crate::auth::{Scope, Ticket};
use crate::domain::Timestamp;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::{self, HandlerResult};
use crate::http::{Context, auth, body};

/// A hundred documents have some 4 KiB.
const LARGEST: usize = 64 << 10;

/// The body; all of it may be left out.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// In seconds.
    #[serde(default, deserialize_with = "given")]
    ttl: Option<u64>,
    #[serde(default, deserialize_with = "given")]
    documents: Option<Vec<String>>,
}

/// A key that is there has a value: `null` for the documents, a slip, would open all of them.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Option<T>, D::Error> {
    T::deserialize(d).map(Some)
}

/// `POST /events/ticket`, with a token that may follow and is no ticket itself.
pub(in crate::http) async fn issue(context: Arc<Context>, mut request: Request) -> HandlerResult {
    #[derive(Serialize)]
    struct Issued {
        token: String,
        expires_in: u64,
    }
    if request.method != Method::POST {
        return Err(Problem::method("POST"));
    }
    auth::require(&context, &request, Scope::Events, Timestamp::now())?;
    let limit = LARGEST.min(context.options.max_body_bytes);
    let bytes = body::read(&mut request, limit, context.options.body_timeout).await?;
    let wanted = match bytes.trim_ascii() {
        b"" => Wanted::default(),
        // serde would read a list as the values of the keys.
        json if !json.starts_with(b"{") => return Err(Problem::bad_request("the body: an object")),
        json => serde_json::from_slice(json).map_err(|e| Problem::bad_request(format!("the body: {e}")))?,
    };
    let ttl = ttl(wanted.ttl)?;
    let read = |names: Vec<String>| names.iter().map(|name| name.parse()).collect::<Result<_, _>>();
    let documents =
        wanted.documents.map(read).transpose().map_err(|e| Problem::bad_request(format!("documents: {e}")))?;
    let ticket = Ticket::new(documents)?;
    // Looked at again: the body may have taken its time, and what has ended meanwhile makes no tickets.
    let now = Timestamp::now();
    let grant = auth::require(&context, &request, Scope::Events, now)?;
    let (token, lasts) = context.keys.ticket(&grant, &ticket, ttl, now).map_err(|error| {
        tracing::error!(%error, "a ticket could not be signed");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no ticket can be signed at present: try again later")
    })?;
    Ok(response::json(StatusCode::OK, &Issued { token, expires_in: lasts.as_secs() }))
}

fn ttl(seconds: Option<u64>) -> Result<Duration, Problem> {
    let longest = Ticket::LONGEST.as_secs();
    match seconds {
        None => Ok(Ticket::TTL),
        Some(seconds) if (1..=longest).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        Some(_) => Err(Problem::bad_request(format!("ttl: seconds, from 1 to {longest}"))),
    }
}
