//! The fields of new notifications, of their changes and of callbacks: validates them and applies changes. Pure: knows
//! the rules of the formats, but neither the store nor whether an endpoint may be called.

#[cfg(test)]
mod tests;

use serde::Deserialize;
use uuid::Uuid;

use super::NotificationError;
use crate::auth::PREVIOUS_SECRET_TTL;
use crate::domain::{
    Callback, Credential, Format, Notification, NotificationState, RetiredSecret, Secret, Timestamp, check_endpoint,
};
use crate::vendor;

/// Bytes of a `tokenValue` at most: receivers refuse longer header lines.
const MAX_TOKEN_BYTES: usize = 4096;

/// One secret, or two where the format can carry two signatures.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Secrets {
    One(Secret),
    /// The newest first.
    Many(Vec<Secret>),
}

/// The body of `POST /v2/notification`, not validated.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewNotification {
    pub name: String,
    pub endpoint: String,
    /// `baidu` by default.
    pub format: Option<Format>,
    /// Gets the events of documents that name no notification.
    pub is_default: Option<bool>,
    pub secret: Option<Secrets>,
    /// `cookie`, `header` or empty.
    pub token_type: Option<String>,
    /// The value of that header.
    pub token_value: Option<Secret>,
}

/// The body of `PUT /v2/notification/{name}`, not validated. A missing field stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NotificationChange {
    pub endpoint: Option<String>,
    pub format: Option<Format>,
    /// Gets the events of documents that name no notification.
    pub is_default: Option<bool>,
    /// The previous one signs for 24 hours more if a request can carry two signatures.
    pub secret: Option<Secrets>,
    /// `cookie`, `header` or empty.
    pub token_type: Option<String>,
    /// The value of that header.
    pub token_value: Option<Secret>,
}

/// `callback` of `POST /documents`, not validated.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewCallback {
    pub url: String,
    /// `baidu` by default.
    pub format: Option<Format>,
    /// `cookie`, `header` or empty.
    pub token_type: Option<String>,
    /// The value of that header.
    pub token_value: Option<Secret>,
}

/// A new notification, with an id of its own.
pub(super) fn validate_new(new: NewNotification, now: Timestamp) -> Result<Notification, NotificationError> {
    let format = new.format.unwrap_or_default();
    let secrets = secret_list(new.secret);
    check_endpoint(&new.endpoint).map_err(|reason| invalid("endpoint", reason))?;
    vendor::check_secrets(format, &secrets).map_err(|reason| invalid("secret", reason))?;
    Ok(Notification {
        id: Uuid::new_v4().to_string(),
        name: new.name.parse().map_err(|e| invalid("name", format!("{e}")))?,
        endpoint: new.endpoint,
        format,
        is_default: new.is_default.unwrap_or(false),
        secrets,
        previous: None,
        credential: credential(new.token_type.as_deref(), new.token_value, None)?,
        state: if format == Format::Ppj { NotificationState::Unverified } else { NotificationState::Active },
        created: now,
    })
}

/// The notification with this change.
pub(super) fn apply_change(
    known: &Notification,
    change: NotificationChange,
    now: Timestamp,
) -> Result<Notification, NotificationError> {
    let format = change.format.unwrap_or(known.format);
    let endpoint = change.endpoint.unwrap_or_else(|| known.endpoint.clone());
    check_endpoint(&endpoint).map_err(|reason| invalid("endpoint", reason))?;
    let kept = change.secret.is_none();
    let secrets = if kept { known.secrets.clone() } else { secret_list(change.secret) };
    vendor::check_secrets(format, &secrets).map_err(|reason| match kept {
        true => invalid("secret", format!("{reason}; \"secret\": [] takes the present one away")),
        false => invalid("secret", reason),
    })?;
    let is_new_destination = endpoint != known.endpoint || format != known.format;
    let state = match (format, known.state) {
        (Format::Ppj, NotificationState::Active) if !is_new_destination => NotificationState::Active,
        (Format::Ppj, _) => NotificationState::Unverified,
        _ => NotificationState::Active,
    };
    Ok(Notification {
        previous: retired_secret(known, format, &secrets, now),
        credential: credential(change.token_type.as_deref(), change.token_value, known.credential.as_ref())?,
        is_default: change.is_default.unwrap_or(known.is_default),
        endpoint,
        format,
        secrets,
        state,
        ..known.clone()
    })
}

/// A document's callback.
pub(super) fn validate_callback(new: NewCallback) -> Result<Callback, NotificationError> {
    check_endpoint(&new.url).map_err(|reason| invalid("callback.url", reason))?;
    let format = new.format.unwrap_or_default();
    if format == Format::Ppj {
        let reason = "a callback cannot pass PPJ's handshake: add a notification of this format and name it";
        return Err(invalid("callback.format", reason));
    }
    let credential = credential(new.token_type.as_deref(), new.token_value, None).map_err(|refusal| match refusal {
        NotificationError::Invalid { field: "tokenType", reason } => invalid("callback.tokenType", reason),
        NotificationError::Invalid { reason, .. } => invalid("callback.tokenValue", reason),
        other => other,
    })?;
    Ok(Callback { url: new.url, format, credential })
}

fn secret_list(secrets: Option<Secrets>) -> Vec<Secret> {
    match secrets {
        None => Vec::new(),
        Some(Secrets::One(one)) => vec![one],
        Some(Secrets::Many(many)) => many,
    }
}

/// The previous secret, which signs for 24 hours more if a request can carry two signatures and one secret replaces
/// one. With two new secrets the owner rotates by hand; with none nothing is signed.
fn retired_secret(known: &Notification, format: Format, secrets: &[Secret], now: Timestamp) -> Option<RetiredSecret> {
    if [format, known.format] != [Format::Standard, Format::Standard] {
        return None;
    }
    if secrets == known.secrets {
        return known.previous.clone();
    }
    let [new] = secrets else { return None };
    let old = known.secrets.first().filter(|old| *old != new)?;
    Some(RetiredSecret { secret: old.clone(), until: now.plus(PREVIOUS_SECRET_TTL) })
}

/// `tokenType` and `tokenValue`; a missing one is that of `known`.
fn credential(
    kind: Option<&str>,
    value: Option<Secret>,
    known: Option<&Credential>,
) -> Result<Option<Credential>, NotificationError> {
    let (known_kind, known_value) = match known {
        None => ("", None),
        Some(Credential::Cookie(value)) => ("cookie", Some(value)),
        Some(Credential::Header(value)) => ("header", Some(value)),
    };
    let make = match kind.unwrap_or(known_kind) {
        "cookie" => Credential::Cookie,
        "header" => Credential::Header,
        "" if value.as_ref().is_none_or(|v| v.expose().is_empty()) => return Ok(None),
        "" => return Err(invalid("tokenType", "must be cookie or header when there is a tokenValue")),
        _ => return Err(invalid("tokenType", "must be cookie, header or empty")),
    };
    let value = value.or_else(|| known_value.cloned()).filter(|v| !v.expose().is_empty());
    let value = value.ok_or_else(|| invalid("tokenValue", "must not be empty when there is a tokenType"))?;
    let text = value.expose();
    if text.len() > MAX_TOKEN_BYTES || text.chars().any(char::is_control) || text.trim() != text {
        let rule = format!("must be at most {MAX_TOKEN_BYTES} bytes without control characters or space around them");
        return Err(invalid("tokenValue", rule));
    }
    Ok(Some(make(value)))
}

pub(super) fn invalid(field: &'static str, reason: impl Into<String>) -> NotificationError {
    NotificationError::Invalid { field, reason: reason.into() }
}
