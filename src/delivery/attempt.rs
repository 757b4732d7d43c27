//! One attempt of a delivery: who receives it, in which words, what came of it, and what that makes of the delivery.

use bytes::Bytes;

use super::in_flight::AttemptGuard;
use super::receiver::{Gone, Receiver};
use super::window::Health;
use super::{DeliveryHandle, HttpError, HttpExchange, schedule};
use crate::domain::{ClientId, Epoch, EventId, Notification, NotificationState, Timestamp};
use crate::metrics::DeliveryOutcome;
use crate::store::{Attempt, Disposition, DueDelivery, QueueKey, RawRequest, StoreError};
use crate::vendor::{self, Original};

/// How an attempt ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// What is said about the endpoint; `None` when it was not called.
    pub(super) health: Option<Health>,
    /// What is to be stored; `None` when the delivery is gone with its receiver.
    pub(super) verdict: Option<(Attempt, Disposition)>,
}

/// The header that says who sent a request, see [`sender`].
pub const SENDER_HEADER: &str = "docrelay-sender";

/// The relay and the client whose event it is.
pub fn sender_id(epoch: Epoch, client: &ClientId) -> String {
    format!("{epoch}/{client}")
}

const CALLED_BACK: Ended = Ended { health: None, verdict: None };

impl DeliveryHandle {
    /// Attempts a delivery. Whoever removes its receiver meanwhile calls it back through `guard`.
    pub(super) async fn attempt(&self, lane: &QueueKey, due: &DueDelivery, guard: &AttemptGuard) -> Ended {
        tokio::select! {
            biased;
            () = guard.cancelled() => CALLED_BACK,
            ended = self.try_once(lane, due) => ended,
        }
    }

    async fn try_once(&self, lane: &QueueKey, due: &DueDelivery) -> Ended {
        let now = Timestamp::now();
        let receiver = match self.receiver(lane, due) {
            Ok(receiver) => receiver,
            Err(Gone::Receiver) => return CALLED_BACK,
            Err(Gone::Settings(reason)) => return dead(now, reason),
        };
        if let Some(notification) = receiver.unverified()
            && let Err(reason) = self.handshake(&lane.client, notification, now).await
        {
            let exchange = HttpExchange { failure: None, ..HttpExchange::nothing() };
            self.metrics.delivery_attempts.inc(DeliveryOutcome::Unverified);
            return self.failed(due, exchange, now, format!("not verified: {reason}"));
        }
        // A handshake takes its time, and what is signed is signed with this.
        let now = Timestamp::now();
        let request = match self.compose(lane, &receiver, due, now) {
            Ok(request) => request,
            Err(reason) => return dead(now, &reason),
        };
        let exchange = self.http_client.exchange(request).await;
        self.metrics.delivery_seconds.observe(exchange.took.as_secs_f64());
        self.metrics.delivery_attempts.inc(outcome(&exchange));
        let Some(reason) = reason(&exchange) else { return delivered(exchange, now) };
        let says_gone = exchange.status == Some(410);
        let mut ended = self.failed(due, exchange, now, reason);
        let is_gone = says_gone
            && match receiver.notification() {
                Some(notification) => self.disable(lane, notification).await,
                None => true,
            };
        if let (true, Some((_, fate))) = (is_gone, &mut ended.verdict) {
            *fate = Disposition::Dead;
        }
        ended
    }

    /// The request, in the receiver's words; the vendor's own where they are the same.
    fn compose(
        &self,
        lane: &QueueKey,
        receiver: &Receiver,
        due: &DueDelivery,
        now: Timestamp,
    ) -> Result<vendor::Outbound, String> {
        let event =
            due.event.as_ref().ok_or("the history no longer holds the event: see history_age and history_bytes")?;
        let retold = vendor::retell(&event.json, message_id(event.id), receiver.name());
        let (vendor, telling) = retold.ok_or("the stored event cannot be read")?;
        let original = due.raw.as_ref().filter(|_| vendor == receiver.format().vendor()).map(original);
        let mut request = vendor::tell(
            receiver.format(),
            &telling,
            original.as_ref(),
            receiver.endpoint(),
            &receiver.secrets(now),
            now,
        )
        .map_err(|e| e.to_string())?;
        request.headers.extend(receiver.credential());
        // A hook of the same client refuses it: otherwise an event would go round for ever.
        request.headers.push((SENDER_HEADER.to_owned(), sender_id(self.store.log.epoch(), &lane.client)));
        Ok(request)
    }

    fn failed(&self, due: &DueDelivery, exchange: HttpExchange, now: Timestamp, reason: String) -> Ended {
        let health = match exchange.status {
            // Too many requests, and too early ones, are about the endpoint; what else begins with 4 is about the message.
            Some(408 | 425 | 429) => Health::Unwell,
            Some(400..=499) => Health::Picky,
            _ => Health::Unwell,
        };
        let wait = schedule::wait(due.failures.saturating_add(1), exchange.retry_after, fastrand::f64());
        let fate = wait.map_or(Disposition::Dead, |wait| Disposition::Retry(Timestamp::now().plus(wait)));
        let attempt = Attempt {
            time: now,
            duration: exchange.took,
            status: exchange.status,
            response_body: exchange.answer,
            error: Some(reason),
        };
        Ended { health: Some(health), verdict: Some((attempt, fate)) }
    }

