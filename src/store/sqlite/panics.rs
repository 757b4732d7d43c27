//! Contains panics in work on the database: a panic is an error of that work only, and its thread goes on. The panic
//! hook logs where it happened.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::store::StoreError;

/// Work on the database has panicked.
#[derive(Debug, thiserror::Error)]
#[error("internal error: {0} panicked, see the log")]
pub(crate) struct Panicked(&'static str);

impl From<Panicked> for StoreError {
    fn from(panicked: Panicked) -> Self {
        Self::Unavailable(panicked.to_string())
    }
}

/// Runs `work`, which is called `name` in the log. After a panic the caller must use nothing that `work` may have left
/// half changed: it rolls the transaction back, and drops what it has collected.
///
/// # Errors
/// `work` has panicked.
pub(crate) fn contain<T>(name: &'static str, work: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        tracing::error!(work = name, panic = message(&*panic), "work on the database panicked and is given up");
        Panicked(name)
    })
}

/// The message of a panic.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown")
}
