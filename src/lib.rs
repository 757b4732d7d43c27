//! docrelay turns the webhooks of document converters into live streams: see `docs/ARCHITECTURE.md` for the way of an
//! event through these modules.

pub mod app;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod dialect;
pub mod event;
pub mod hook;
pub mod http;
pub mod hub;
pub mod metrics;
pub mod notification;
pub mod notify;
pub mod relay;
pub mod store;
pub mod telemetry;