    /// Says what has become of an attempt: readable by itself, without the endpoint's address, which may hold a token.
    pub(super) fn log_attempt(&self, lane: &QueueKey, due: &DueDelivery, attempt: &Attempt, fate: Disposition) {
        let target = lane.target.key();
        let (took_ms, status) = (attempt.duration.as_millis(), attempt.status);
        let reason = attempt.error.as_deref().unwrap_or_default();
        match fate {
            Disposition::Delivered => {
                tracing::debug!(client = %lane.client, target, delivery = due.id, status, took_ms, "a delivery has arrived");
            }
            Disposition::Retry(at) => {
                tracing::info!(client = %lane.client, target, delivery = due.id, status, took_ms, reason, next = %at,
                    "a delivery failed and is tried again");
            }
            Disposition::Dead => {
                self.metrics.deliveries_dead.inc();
                tracing::warn!(client = %lane.client, target, delivery = due.id, status, took_ms, reason,
                    "a delivery failed for good: it can be sent again with POST /deliveries/{}/retry", due.id);
            }
        }
    }

    /// False when the notification has another endpoint by now, which has said no such thing.
    async fn disable(&self, lane: &QueueKey, notification: &Notification) -> bool {
        let target = lane.target.key();
        match self.store.registry.set_notification_state(&lane.client, notification, NotificationState::Disabled).await
        {
            Ok(()) => {
                tracing::warn!(client = %lane.client, target, "an endpoint answered 410: its notification is disabled")
            }
            Err(StoreError::Conflict(_)) => return false,
            Err(error) => {
                tracing::warn!(%error, target, "a notification could not be disabled: its next delivery tries again")
            }
        }
        true
    }
}

impl Ended {
    /// What there is to say of an attempt that came to no end of its own.
    pub(super) fn panicked(due: &DueDelivery) -> Self {
        tracing::error!(delivery = due.id, "an attempt of a delivery panicked: report this");
        let mut ended = dead(Timestamp::now(), "the relay could not make this attempt: see its log");
        if let Some((_, fate)) = &mut ended.verdict
            && let Some(wait) = schedule::wait(due.failures.saturating_add(1), None, 0.5)
        {
            *fate = Disposition::Retry(Timestamp::now().plus(wait));
        }
        ended
    }
}

fn delivered(exchange: HttpExchange, now: Timestamp) -> Ended {
    let HttpExchange { took, status, answer, .. } = exchange;
    let attempt = Attempt { time: now, duration: took, status, response_body: answer, error: None };
    Ended { health: Some(Health::Well), verdict: Some((attempt, Disposition::Delivered)) }
}

/// Why it failed, in words for the client's owner; `None` when it did not.
pub(super) fn reason(exchange: &HttpExchange) -> Option<String> {
    match (exchange.status, &exchange.failure) {
        (Some(200..=299), _) => None,
        (Some(410), _) => Some("it is gone: the endpoint answered 410".to_owned()),
        (Some(status @ 300..=399), _) => Some(format!("the endpoint answered {status}: redirects are not followed")),
        (Some(status), _) => Some(format!("the endpoint answered {status}")),
        (None, Some(failure)) => Some(failure.to_string()),
        (None, None) => Some("there was no answer".to_owned()),
    }
}

/// Without a request: nothing that the endpoint could answer would help.
fn dead(now: Timestamp, reason: &str) -> Ended {
    let HttpExchange { took, status, answer, .. } = HttpExchange::nothing();
    let attempt = Attempt { time: now, duration: took, status, response_body: answer, error: Some(reason.to_owned()) };
    Ended { health: None, verdict: Some((attempt, Disposition::Dead)) }
}

fn original(raw: &RawRequest) -> Original<'_> {
    Original { method: &raw.method, query: raw.query.as_deref(), headers: &raw.headers, body: raw.body.clone() }
}

/// Constant over retries and over all receivers of an event. Without a dot, which separates what Standard Webhooks signs.
pub(super) fn message_id(event: EventId) -> String {
    format!("msg_{}", event.to_string().replace('.', "_"))
}

fn outcome(exchange: &HttpExchange) -> DeliveryOutcome {
    match (exchange.status, &exchange.failure) {
        (Some(200..=299), _) => DeliveryOutcome::Delivered,
        (Some(300..=399), _) => DeliveryOutcome::Redirected,
        (Some(400..=499), _) => DeliveryOutcome::Refused,
        (Some(_), _) => DeliveryOutcome::Failed,
        (None, Some(HttpError::Timeout(_))) => DeliveryOutcome::TimedOut,
        (None, Some(HttpError::Forbidden(_))) => DeliveryOutcome::Forbidden,
        (None, _) => DeliveryOutcome::Unreachable,
    }
}

impl HttpExchange {
    /// What there is when nothing was sent.
    pub(super) fn nothing() -> Self {
        Self { took: std::time::Duration::ZERO, status: None, answer: Bytes::new(), retry_after: None, failure: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_has_no_dot() {
        let id: EventId = "a75bea067aae7.24".parse().expect("good");
        assert_eq!(message_id(id), "msg_a75bea067aae7_24");
    }
}
