//! docrelay receives webhooks of document converters and streams their events. `docs/ARCHITECTURE.md` describes the path
//! of an event through these modules.

pub mod app;
pub mod auth;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod delivery;
pub mod domain;
pub mod http;
pub mod ingest;
pub mod journal;
pub mod manage;
pub mod metrics;
pub mod store;
pub mod stream;
pub mod vendor;
