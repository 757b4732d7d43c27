//! docrelay turns the webhooks of document converters into live streams: see `docs/ARCHITECTURE.md` for the way of an
//! event through these modules.

pub mod app;
pub mod auth;
pub mod cli;
pub mod config;
pub mod delivery;
pub mod domain;
pub mod http;
pub mod ingest;
pub mod manage;
pub mod metrics;
pub mod store;
pub mod stream;
pub mod vendor;
