//! Adding and changing hooks: the same checks whether they come by the management API or by the command line.

use uuid::Uuid;

use crate::auth::{KeyError, fresh_secret};
use crate::domain::{ClientId, Hook, HookChange, NewHook, Timestamp};
use crate::store::{Registry, StoreError};
use crate::vendor;

/// How many hooks one client may have.
const HOOKS_PER_CLIENT: usize = 1000;

/// Why a hook was not added or changed.
#[derive(Debug, thiserror::Error)]
pub enum HookRefusal {
    /// Something in it makes no sense; says what.
    #[error("{0}")]
    Invalid(String),
    /// The client has as many as it may have.
    #[error("a client has at most {0} hooks: delete one first")]
    TooMany(usize),
    /// The system gave no random bytes for its key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Checks a new hook, gives it an id and a key, and stores it.
pub async fn add_hook(
    registry: &dyn Registry,
    client: &ClientId,
    new: NewHook,
    now: Timestamp,
) -> Result<Hook, HookRefusal> {
    check(&new).map_err(HookRefusal::Invalid)?;
    if registry.hooks(client).len() >= HOOKS_PER_CLIENT {
        return Err(HookRefusal::TooMany(HOOKS_PER_CLIENT));
    }
    let hook = Hook {
        id: Uuid::new_v4().to_string(),
        key: fresh_secret()?,
        vendor: new.vendor,
        name: new.name,
        labels: new.labels,
        label_cookies: new.label_cookies,
        verify: new.verify,
        mapping: new.mapping,
        created: now,
    };
    registry.add_hook(client, hook.clone()).await?;
    Ok(hook)
}

/// Changes a hook under the same checks. Its address stays, so nobody has to be told.
pub async fn change_hook(
    registry: &dyn Registry,
    client: &ClientId,
    id: &str,
    change: HookChange,
) -> Result<Hook, HookRefusal> {
    let hooks = registry.hooks(client);
    let known = hooks.iter().find(|hook| hook.id == id).ok_or(StoreError::NotFound("hook"))?;
    let new = NewHook {
        vendor: known.vendor,
        verify: change.verify.unwrap_or_else(|| known.verify.clone()),
        name: change.name.or_else(|| known.name.clone()),
        labels: change.labels.unwrap_or_else(|| known.labels.clone()),
        label_cookies: change.label_cookies.unwrap_or_else(|| known.label_cookies.clone()),
        mapping: change.mapping.or_else(|| known.mapping.clone()),
    };
    check(&new).map_err(HookRefusal::Invalid)?;
    let hook = Hook {
        verify: new.verify,
        name: new.name,
        labels: new.labels,
        label_cookies: new.label_cookies,
        mapping: new.mapping,
        ..known.as_ref().clone()
    };
    registry.update_hook(client, hook.clone()).await?;
    Ok(hook)
}

fn check(new: &NewHook) -> Result<(), String> {
    if let Some(name) = &new.name {
        text("name", name, 100)?;
    }
    if new.labels.len() > 32 {
        return Err("labels: at most 32".into());
    }
    for (key, value) in &new.labels {
        text("labels: a key", key, 64)?;
        if value.chars().count() > 256 {
            return Err("labels: a value has at most 256 characters".into());
        }
    }
    vendor::check_settings(new.vendor, &new.verify, new.mapping.as_ref(), &new.label_cookies)
}

fn text(what: &str, value: &str, most: usize) -> Result<(), String> {
    let length = value.chars().count();
    if length == 0 || length > most || value.chars().any(char::is_control) {
        return Err(format!("{what}: 1 to {most} characters without control characters"));
    }
    Ok(())
}
