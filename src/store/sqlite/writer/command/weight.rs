//! The weight of a command: the bytes of all its parts whose size varies, about as many as it has in an entry of the
//! journal. The fields are named one by one, so that a new one cannot be left out.

use std::collections::BTreeMap;

use serde_json::Value;

use super::BatchCommand;
use crate::domain::{Callback, Credential, Destinations, Update, VendorError};
use crate::store::{Attempt, AttemptRecord, DuplicateRule, NewEvent, RawRequest, Reject};

/// Bytes of the length before a text, about.
const LENGTH_BYTES: usize = 3;

/// Bytes of a number.
const NUMBER_BYTES: usize = 9;

pub(super) fn of(command: &BatchCommand) -> usize {
    match command {
        BatchCommand::Append(event) => of_event(event),
        BatchCommand::AddReject { client: _, reject } => of_reject(reject),
        BatchCommand::RecordAttempt(record) => of_attempt(record),
        BatchCommand::RemoveReject { client: _, id: _ }
        | BatchCommand::RetryDelivery { client: _, id: _, now: _ }
        | BatchCommand::Probe => 0,
    }
}

fn of_event(event: &NewEvent) -> usize {
    let NewEvent { client: _, vendor: _, update, labels, raw, duplicate_rule, destinations, now: _ } = event;
    let key = match duplicate_rule {
        DuplicateRule::SameKey(key) => of_text(key),
        DuplicateRule::SameStatus | DuplicateRule::KnownDocument => 0,
    };
    of_update(update)
        + of_labels(labels)
        + raw.as_ref().map_or(0, of_request)
        + key
        + destinations.as_ref().map_or(0, of_destinations)
}

fn of_update(update: &Update) -> usize {
    let Update { vendor_id, status: _, title, result, error, vendor_time: _, labels, dedup_key } = update;
    let result = result.iter().flatten().map(|(key, value)| of_text(key) + of_json(value)).sum::<usize>();
    let error = error.as_ref().map_or(0, |VendorError { code, message }| of_text(code) + of_text(message));
    of_text(vendor_id.as_str()) + of_optional(title) + result + error + of_labels(labels) + of_optional(dedup_key)
}

fn of_destinations(destinations: &Destinations) -> usize {
    let Destinations { notification, callback } = destinations;
    let callback = callback.as_ref().map_or(0, |Callback { url, format: _, credential }| {
        let secret = credential.as_ref().map_or(0, |credential| match credential {
            Credential::Cookie(secret) | Credential::Header(secret) => of_text(secret.expose()),
        });
        of_text(url) + secret
    });
    notification.as_ref().map_or(0, |name| of_text(name.as_str())) + callback
}

fn of_reject(reject: &Reject) -> usize {
    let Reject { id: _, hook, time: _, verified: _, reason, raw } = reject;
    of_text(hook) + of_text(reason) + of_request(raw)
}

fn of_attempt(record: &AttemptRecord) -> usize {
    let AttemptRecord { queue: _, delivery: _, schedule: _, attempt, disposition: _, now: _ } = record;
    attempt.as_ref().map_or(0, |Attempt { time: _, duration: _, status: _, response_body, error }| {
        response_body.len() + of_optional(error)
    })
}

fn of_request(raw: &RawRequest) -> usize {
    let RawRequest { method, query, headers, body } = raw;
    let headers: usize = headers.iter().map(|(name, value)| of_text(name) + of_text(value)).sum();
    of_text(method) + of_optional(query) + headers + body.len()
}

fn of_labels(labels: &BTreeMap<String, String>) -> usize {
    labels.iter().map(|(name, value)| of_text(name) + of_text(value)).sum()
}

fn of_json(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(_) => NUMBER_BYTES,
        Value::String(text) => of_text(text),
        Value::Array(values) => LENGTH_BYTES + values.iter().map(of_json).sum::<usize>(),
        Value::Object(fields) => {
            LENGTH_BYTES + fields.iter().map(|(key, value)| of_text(key) + of_json(value)).sum::<usize>()
        }
    }
}

fn of_optional(text: &Option<String>) -> usize {
    text.as_deref().map_or(0, of_text)
}

fn of_text(text: &str) -> usize {
    LENGTH_BYTES + text.len()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::{ClientId, ClientRef};
    use crate::domain::{Disposition, Format, QueueKey, QueueTarget, Secret, Status, Timestamp, Vendor};
    use crate::store::SchedulePosition;

    /// Bytes of the names of all fields, and of the parts whose size is fixed.
    const FIXED_BYTES: usize = 700;

    fn text(length: usize) -> String {
        "x".repeat(length)
    }

    /// The same command with parts of this length.
    fn commands(length: usize) -> [BatchCommand; 3] {
        let now = Timestamp::from_millis(0);
        let id: ClientId = "a".parse().expect("an id");
        let client = ClientRef { id: id.clone(), created: now };
        let labels: BTreeMap<String, String> = [(text(length), text(length))].into();
        let raw = RawRequest {
            method: "POST".into(),
            query: Some(text(length)),
            headers: (0..50).map(|_| (text(length), text(length))).collect(),
            body: text(length).into(),
        };
        let result = serde_json::json!({
            text(length): [text(length), { text(length): (0..length).map(|n| n as f64 + 0.5).collect::<Vec<_>>() }],
        });
        let Value::Object(result) = result else { panic!("an object") };
        let callback = Callback {
            url: text(length),
            format: Format::Gini,
            credential: Some(Credential::Cookie(Secret::new(&text(length)))),
        };
        let event = NewEvent {
            client: client.clone(),
            vendor: Vendor::Ppj,
            update: Update {
                title: Some(text(length)),
                result: Some(result),
                error: Some(VendorError { code: text(length), message: text(length) }),
                labels: labels.clone(),
                dedup_key: Some(text(length)),
                ..Update::new("job".parse().expect("an id"), Status::Completed)
            },
            labels,
            raw: Some(raw.clone()),
            duplicate_rule: DuplicateRule::SameKey(text(length)),
            destinations: Some(Destinations { notification: None, callback: Some(callback) }),
            now,
        };
        let reject = Reject { id: 0, hook: text(length), time: now, verified: true, reason: text(length), raw };
        let attempt = Attempt {
            time: now,
            duration: Duration::ZERO,
            status: Some(500),
            response_body: text(length).into(),
            error: Some(text(length)),
        };
        let record = AttemptRecord {
            queue: QueueKey { client: id, target: QueueTarget::Origin("https://a.example".into()) },
            delivery: 1,
            schedule: SchedulePosition { failures: 1, queued: now },
            attempt: Some(attempt),
            disposition: Disposition::Delivered,
            now,
        };
        [
            BatchCommand::Append(Box::new(event)),
            BatchCommand::AddReject { client, reject: Box::new(reject) },
            BatchCommand::RecordAttempt(Box::new(record)),
        ]
    }

    #[test]
    fn weight_of_command_is_about_its_size_in_an_entry() {
        for length in [1, 40, 900] {
            for command in commands(length) {
                let packed = rmp_serde::to_vec_named(&command).expect("packed").len();
                let weight = command.weight();
                assert!(packed <= weight + FIXED_BYTES, "{length}: {packed} bytes, weight {weight}");
                assert!(weight <= 2 * packed, "{length}: {packed} bytes, weight {weight}");
            }
        }
    }
}
