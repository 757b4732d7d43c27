//! Keeps the key set of one issuer up to date: fetches it at the start, periodically, and for a key id that it does not
//! have. What a token says decides at most that a fetch begins a little earlier, never from where. Owns the port of the
//! HTTP client.

mod schedule;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use jsonwebtoken::Algorithm;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::jwk::{KeySetError, read_key_set};
use super::key_set::IssuerKeys;
use crate::metrics::Metrics;
use schedule::RefreshSchedule;

/// Deadline of a fetch, from name resolution to the last byte.
pub const KEY_SET_TIMEOUT: Duration = Duration::from_secs(5);

/// Upper bound on the size of a key set.
pub const MAX_KEY_SET_BYTES: usize = 256 << 10;

/// How long a token with an unknown key id waits for a fetch, which begins after at most a second. A fetch ends before.
const FETCH_WAIT: Duration = Duration::from_secs(7);

/// The port of the HTTP client.
pub trait KeySetClient: Send + Sync {
    /// Gets a document within [`KEY_SET_TIMEOUT`]. Redirects are not followed.
    ///
    /// # Errors
    /// [`KeySetUnavailable`]: there is no complete response with status 200 of at most [`MAX_KEY_SET_BYTES`].
    fn fetch_key_set<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<KeySetDocument, KeySetUnavailable>>;
}

/// The response with a key set.
#[derive(Debug, Clone)]
pub struct KeySetDocument {
    pub body: Bytes,
    /// `max-age` of `Cache-Control`; zero if the response must not be stored or used without asking again. Not clamped.
    pub max_age: Option<Duration>,
}

/// Why a key set could not be fetched: one clause, without the path and the query of its address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeySetUnavailable(pub String);

/// When and from where a key set is fetched.
pub(super) struct KeySetRefresh {
    issuer: String,
    url: String,
    schedule: Mutex<RefreshSchedule>,
    /// Wakes the task when the schedule has changed.
    changed: watch::Sender<()>,
    /// The number of fetches that have ended, successful or not.
    ended: watch::Sender<u64>,
}

impl KeySetRefresh {
    pub(super) fn new(issuer: &str, url: &str) -> Self {
        Self {
            issuer: issuer.to_owned(),
            url: url.to_owned(),
            schedule: Mutex::new(RefreshSchedule::new(Instant::now())),
            changed: watch::Sender::new(()),
            ended: watch::Sender::new(0),
        }
    }

    /// Fetches for ever, as the schedule says. `replace` gets each new set, and an empty one when the known keys are
    /// too old.
    pub(super) async fn run(
        &self,
        client: &dyn KeySetClient,
        metrics: &Metrics,
        accepted: &[Algorithm],
        replace: impl Fn(IssuerKeys),
    ) {
        let mut changed = self.changed.subscribe();
        loop {
            let next = self.schedule().next();
            tokio::select! {
                () = sleep_until(next) => {}
                // The schedule owns the sender, so it is not closed.
                Ok(()) = changed.changed() => continue,
            }
            self.schedule().start();
            metrics.key_set_fetches.inc();
            match self.fetch(client, accepted).await {
                Ok((keys, max_age)) => {
                    tracing::debug!(issuer = self.issuer, keys = keys.len(), "key set fetched");
                    replace(keys);
                    if self.schedule().succeed(Instant::now(), max_age) {
                        tracing::info!(issuer = self.issuer, "key set of issuer is available");
                    }
                }
                Err(error) => {
                    metrics.key_set_failures.inc();
                    let failure = self.schedule().fail(Instant::now());
                    if failure.is_first {
                        tracing::warn!(issuer = self.issuer, %error, "cannot fetch the key set of an issuer: known keys stay valid; retrying");
                    }
                    if failure.is_expired {
                        tracing::error!(issuer = self.issuer, %error, "the keys of an issuer are too old: its tokens are refused until its key set can be fetched");
                        replace(IssuerKeys::default());
                    }
                }
            }
            self.ended.send_modify(|count| *count += 1);
        }
    }

    async fn fetch(
        &self,
        client: &dyn KeySetClient,
        accepted: &[Algorithm],
    ) -> Result<(IssuerKeys, Option<Duration>), FetchError> {
        let document =
            timeout(KEY_SET_TIMEOUT, client.fetch_key_set(&self.url)).await.map_err(|_| FetchError::Timeout)??;
        Ok((read_key_set(&document.body, accepted)?, document.max_age))
    }

    /// Fetches the set because a token names a key that is not in it, and waits for the end. All tokens that wait share
    /// one fetch. Returns false at once if other tokens have caused too many fetches lately: see
    /// [`RefreshSchedule::request`].
    pub(super) async fn fetch_for_unknown_kid(&self) -> bool {
        // Before the schedule is asked: the fetch may end in between.
        let mut ended = self.ended.subscribe();
        if !self.schedule().request(Instant::now()) {
            return false;
        }
        self.changed.send_replace(());
        timeout(FETCH_WAIT, ended.changed()).await.is_ok_and(|received| received.is_ok())
    }

    /// Whether the known set is the one of the latest fetch.
    pub(super) fn is_current(&self) -> bool {
        self.schedule().has_succeeded()
    }

    fn schedule(&self) -> MutexGuard<'_, RefreshSchedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a fetch has brought no keys.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("no complete response within {} s", KEY_SET_TIMEOUT.as_secs())]
    Timeout,
    #[error(transparent)]
    Unavailable(#[from] KeySetUnavailable),
    #[error(transparent)]
    Unusable(#[from] KeySetError),
}
