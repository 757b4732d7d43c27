//! Hooks: add, change, remove, show. The inputs are the request bodies of the API.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ChangeAttempt, change_item};
use crate::auth::{KeyError, generate_secret};
use crate::domain::{ClientRef, Hook, Mapping, Timestamp, Vendor, Verify};
use crate::store::{Registry, StoreError};
use crate::vendor;

const HOOKS_PER_CLIENT: usize = 1000;

/// Bytes of the JSON of a hook. All hooks are in memory.
const MAX_HOOK_BYTES: usize = 16 << 10;

/// The body of `POST /hooks`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewHook {
    pub vendor: Vendor,
    /// Default: no verification.
    #[serde(default = "unverified")]
    pub verify: Verify,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Copied into every event of this hook.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Names of request cookies that are copied into the labels (zOffice).
    #[serde(default)]
    pub label_cookies: Vec<String>,
    /// Only for [`Vendor::Generic`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapping: Option<Mapping>,
}

/// The body of `PATCH /hooks/{id}`. An absent key keeps its present value, so that a change of the mapping cannot
/// remove the verification.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HookChange {
    pub verify: Option<Verify>,
    pub name: Option<String>,
    /// Replaces all labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// Replaces all cookie names.
    pub label_cookies: Option<Vec<String>>,
    /// Only for [`Vendor::Generic`].
    pub mapping: Option<Mapping>,
}

fn unverified() -> Verify {
    Verify::None {}
}

/// Why a hook was not added, changed or removed.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// A field is invalid; the text names it.
    #[error("{0}")]
    Invalid(String),
    /// The client has reached the limit.
    #[error("a client has at most {0} hooks: delete one first")]
    TooMany(usize),
    /// The system's random source failed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The use cases of hooks.
#[derive(Clone)]
pub struct Hooks {
    registry: Arc<dyn Registry>,
}

impl Hooks {
    /// Over the registry that also answers the look-up by key.
    pub fn new(registry: Arc<dyn Registry>) -> Self {
        Self { registry }
    }

    /// A client's hooks, oldest first.
    pub fn list(&self, client: &ClientRef) -> Vec<Arc<Hook>> {
        self.registry.hooks(client)
    }

    /// One hook.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the client has no such hook.
    pub fn get(&self, client: &ClientRef, id: &str) -> Result<Arc<Hook>, StoreError> {
        self.list(client).into_iter().find(|hook| hook.id == id).ok_or(StoreError::NotFound("hook"))
    }

    /// The number of all clients' hooks.
    pub fn count(&self) -> usize {
        self.registry.hook_count()
    }

    /// The ids of all clients' hooks.
    pub fn ids(&self) -> HashSet<String> {
        let clients = self.registry.clients().into_iter();
        clients.flat_map(|client| self.registry.hooks(&client.reference())).map(|hook| hook.id.clone()).collect()
    }

    /// Validates a new hook and stores it with a random id and key.
    ///
    /// # Errors
    /// [`HookError::Invalid`] and [`HookError::TooMany`].
    pub async fn add(&self, client: &ClientRef, new: NewHook, now: Timestamp) -> Result<Hook, HookError> {
        validate(&new).map_err(HookError::Invalid)?;
        if self.list(client).len() >= HOOKS_PER_CLIENT {
            return Err(HookError::TooMany(HOOKS_PER_CLIENT));
        }
        let hook = Hook {
            id: Uuid::new_v4().to_string(),
            key: generate_secret()?,
            vendor: new.vendor,
            name: new.name,
            labels: new.labels,
            label_cookies: new.label_cookies,
            verify: new.verify,
            mapping: new.mapping,
            created: now,
        };
        self.registry.add_hook(client, hook.clone()).await?;
        Ok(hook)
    }

    /// Changes the given fields of a hook. Its URL stays the same.
    ///
    /// # Errors
    /// [`HookError::Invalid`], and [`StoreError::NotFound`] if the client has no such hook.
    pub async fn change(&self, client: &ClientRef, id: &str, change: HookChange) -> Result<Hook, HookError> {
        let changed = change_item("hook", || async {
            let known = self.get(client, id)?;
            let hook = apply_change(&known, change.clone())?;
            let outcome = self.registry.update_hook(client, &known, hook.clone()).await;
            Ok(ChangeAttempt::new(outcome, hook)?)
        });
        changed.await
    }

    /// Removes a hook. Calls to its URL are answered `404` from then on.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the client has no such hook.
    pub async fn remove(&self, client: &ClientRef, id: &str) -> Result<(), StoreError> {
        self.registry.remove_hook(client, id).await
    }
}

fn apply_change(known: &Hook, change: HookChange) -> Result<Hook, HookError> {
    let new = NewHook {
        vendor: known.vendor,
        verify: change.verify.unwrap_or_else(|| known.verify.clone()),
        name: change.name.or_else(|| known.name.clone()),
        labels: change.labels.unwrap_or_else(|| known.labels.clone()),
        label_cookies: change.label_cookies.unwrap_or_else(|| known.label_cookies.clone()),
        mapping: change.mapping.or_else(|| known.mapping.clone()),
    };
    validate(&new).map_err(HookError::Invalid)?;
    let NewHook { verify, name, labels, label_cookies, mapping, .. } = new;
    Ok(Hook { verify, name, labels, label_cookies, mapping, ..known.clone() })
}

fn validate(new: &NewHook) -> Result<(), String> {
    if let Some(name) = &new.name {
        validate_text("name", name, 100)?;
    }
    if new.labels.len() > 32 {
        return Err("labels: at most 32".into());
    }
    for (key, value) in &new.labels {
        validate_text("labels: a key", key, 64)?;
        if value.chars().count() > 256 {
            return Err("labels: a value has at most 256 characters".into());
        }
    }
    vendor::check_settings(new.vendor, &new.verify, new.mapping.as_ref(), &new.label_cookies)?;
    // Strings, maps and enums always have a JSON form.
    let bytes = serde_json::to_vec(new).map_or(0, |json| json.len());
    if bytes > MAX_HOOK_BYTES {
        return Err(format!(
            "a hook has at most {MAX_HOOK_BYTES} bytes, and this one has {bytes}: use fewer statuses or labels"
        ));
    }
    Ok(())
}

fn validate_text(field: &str, value: &str, max_chars: usize) -> Result<(), String> {
    let length = value.chars().count();
    if length == 0 || length > max_chars || value.chars().any(char::is_control) {
        return Err(format!("{field}: 1 to {max_chars} characters without control characters"));
    }
    Ok(())
}
