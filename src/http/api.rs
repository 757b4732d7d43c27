//! The handlers of the public and the admin address: plain functions over the use cases.

pub(in crate::http) mod admin;
pub(in crate::http) mod deliveries;
pub(in crate::http) mod documents;
pub(in crate::http) mod events;
pub(in crate::http) mod hooks;
pub(in crate::http) mod metadata;
pub(in crate::http) mod rejects;
pub(in crate::http) mod tokens;
pub(in crate::http) mod webhook;
