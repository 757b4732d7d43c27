//! The words that metrics are broken down by: closed sets, so that no client, key or document ever becomes a label.

/// One closed set of words.
pub trait Label: Copy + 'static {
    /// The label's name.
    const NAME: &'static str;
    /// Every word; each is there from the start, with zero.
    const ALL: &'static [Self];
    /// The word.
    fn as_str(self) -> &'static str;
}

/// What became of a vendor's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IngestOutcome {
    /// A new event.
    Stored,
    /// Known already.
    Repeat,
    /// A verification call, answered and not stored.
    Handshake,
    /// Not understood, kept among the rejects: 422.
    Rejected,
    /// Without the right proof: 401.
    Unauthorized,
    /// 413.
    TooLarge,
    /// The body came too slowly: 408.
    Timeout,
    /// 429.
    RateLimited,
    /// The store could not accept: 503.
    Unavailable,
    /// No such hook: 404.
    NotFound,
    /// 405.
    WrongMethod,
    /// The vendor went away before its request was complete.
    Aborted,
    /// It was this client's own event, sent back: 508.
    Looped,
}

/// What became of one attempt of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// Answered with 2xx.
    Delivered,
    /// With 3xx: redirects are not followed.
    Redirected,
    /// With 4xx.
    Refused,
    /// With anything else.
    Failed,
    /// Not answered within the deadline.
    TimedOut,
    /// No connection, or one that broke.
    Unreachable,
    /// The address is in a range that is closed.
    Forbidden,
    /// PPJ's handshake was not passed.
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

impl Label for IngestOutcome {
    const NAME: &'static str = "outcome";
    const ALL: &'static [Self] = &[
        Self::Stored,
        Self::Repeat,
        Self::Handshake,
        Self::Rejected,
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
            Self::Repeat => "repeat",
            Self::Handshake => "handshake",
            Self::Rejected => "rejected",
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

/// Why an open stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disconnect {
    /// The follower closed it.
    Closed,
    /// The follower accepted no byte for the write time-out.
    Stalled,
    /// Its token expired.
    Expired,
    /// Its client was removed.
    Revoked,
    /// An administrator ended it.
    Removed,
    /// The relay is stopping.
    Stopping,
    /// The history could not be read.
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

/// Why a stream was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamRefusal {
    /// No bearer token.
    AuthRequired,
    /// A token that gives no access.
    AuthFailed,
    /// `Accept` excludes an event stream.
    NotAccepted,
    /// `max_followers` is reached.
    Followers,
    /// `max_followers_per_client` is reached.
    FollowersPerClient,
    /// The relay is stopping.
    Stopping,
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
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::AuthRequired => "auth_required",
            Self::AuthFailed => "auth_failed",
            Self::NotAccepted => "not_accepted",
            Self::Followers => "followers",
            Self::FollowersPerClient => "followers_per_client",
            Self::Stopping => "stopping",
        }
    }
}

/// Why a stream began with a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// The position is older than what is retained.
    Expired,
    /// The position is another store's.
    Epoch,
    /// The position lies ahead of the log, or is none.
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
