//! What each hook was last called with, in memory since the start: for the owner who wonders whether the vendor calls at
//! all. Knows nothing of what the calls meant; what must not be lost is in the log and among the rejects.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use serde::Serialize;

use crate::domain::Timestamp;
use crate::http::problem::Problem;

/// A call, and how it was answered.
#[derive(Clone, Copy, Serialize)]
pub(in crate::http) struct Call {
    time: Timestamp,
    status: u16,
}

/// A call that was refused, and why.
#[derive(Clone, Serialize)]
pub(in crate::http) struct RefusedCall {
    time: Timestamp,
    status: u16,
    reason: String,
}

/// The last of both kinds.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct LastCalls {
    last_call: Call,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_refusal: Option<RefusedCall>,
}

/// One entry for each hook that was called. Hooks are bounded for each client, and [`HookActivity::retain`] forgets those that
/// are gone.
#[derive(Default)]
pub(in crate::http) struct HookActivity(Mutex<HashMap<String, LastCalls>>);

impl HookActivity {
    /// Notes a call of the hook with this id.
    pub(in crate::http) fn note(&self, hook: &str, time: Timestamp, answer: Result<StatusCode, &Problem>) {
        let call = Call { time, status: answer.unwrap_or_else(|problem| problem.status).as_u16() };
        let refusal = answer.err().map(|p| RefusedCall { time, status: call.status, reason: p.detail.clone() });
        let mut calls = self.lock();
        // By far the most calls find their entry: only the first one of a hook pays for its name.
        match calls.get_mut(hook) {
            Some(last) => {
                last.last_call = call;
                last.last_refusal = refusal.or(last.last_refusal.take());
            }
            None => {
                calls.insert(hook.to_owned(), LastCalls { last_call: call, last_refusal: refusal });
            }
        }
    }

    /// What is known of a hook; `None` when it was not called since the start.
    pub(in crate::http) fn of(&self, hook: &str) -> Option<LastCalls> {
        self.lock().get(hook).cloned()
    }

    /// Forgets all hooks but these.
    pub(in crate::http) fn retain(&self, hooks: &HashSet<String>) {
        self.lock().retain(|hook, _| hooks.contains(hook));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, LastCalls>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
