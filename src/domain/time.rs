//! Timestamps in milliseconds since the Unix epoch, and the only place that reads the system clock.
//! All other code receives `now` as an argument, so that tests control the time.

use std::fmt;
use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// RFC 3339 in UTC with exactly three digits of fraction, as the public contract writes times.
const MILLISECONDS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// The latest instant that still has four digits of year: 9999-12-31T23:59:59.999Z.
const LATEST: i64 = 253_402_300_799_999;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, between the years 0000 and 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The present time of the system clock.
    #[allow(clippy::disallowed_methods, reason = "the only place that reads the system clock")]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self::from_millis(since.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(LATEST)))
    }

    /// From milliseconds since the epoch; values outside the years 1970 to 9999 are clamped.
    pub fn from_millis(ms: i64) -> Self {
        Self(ms.clamp(0, LATEST))
    }

    /// From whole seconds since the epoch, clamped like [`Timestamp::from_millis`].
    pub fn from_seconds(s: i64) -> Self {
        Self::from_millis(s.saturating_mul(1000))
    }

    /// From any RFC 3339 text; `None` when it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let t = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        Some(Self::from_millis(i64::try_from(t.unix_timestamp_nanos() / 1_000_000).ok()?))
    }

    /// Milliseconds since the epoch.
    pub fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch.
    pub fn seconds(self) -> i64 {
        self.0 / 1000
    }

    /// This instant plus a duration, clamped.
    pub fn plus(self, d: Duration) -> Self {
        Self::from_millis(self.0.saturating_add(i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This instant minus a duration, clamped.
    pub fn minus(self, d: Duration) -> Self {
        Self::from_millis(self.0.saturating_sub(i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The beginning of its minute.
    pub fn minute(self) -> Self {
        Self(self.0 - self.0 % 60_000)
    }

    /// The duration from this instant to `later`; zero if `later` is not later.
    pub fn until(self, later: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    /// `2026-11-22T12:43:00.000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000).map_err(|_| fmt::Error)?;
        f.write_str(&t.format(MILLISECONDS).map_err(|_| fmt::Error)?)
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a time of RFC 3339"))
    }
}

/// Serde representation of a [`Timestamp`] as a number of milliseconds since the Unix epoch.
pub(crate) mod millis {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Timestamp;

    pub(crate) fn serialize<S: Serializer>(t: &Timestamp, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_i64(t.millis())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Timestamp, D::Error> {
        Ok(Timestamp::from_millis(i64::deserialize(d)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamp_is_written_in_utc_with_milliseconds() {
        assert_eq!(Timestamp::from_millis(1_481_186_737_000).to_string(), "2016-12-08T08:45:37.000Z");
        let moved = Timestamp::parse("2016-12-08T16:45:37.0015+08:00").map(|t| t.to_string());
        assert_eq!(moved.as_deref(), Some("2016-12-08T08:45:37.001Z"));
    }

    // Rule 19: times do not overflow.
    #[test]
    fn timestamp_arithmetic_at_its_bounds_does_not_overflow() {
        for ms in [i64::MIN, -1, 0, i64::MAX] {
            let t = Timestamp::from_millis(ms);
            let far = t.plus(Duration::MAX);
            assert_eq!(far.millis(), LATEST);
            assert_eq!(t.minus(Duration::MAX).millis(), 0);
            assert!(far.to_string().ends_with('Z'));
            assert_eq!(far.until(t), Duration::ZERO);
        }
        assert_eq!(Timestamp::from_seconds(i64::MIN).millis(), 0);
        assert_eq!(Timestamp::from_seconds(i64::MAX).millis(), LATEST);
    }
}
