//! Secrets of clients, hooks and notifications.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A value that must not reach a log, an error or a response: `Debug` prints `[secret]`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(Arc<str>);

impl Secret {
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The secret in the clear. Only code that signs, compares or seals it calls this.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}
