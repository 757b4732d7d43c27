//! The change of a client's limits as the API takes it, and the values that a limit may have.

use std::num::{NonZeroU32, NonZeroU64};

use serde::{Deserialize, Deserializer};

use crate::domain::ClientLimits;

/// Notifications of a client at most, whatever its limit: all of them are in memory, and every event is matched with
/// them.
const MAX_NOTIFICATIONS: u32 = 100;

/// A key of a change: absent keeps the value, `null` removes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nullable<T> {
    #[default]
    Absent,
    Null,
    Value(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Nullable<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(d)?.map_or(Self::Null, Self::Value))
    }
}

impl<T> Nullable<T> {
    fn applied_to(self, before: Option<T>) -> Option<T> {
        match self {
            Self::Absent => before,
            Self::Null => None,
            Self::Value(value) => Some(value),
        }
    }
}

/// The limits in the body of `PATCH /admin/clients/{id}`; `null` returns to the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct LimitsChange {
    events_per_second: Nullable<NonZeroU32>,
    followers: Nullable<NonZeroU32>,
    stored_bytes: Nullable<NonZeroU64>,
    notifications: Nullable<NonZeroU32>,
}

impl LimitsChange {
    /// All limits return to their defaults.
    pub const RESET: Self = Self {
        events_per_second: Nullable::Null,
        followers: Nullable::Null,
        stored_bytes: Nullable::Null,
        notifications: Nullable::Null,
    };

    /// The limits after the change. The largest event must fit into `min_stored_bytes`.
    pub(super) fn applied_to(self, before: ClientLimits, min_stored_bytes: u64) -> Result<ClientLimits, String> {
        if let Nullable::Value(limit) = self.notifications
            && limit.get() > MAX_NOTIFICATIONS
        {
            return Err(format!("notifications: at most {MAX_NOTIFICATIONS}"));
        }
        if let Nullable::Value(bytes) = self.stored_bytes {
            if bytes.get() < min_stored_bytes {
                return Err(format!("storedBytes: at least {min_stored_bytes}, the largest body of a request"));
            }
            // The database has signed numbers.
            if i64::try_from(bytes.get()).is_err() {
                return Err(format!("storedBytes: at most {}", i64::MAX));
            }
        }
        Ok(ClientLimits {
            events_per_second: self.events_per_second.applied_to(before.events_per_second),
            followers: self.followers.applied_to(before.followers),
            stored_bytes: self.stored_bytes.applied_to(before.stored_bytes),
            notifications: self.notifications.applied_to(before.notifications),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(change: &str, before: ClientLimits) -> Result<ClientLimits, String> {
        let change: LimitsChange = serde_json::from_str(change).map_err(|error| error.to_string())?;
        change.applied_to(before, 1000)
    }

    #[test]
    fn absent_limit_stays_and_null_returns_to_the_default() {
        let set =
            apply(r#"{"eventsPerSecond":5,"followers":6,"storedBytes":7000,"notifications":8}"#, Default::default());
        let set = set.expect("good");
        assert_eq!(set.stored_bytes, NonZeroU64::new(7000));
        assert_eq!(apply("{}", set), Ok(set));
        let changed = apply(r#"{"followers":null,"notifications":9}"#, set);
        let expected = ClientLimits { followers: None, notifications: NonZeroU32::new(9), ..set };
        assert_eq!(changed, Ok(expected));
        assert_eq!(LimitsChange::RESET.applied_to(set, 1000), Ok(ClientLimits::default()));
    }

    #[test]
    fn zero_unknown_and_unusable_limits_are_refused() {
        for refused in [
            r#"{"followers":0}"#,
            r#"{"followers":-1}"#,
            r#"{"followers":1.5}"#,
            r#"{"followers":"10"}"#,
            r#"{"eventsPerSecond":4294967296}"#,
            r#"{"notifications":101}"#,
            r#"{"storedBytes":999}"#,
            r#"{"storedBytes":9223372036854775808}"#,
            r#"{"hooks":5}"#,
        ] {
            apply(refused, ClientLimits::default()).expect_err(refused);
        }
    }
}
