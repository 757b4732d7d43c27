//! One attempt of a delivery: resolves the receiver, composes the request, sends it, and turns the response into the
//! delivery's new state and into an observation about the endpoint.

use std::time::Duration;

use bytes::Bytes;

use super::in_flight::AttemptGuard;
use super::receiver::{Receiver, ReceiverError};
use super::scheduler::Observation;
use super::{DeliveryHandle, HttpError, HttpExchange, HttpResponse, retry_schedule};
use crate::domain::{
    ClientId, ClientRef, Disposition, Epoch, EventId, Notification, NotificationState, QueueKey, Timestamp,
};
use crate::metrics::{DeliveryOutcome, Metrics};
use crate::store::{Attempt, AttemptRecord, DeliveryContent, RawRequest, RecordEffect, SchedulePosition, StoreError};
use crate::vendor::{self, OriginalRequest, OutgoingEvent};

#[derive(Debug)]
pub(super) struct AttemptResult {
    /// `None` if the attempt says nothing about the endpoint.
    pub(super) observation: Option<Observation>,
    /// `None` if the delivery was removed with its receiver.
    pub(super) record: Option<AttemptRecord>,
}

/// The request header that names the sender, see [`sender_id`].
pub const SENDER_HEADER: &str = "docrelay-sender";

/// The request header with the number of relays and clients that have forwarded the event.
const HOPS_HEADER: &str = "docrelay-hops";

/// A hook refuses an event that has been forwarded more often: clients that forward to each other in a circle would
/// otherwise pass it on for ever. A chain of relays is shorter.
pub const MAX_HOPS: u32 = 5;

/// The hop count of a request, by its headers with lower-case names: 0 if it has none, [`u32::MAX`] if it is not a
/// number.
pub fn hop_count<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> u32 {
    let values = headers.filter(|(name, _)| *name == HOPS_HEADER);
    values.map(|(_, value)| value.parse().unwrap_or(u32::MAX)).max().unwrap_or(0)
}

/// Identifies the relay and the client whose event is delivered.
pub fn sender_id(epoch: Epoch, client: &ClientId) -> String {
    format!("{epoch}/{client}")
}

impl DeliveryHandle {
    /// Attempts a delivery, unless `guard` is cancelled meanwhile.
    pub(super) async fn attempt(
        &self,
        queue: &QueueKey,
        content: &DeliveryContent,
        guard: &AttemptGuard,
    ) -> AttemptResult {
        let context = AttemptContext { queue, content };
        tokio::select! {
            biased;
            () = guard.cancelled() => AttemptResult::CANCELLED,
            result = self.attempt_once(&context) => result,
        }
    }

    async fn attempt_once(&self, context: &AttemptContext<'_>) -> AttemptResult {
        let AttemptContext { queue, content } = context;
        let now = Timestamp::now();
        let receiver = match self.receiver(queue, content) {
            Ok(receiver) => receiver,
            Err(ReceiverError::Removed) => return AttemptResult::CANCELLED,
            Err(ReceiverError::Rejected(reason)) => return context.dead(reason, now),
        };
        let Some(client) = self.present_client(queue) else { return AttemptResult::CANCELLED };
        if let Some(notification) = receiver.unverified()
            && let Err(reason) = self.handshake(&client, notification, now).await
        {
            self.metrics.delivery_attempts.inc(DeliveryOutcome::Unverified);
            return context.unverified(format!("not verified: {reason}"), now);
        }
        // Read again: the handshake takes time, and the signature contains this timestamp.
        let now = Timestamp::now();
        let request = match self.compose(context, &receiver, now) {
            Ok(request) => request,
            Err(reason) => return context.dead(&reason, now),
        };
        let exchange = self.http_client.exchange(request).await;
        self.metrics.delivery_seconds.observe(exchange.duration.as_secs_f64());
        self.metrics.delivery_attempts.inc(outcome(&exchange));
        let Some(reason) = reason(&exchange) else { return context.delivered(exchange, now) };
        let is_gone = matches!(exchange.result, Ok(HttpResponse { status: 410, .. }))
            && match receiver.notification() {
                Some(notification) => self.disable(&client, queue, notification).await,
                None => true,
            };
        let mut result = context.failed(exchange, reason, now);
        if let (true, Some(record)) = (is_gone, &mut result.record) {
            record.disposition = Disposition::Dead;
        }
        result
    }

