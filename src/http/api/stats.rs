//! How much happened lately: `GET /events/counts`, for charts.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use serde::Serialize;

use crate::domain::{EventId, Status, Timestamp};
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::{self, HandlerResult};
use crate::http::{Context, auth};

/// The present minute and the 59 before it.
const SPAN: Duration = Duration::from_secs(59 * 60);

/// The latest events that one answer looks at: some tens of milliseconds of reading, however busy the client is.
const MOST: usize = 50_000;

/// `GET /events/counts`: from the stored events, so a restart changes nothing.
pub(in crate::http) async fn counts(context: Arc<Context>, request: Request) -> HandlerResult {
    #[derive(Serialize)]
    struct Minute {
        time: Timestamp,
        status: Status,
        count: u64,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Counted {
        /// From here on the counts are complete.
        since: Timestamp,
        minutes: Vec<Minute>,
        /// Events after it are not counted yet.
        last_event_id: EventId,
    }
    if request.method != Method::GET {
        return Err(Problem::method("GET"));
    }
    let now = Timestamp::now();
    let grant = auth::require_reader(&context, &request, now)?;
    let found = context.documents.event_counts(&grant.client, now.minute().minus(SPAN), MOST).await?;
    let minutes = found
        .minutes
        .into_iter()
        .map(|counted| Minute { time: counted.minute, status: counted.status, count: counted.count })
        .collect();
    Ok(response::json(StatusCode::OK, &Counted { since: found.since, minutes, last_event_id: found.head }))
}
