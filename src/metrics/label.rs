//! Values of metric labels. The sets are closed, so that no client, key or document becomes a label.

/// A closed set of label values.
pub trait Label: Copy + 'static {
    const NAME: &'static str;
    /// Every value; each is exported from the start.
    const ALL: &'static [Self];
    fn as_str(self) -> &'static str;
}

/// Outcome of a vendor's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IngestOutcome {
    Stored,
    /// A duplicate of a stored message. The label value is `repeat`.
    Duplicate,
    /// A handshake: answered, not stored.
    Handshake,
    /// Malformed, stored as a reject: 422.
    Rejected,
    /// A signature of an unknown form: 401, stored as an unverified reject if there is room.
    UnknownSignature,
    /// Missing or wrong credentials: 401. The label value is `unproven` by contract.
    Unauthorized,
    /// 413.
    TooLarge,
    /// The body arrived too slowly: 408.
    Timeout,
    /// 429.
    RateLimited,
    /// The store was unavailable: 503.
    Unavailable,
    /// No such hook: 404.
    NotFound,
    /// 405.
    WrongMethod,
    /// The connection closed before the request was complete.
    Aborted,
    /// A notification of the same client called the hook, or the event was forwarded too often: 508.
    Looped,
}

impl Label for IngestOutcome {
    const NAME: &'static str = "outcome";
    const ALL: &'static [Self] = &[
        Self::Stored,
        Self::Duplicate,
        Self::Handshake,
        Self::Rejected,
        Self::UnknownSignature,
        Self::Unauthorized,
        Self::TooLarge,
        Self::Timeout,
        Self::RateLimited,
        Self::Unavailable,
        Self::NotFound,
        Self::WrongMethod,
        Self::Aborted,
        Self::Looped,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Duplicate => "repeat",
            Self::Handshake => "handshake",
            Self::Rejected => "rejected",
            Self::UnknownSignature => "unknown_signature",
            Self::Unauthorized => "unproven",
            Self::TooLarge => "too_large",
            Self::Timeout => "timeout",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::NotFound => "not_found",
            Self::WrongMethod => "wrong_method",
            Self::Aborted => "aborted",
            Self::Looped => "looped",
        }
    }
}

/// Outcome of a delivery attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// 2xx.
    Delivered,
    /// 3xx; redirects are not followed.
    Redirected,
    /// 4xx.
    Refused,
    /// Another status.
    Failed,
    /// No complete response before the deadline.
    TimedOut,
    /// The connection failed.
    Unreachable,
    /// The endpoint may not be called: no `http` or `https` URL, or an address that is not public.
    Forbidden,
    /// PPJ's handshake failed.
    Unverified,
}

impl Label for DeliveryOutcome {
    const NAME: &'static str = "outcome";
    const ALL: &'static [Self] = &[
        Self::Delivered,
        Self::Redirected,
        Self::Refused,
        Self::Failed,
        Self::TimedOut,
        Self::Unreachable,
        Self::Forbidden,
        Self::Unverified,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Redirected => "redirected",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Unreachable => "unreachable",
            Self::Forbidden => "forbidden",
            Self::Unverified => "unverified",
        }
    }
}

/// Why a pending delivery became a dead letter without an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryGivenUp {
    /// Its retry schedule has ended.
    Expired,
    /// Its client has too many pending deliveries.
    OverLimit,
}

impl Label for DeliveryGivenUp {
    const NAME: &'static str = "reason";
    const ALL: &'static [Self] = &[Self::Expired, Self::OverLimit];

    fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::OverLimit => "over_limit",
        }
    }
}

/// What the retention removes beside events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrunedRow {
    Document,
    Reject,
    /// Delivered or dead.
    Delivery,
    /// A deduplication key.
    DuplicateKey,
}

impl Label for PrunedRow {
    const NAME: &'static str = "kind";
    const ALL: &'static [Self] = &[Self::Document, Self::Reject, Self::Delivery, Self::DuplicateKey];

    fn as_str(self) -> &'static str {
        match self {
            Self::Document => "document",
            Self::Reject => "reject",
            Self::Delivery => "delivery",
            Self::DuplicateKey => "deduplication_key",
        }
    }
}

/// Reason for the end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disconnect {
    /// The follower closed it.
    Closed,
    /// The follower accepted no byte within the write timeout.
    Stalled,
    /// Its token expired.
    Expired,
    /// Its client was removed.
    Revoked,
    /// Closed by an administrator.
    Removed,
    /// The relay is stopping.
    Stopping,
    /// The log could not be read.
    Store,
}

impl Label for Disconnect {
    const NAME: &'static str = "reason";
    const ALL: &'static [Self] =
        &[Self::Closed, Self::Stalled, Self::Expired, Self::Revoked, Self::Removed, Self::Stopping, Self::Store];

    fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Stalled => "stalled",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Removed => "removed",
            Self::Stopping => "stopping",
            Self::Store => "store",
        }
    }
}

/// Reason for refusing a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamRefusal {
    /// No bearer token.
    AuthRequired,
    /// The token gives no access.
    AuthFailed,
    /// `Accept` excludes an event stream.
    NotAccepted,
    /// `max_followers` is reached.
    Followers,
    /// `max_followers_per_client` is reached.
    FollowersPerClient,
    /// The relay is stopping.
    Stopping,
    /// This node of a cluster lacks events before the start position.
    Behind,
    /// Its address has failed with too many tokens.
    FailedTokens,
}

impl Label for StreamRefusal {
    const NAME: &'static str = "reason";
    const ALL: &'static [Self] = &[
        Self::AuthRequired,
        Self::AuthFailed,
        Self::NotAccepted,
        Self::Followers,
        Self::FollowersPerClient,
        Self::Stopping,
        Self::Behind,
        Self::FailedTokens,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::AuthRequired => "auth_required",
            Self::AuthFailed => "auth_failed",
            Self::NotAccepted => "not_accepted",
            Self::Followers => "followers",
            Self::FollowersPerClient => "followers_per_client",
            Self::Stopping => "stopping",
            Self::Behind => "behind",
            Self::FailedTokens => "failed_tokens",
        }
    }
}

/// Reason for refusing a request on HTTP/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http2Refusal {
    /// The relay has as many requests as it may have.
    Requests,
    /// Their address has its share of them.
    RequestsPerAddress,
}

impl Label for Http2Refusal {
    const NAME: &'static str = "reason";
    const ALL: &'static [Self] = &[Self::Requests, Self::RequestsPerAddress];

    fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::RequestsPerAddress => "requests_per_address",
        }
    }
}

/// Reason for a `reset`: at the start of a stream, or later, for a follower that lags behind the retained events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// Events after the position were pruned.
    Expired,
    /// The position belongs to another epoch.
    Epoch,
    /// The position is malformed or ahead of the log.
    Unknown,
}

impl Label for Reset {
    const NAME: &'static str = "reason";
    const ALL: &'static [Self] = &[Self::Expired, Self::Epoch, Self::Unknown];

    fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Epoch => "epoch",
            Self::Unknown => "unknown",
        }
    }
}

/// Outcome of a reload of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadOutcome {
    Applied,
    /// The new configuration cannot be used: nothing has changed.
    Refused,
}

impl Label for ReloadOutcome {
    const NAME: &'static str = "outcome";
    const ALL: &'static [Self] = &[Self::Applied, Self::Refused];

    fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Refused => "refused",
        }
    }
}