    /// The request in the receiver's format; the vendor's original request where the formats are the same.
    fn compose(
        &self,
        context: &AttemptContext<'_>,
        receiver: &Receiver,
        now: Timestamp,
    ) -> Result<vendor::OutgoingRequest, String> {
        let AttemptContext { queue, content } = context;
        let event =
            content.event.as_ref().ok_or("the history no longer holds the event: see history_age and history_bytes")?;
        let stored = OutgoingEvent::from_stored(&event.json, message_id(event.id), receiver.name());
        let (vendor, outgoing_event) = stored.ok_or("the stored event cannot be read")?;
        let original = content.raw.as_ref().filter(|_| vendor == receiver.format().vendor()).map(original);
        let mut request = vendor::render_notification(
            receiver.format(),
            &outgoing_event,
            original.as_ref(),
            receiver.endpoint(),
            &receiver.secrets(now),
            now,
        )
        .map_err(|e| e.to_string())?;
        request.headers.extend(receiver.credential());
        let headers =
            content.raw.iter().flat_map(|raw| &raw.headers).map(|(name, value)| (name.as_str(), value.as_str()));
        request.headers.extend(self.loop_headers(&queue.client, hop_count(headers).saturating_add(1)));
        Ok(request)
    }

    /// The headers by which hooks detect loops: the client's own hooks refuse the sender, all hooks too many hops.
    pub(super) fn loop_headers(&self, client: &ClientId, hops: u32) -> [(String, String); 2] {
        [
            (SENDER_HEADER.to_owned(), sender_id(self.store.log.epoch(), client)),
            (HOPS_HEADER.to_owned(), hops.to_string()),
        ]
    }

    /// Disables a notification whose endpoint responded 410. Returns `false` if the notification was changed meanwhile:
    /// then its endpoint may be another one.
    async fn disable(&self, client: &ClientRef, queue: &QueueKey, notification: &Notification) -> bool {
        let target = queue.target.key();
        match self.store.registry.set_notification_state(client, notification, NotificationState::Disabled).await {
            Ok(()) => tracing::warn!(%client, target, status = 410, "notification disabled: its endpoint is gone"),
            Err(StoreError::Conflict(_)) => return false,
            Err(error) => tracing::warn!(%client, target, %error, "disabling a notification failed"),
        }
        true
    }
}

/// A delivery during its attempt; turns what happened into the [`AttemptResult`].
struct AttemptContext<'a> {
    queue: &'a QueueKey,
    content: &'a DeliveryContent,
}

impl AttemptContext<'_> {
    fn delivered(&self, exchange: HttpExchange, now: Timestamp) -> AttemptResult {
        self.result(Some(Observation::Success), Disposition::Delivered, attempt_of(exchange, None, now))
    }

    fn failed(&self, exchange: HttpExchange, reason: String, now: Timestamp) -> AttemptResult {
        let status = exchange.result.as_ref().map(|response| response.status);
        let observation = match status {
            // These say something about the endpoint; every other 4xx is about the message.
            Ok(408 | 425 | 429) => Observation::Failure,
            Ok(400..=499) => Observation::ClientError,
            _ => Observation::Failure,
        };
        let retry_after = exchange.result.as_ref().ok().and_then(|response| response.retry_after);
        self.result(Some(observation), self.retry(retry_after), attempt_of(exchange, Some(reason), now))
    }

    /// The handshake that precedes the request failed.
    fn unverified(&self, reason: String, now: Timestamp) -> AttemptResult {
        self.result(Some(Observation::Failure), self.retry(None), attempt_without_request(reason, now))
    }

    /// No request was sent, and no response could help.
    fn dead(&self, reason: &str, now: Timestamp) -> AttemptResult {
        self.result(None, Disposition::Dead, attempt_without_request(reason.to_owned(), now))
    }

    fn panicked(&self) -> AttemptResult {
        tracing::error!(delivery = self.content.id, "delivery attempt panicked: please report this as a bug");
        let reason = "the relay could not make this attempt: see its log".to_owned();
        self.result(None, self.retry(None), attempt_without_request(reason, Timestamp::now()))
    }

    /// The next attempt of the retry schedule, or the end of it.
    fn retry(&self, retry_after: Option<Duration>) -> Disposition {
        let SchedulePosition { failures, queued } = self.content.schedule;
        let delay = retry_schedule::delay(failures.saturating_add(1), retry_after, fastrand::f64());
        let next = retry_schedule::next_attempt(queued, Timestamp::now(), delay);
        next.map_or(Disposition::Dead, Disposition::Retry)
    }

    fn result(&self, observation: Option<Observation>, disposition: Disposition, attempt: Attempt) -> AttemptResult {
        let record = AttemptRecord {
            queue: self.queue.clone(),
            delivery: self.content.id,
            schedule: self.content.schedule,
            now: attempt.time,
            attempt: Some(attempt),
            disposition,
        };
        AttemptResult { observation, record: Some(record) }
    }
}

impl AttemptResult {
    /// The receiver was removed, and the delivery with it.
    pub(super) const CANCELLED: Self = Self { observation: None, record: None };

