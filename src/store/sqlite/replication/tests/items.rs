//! A client, and events and hooks of it by name, for tests that look for them afterwards.

use crate::domain::{Client, Hook, Secret, Status, Timestamp, Update, Vendor, Verify};
use crate::store::{DuplicateRule, NewEvent};

pub(super) fn client() -> Client {
    let created = Timestamp::from_millis(1_800_000_000_000);
    Client { id: "a".parse().expect("an id"), created, secret: Secret::new("s"), previous: None }
}

pub(super) fn event(name: &str) -> NewEvent {
    NewEvent {
        client: client().reference(),
        vendor: Vendor::Ppj,
        update: Update::new(name.parse().expect("an identifier"), Status::Completed),
        labels: Default::default(),
        raw: None,
        duplicate_rule: DuplicateRule::SameKey(name.to_owned()),
        destinations: None,
        now: client().created,
    }
}

pub(super) fn hook(name: &str) -> Hook {
    Hook {
        id: name.to_owned(),
        key: Secret::new(name),
        vendor: Vendor::Ppj,
        name: None,
        labels: Default::default(),
        label_cookies: Vec::new(),
        verify: Verify::None {},
        mapping: None,
        created: client().created,
    }
}
