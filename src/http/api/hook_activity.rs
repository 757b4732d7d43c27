//! The last call and the last refused call of each hook, in memory since the start: shows an owner whether the vendor calls
//! at all. Webhooks themselves are in the log and among the rejects.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use serde::Serialize;

use crate::domain::Timestamp;
use crate::http::problem::Problem;

#[derive(Clone, Copy, Serialize)]
pub(in crate::http) struct Call {
    time: Timestamp,
    status: u16,
}

#[derive(Clone, Serialize)]
pub(in crate::http) struct RefusedCall {
    time: Timestamp,
    status: u16,
    reason: String,
}

/// Part of a hook in responses.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct LastCalls {
    last_call: Call,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_refusal: Option<RefusedCall>,
}

/// One entry for each hook that was called. The number of hooks of a client is limited, and [`HookActivity::retain`] removes
/// the entries of deleted ones.
#[derive(Default)]
pub(in crate::http) struct HookActivity(Mutex<HashMap<String, LastCalls>>);

impl HookActivity {
    /// Records a call of the hook with this id.
    pub(in crate::http) fn record(&self, hook: &str, time: Timestamp, response: Result<StatusCode, &Problem>) {
        let call = Call { time, status: response.unwrap_or_else(|problem| problem.status).as_u16() };
        let refusal = response.err().map(|p| RefusedCall { time, status: call.status, reason: p.detail.clone() });
        let mut calls = self.lock();
        // Only the first call of a hook allocates its id.
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

    /// `None` if the hook was not called since the start.
    pub(in crate::http) fn of(&self, hook: &str) -> Option<LastCalls> {
        self.lock().get(hook).cloned()
    }

    /// Removes the entries of all other hooks.
    pub(in crate::http) fn retain(&self, hooks: &HashSet<String>) {
        self.lock().retain(|hook, _| hooks.contains(hook));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, LastCalls>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