    /// The result of an attempt that panicked.
    pub(super) fn panicked(queue: &QueueKey, content: &DeliveryContent) -> Self {
        AttemptContext { queue, content }.panicked()
    }
}

/// The attempt as it is recorded; `now` is its beginning.
pub(super) fn attempt_of(exchange: HttpExchange, error: Option<String>, now: Timestamp) -> Attempt {
    let HttpExchange { duration, result } = exchange;
    let (status, response_body) = match result {
        Ok(HttpResponse { status, body, .. }) => (Some(status), body),
        Err(_) => (None, Bytes::new()),
    };
    Attempt { time: now, duration, status, response_body, error }
}

fn attempt_without_request(error: String, now: Timestamp) -> Attempt {
    Attempt { time: now, duration: Duration::ZERO, status: None, response_body: Bytes::new(), error: Some(error) }
}

/// Logs the outcome of an attempt when it is stored. Never logs the endpoint's URL: it may contain a token.
pub(super) fn log_outcome(record: &AttemptRecord, effect: RecordEffect, metrics: &Metrics) {
    let Some(attempt) = &record.attempt else { return };
    let (client, target, delivery) = (&record.queue.client, record.queue.target.key(), record.delivery);
    let (duration_ms, status) = (attempt.duration.as_millis(), attempt.status);
    let reason = attempt.error.as_deref().unwrap_or_default();
    if effect == RecordEffect::Superseded {
        tracing::info!(%client, target, delivery, status, duration_ms, reason,
            "delivery attempt ended; the delivery was changed meanwhile and keeps its state");
        return;
    }
    match record.disposition {
        Disposition::Delivered => {
            tracing::debug!(%client, target, delivery, status, duration_ms, "delivery succeeded");
        }
        Disposition::Retry(at) => {
            tracing::info!(%client, target, delivery, status, duration_ms, reason, next_attempt = %at,
                "delivery attempt failed; retrying");
        }
        Disposition::Dead => {
            metrics.deliveries_dead.inc();
            tracing::warn!(%client, target, delivery, status, duration_ms, reason,
                "delivery failed permanently: retry it with POST /deliveries/{delivery}/retry");
        }
    }
}

/// Why an attempt failed, for the client's owner; `None` if it succeeded.
pub(super) fn reason(exchange: &HttpExchange) -> Option<String> {
    match &exchange.result {
        Ok(HttpResponse { status, .. }) => match status {
            200..=299 => None,
            410 => Some("the endpoint is gone: it responded with 410".to_owned()),
            300..=399 => Some(format!("the endpoint responded with {status}: redirects are not followed")),
            _ => Some(format!("the endpoint responded with {status}")),
        },
        Err(error) => Some(error.to_string()),
    }
}

fn original(raw: &RawRequest) -> OriginalRequest<'_> {
    OriginalRequest { method: &raw.method, query: raw.query.as_deref(), headers: &raw.headers, body: raw.body.clone() }
}

/// The same for all attempts and receivers of an event. Without a dot: Standard Webhooks uses it as separator.
pub(super) fn message_id(event: EventId) -> String {
    format!("msg_{}", event.to_string().replace('.', "_"))
}

fn outcome(exchange: &HttpExchange) -> DeliveryOutcome {
    match &exchange.result {
        Ok(HttpResponse { status: 200..=299, .. }) => DeliveryOutcome::Delivered,
        Ok(HttpResponse { status: 300..=399, .. }) => DeliveryOutcome::Redirected,
        Ok(HttpResponse { status: 400..=499, .. }) => DeliveryOutcome::Refused,
        Ok(_) => DeliveryOutcome::Failed,
        Err(HttpError::Timeout(_)) => DeliveryOutcome::TimedOut,
        Err(HttpError::Forbidden(_)) => DeliveryOutcome::Forbidden,
        Err(_) => DeliveryOutcome::Unreachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hop_count_is_the_largest_and_maximal_if_malformed() {
        for (values, count) in [
            (&[][..], 0),
            (&["3"], 3),
            (&["3", "7", "1"], 7),
            (&["1", "x"], u32::MAX),
            (&[""], u32::MAX),
            (&["-1"], u32::MAX),
            (&["99999999999"], u32::MAX),
        ] {
            let headers = values.iter().map(|value| (HOPS_HEADER, *value)).chain([("x", "9")]);
            assert_eq!(hop_count(headers), count, "{values:?}");
        }
    }

    #[test]
    fn message_id_contains_no_dot() {
        let id: EventId = "a75bea067aae7.24".parse().expect("good");
        assert_eq!(message_id(id), "msg_a75bea067aae7_24");
    }
}
