//! Events on their way out: each in the receiver's words, again until it has arrived, never to somebody who is gone.

mod access;
mod commands;
mod cuts;
mod load;
mod races;
mod retries;
mod words;

use crate::support::TestRelay;
use crate::support::tenant::{Tenant, stored};
use crate::support::wire::Request;

/// A relay that may call this machine.
fn relay() -> TestRelay {
    TestRelay::with(&[("allow_private_endpoints", "127.0.0.0/8")])
}

/// Says through a Gini hook that a document is in this state; returns the event's id.
#[track_caller]
fn say(tenant: &Tenant<'_>, hook: &str, document: &str, status: &str) -> String {
    let body = format!(r#"{{"documentId":"{document}","status":"{status}"}}"#);
    stored(&tenant.relay.ask(&Request::post(hook).json(&body)))
}
