//! What an error of the client or of the broker means: not done, or unknown whether done. Texts of the broker may be
//! shown; they contain no secrets, because addresses have none (`address`).

use std::error::Error as _;

use async_nats::jetstream::context::{PublishError, PublishErrorKind, RequestError, RequestErrorKind};
use async_nats::jetstream::{Error as BrokerError, ErrorCode};

use crate::journal::JournalError;

/// Why a message was not stored, or may not have been.
pub(super) enum PublishFailure {
    Refused(String),
    Unknown(String),
    /// The subject has another last sequence than expected.
    WrongSequence,
}

impl From<PublishFailure> for JournalError {
    fn from(failure: PublishFailure) -> Self {
        match failure {
            PublishFailure::Refused(why) => Self::Unavailable(why),
            PublishFailure::Unknown(why) => Self::Unknown(why),
            PublishFailure::WrongSequence => Self::Conflict,
        }
    }
}

/// The message was not handed to the connection.
pub(super) fn unsent(error: &PublishError) -> PublishFailure {
    PublishFailure::Refused(error.to_string())
}

/// The message was handed to the connection.
pub(super) fn unacknowledged(error: &PublishError) -> PublishFailure {
    let refusal = error.source().and_then(|source| source.downcast_ref::<BrokerError>());
    match (error.kind(), refusal) {
        (PublishErrorKind::WrongLastSequence, _) => PublishFailure::WrongSequence,
        (_, Some(refusal)) if refusal.error_code() == ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT => {
            PublishFailure::WrongSequence
        }
        (PublishErrorKind::StreamNotFound, _) => {
            PublishFailure::Refused("no stream takes the message: it has no leader or does not exist".into())
        }
        (_, Some(refusal)) if is_definite(refusal) => PublishFailure::Refused(refusal.to_string()),
        _ => PublishFailure::Unknown(error.to_string()),
    }
}

/// Whether nothing was stored. An answer to a message whose first copy is still being stored says nothing about the
/// first. A storage error may have hit one replica after a majority agreed; only the check of the limits comes before.
fn is_definite(refusal: &BrokerError) -> bool {
    match refusal.error_code() {
        ErrorCode::STREAM_DUPLICATE_MESSAGE_CONFLICT => false,
        ErrorCode::STREAM_STORE_FAILED => refusal.to_string().contains("maximum"),
        _ => true,
    }
}

/// A request to JetStream's API that has no answer.
pub(super) fn unanswered(error: &RequestError) -> JournalError {
    match error.kind() {
        RequestErrorKind::TimedOut => JournalError::Unknown("the request timed out".into()),
        RequestErrorKind::NoResponders => {
            JournalError::Unavailable("no server answers: JetStream is not enabled or has no leader".into())
        }
        _ => JournalError::Unavailable(error.to_string()),
    }
}

/// Whether the servers have less storage than a stream reserves. A cluster says it in the text of another error.
pub(super) fn lacks_storage(error: &BrokerError) -> bool {
    let is_said = || error.to_string().contains("insufficient storage");
    match error.error_code() {
        ErrorCode::STORAGE_RESOURCES_EXCEEDED | ErrorCode::INSUFFICIENT_RESOURCES => true,
        ErrorCode::CLUSTER_NO_PEERS => is_said(),
        _ => false,
    }
}

/// A request to JetStream's API that was refused.
pub(super) fn refused(error: &BrokerError) -> JournalError {
    JournalError::Unavailable(match error.error_code() {
        _ if lacks_storage(error) => format!("the broker's limit of storage is too low: {error}"),
        ErrorCode::CLUSTER_NO_PEERS | ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED => {
            format!("the broker has fewer servers than replicas are configured: {error}")
        }
        ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => {
            format!("JetStream is not enabled on the broker or for this user: {error}")
        }
        _ => error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definite(code: u64, description: &str) -> bool {
        let refusal = serde_json::json!({ "code": 503, "err_code": code, "description": description });
        is_definite(&serde_json::from_value(refusal).unwrap())
    }

    #[test]
    fn storage_failure_is_unknown_but_full_stream_definite() {
        assert!(definite(10077, "maximum bytes exceeded"));
        assert!(!definite(10077, "no space left on device"));
        assert!(!definite(10158, "duplicate message id is in process"));
        assert!(definite(10008, "JetStream system temporarily unavailable"));
    }
}
