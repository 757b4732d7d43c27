//! Delivers events to customers' endpoints: each delivery of the outbox is attempted until it is delivered or dead.
//! Owns the port of the HTTP client; knows the ports of the store, but neither SQL nor an HTTP library.

mod attempt;
mod endpoint_checks;
mod handle;
mod handshake;
pub mod http_client;
mod in_flight;
mod ownership;
mod receiver;
mod retry_schedule;
mod scheduler;
mod worker;

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::vendor::OutgoingRequest;

pub use attempt::{MAX_HOPS, SENDER_HEADER, hop_count, sender_id};
pub use handle::{DeliveryHandle, DeliveryOptions};
pub use handshake::TestError;
pub use ownership::QueueOwnership;
pub use retry_schedule::MAX_SCHEDULE;
pub use worker::DeliveryWorker;

/// Bytes of a response body that are read and stored.
pub const MAX_RESPONSE_BODY_BYTES: usize = 16 << 10;

/// The port of the HTTP client. Every request to a customer's endpoint goes through it.
pub trait HttpClient: Send + Sync {
    /// Whether an endpoint may be called: an `http` or `https` URL without credentials, whose host does not resolve to
    /// a forbidden address. A host that cannot be resolved passes: it is checked again with each request.
    ///
    /// # Errors
    ///
    /// [`ForbiddenEndpoint`].
    fn check<'a>(&'a self, endpoint: &'a str) -> BoxFuture<'a, Result<(), ForbiddenEndpoint>>;
    /// The same without name resolution: only what the URL itself shows.
    ///
    /// # Errors
    ///
    /// [`ForbiddenEndpoint`].
    fn check_url(&self, endpoint: &str) -> Result<(), ForbiddenEndpoint>;
    /// Sends one request and reads the response, within one deadline. Redirects are not followed. The request is
    /// cancelled when the future is dropped.
    fn exchange(&self, request: OutgoingRequest) -> BoxFuture<'_, HttpExchange>;
}

/// Why an endpoint may not be called: one clause that says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ForbiddenEndpoint(pub String);

/// One request and its response.
#[derive(Debug, Clone)]
pub struct HttpExchange {
    /// From the name resolution to the last byte that was read.
    pub duration: Duration,
    /// The response, or why there is none.
    pub result: Result<HttpResponse, HttpError>,
}

/// The response to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// Status code.
    pub status: u16,
    /// The first [`MAX_RESPONSE_BODY_BYTES`] of the body, content codings not decoded; fewer if the deadline came
    /// first.
    pub body: Bytes,
    /// `Retry-After`, converted to a duration; not clamped.
    pub retry_after: Option<Duration>,
}

/// Why there is no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The endpoint may not be called, or the request is not valid HTTP.
    #[error("no request was made: {0}")]
    Forbidden(String),
    /// The host cannot be resolved.
    #[error("the name {0} could not be resolved")]
    Unresolved(String),
    /// The connection was refused, the host is unreachable, or the TLS handshake failed.
    #[error("no connection: {0}")]
    Connection(String),
    /// There was no response before the deadline.
    #[error("no response within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// The connection was lost, or the response is not HTTP.
    #[error("no response: {0}")]
    Broken(String),
}
