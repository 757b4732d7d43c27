//! `GET /events/counts`: events per minute, for charts.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde::Serialize;

use crate::auth::Grant;
use crate::domain::{EventId, Status, Timestamp};
use crate::http::Context;
use crate::http::problem::HandlerResult;
use crate::http::request::Request;
use crate::http::response;

/// The present minute and the 59 before it.
const SPAN: Duration = Duration::from_secs(59 * 60);

/// Bounds the time of one request to some tens of milliseconds: only the latest events are counted.
const MAX_EVENTS: usize = 50_000;

/// `GET /events/counts`
pub(in crate::http) async fn counts(context: Arc<Context>, _: Request, grant: Grant) -> HandlerResult {
    #[derive(Serialize)]
    struct MinuteCountJson {
        time: Timestamp,
        status: Status,
        count: u64,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct EventCountsJson {
        /// The counts are complete from this time on.
        since: Timestamp,
        minutes: Vec<MinuteCountJson>,
        /// Events after it are not counted yet.
        last_event_id: EventId,
    }
    let since = Timestamp::now().minute().minus(SPAN);
    let found = context.documents.event_counts(&grant.client, since, MAX_EVENTS).await?;
    let minutes = found.minutes.into_iter();
    let minutes = minutes.map(|m| MinuteCountJson { time: m.minute, status: m.status, count: m.count }).collect();
    Ok(response::json(StatusCode::OK, &EventCountsJson { since: found.since, minutes, last_event_id: found.head }))
}
