//! docrelay receives webhooks of document converters and streams their events. The modules, in the order in which an
//! event passes them; `docs/ARCHITECTURE.md` describes the three paths through them and the layers.
//!
//! - [`http`] accepts connections and requests: transport, routes, handlers, Baidu's API, pages.
//! - [`vendor`] verifies, parses and renders the formats of the vendors.
//! - [`ingest`] makes an event of a webhook or of a registered document.
//! - [`store`] has the ports of the store; [`store::sqlite`] implements them.
//! - [`journal`] is the port of the journal, which the nodes of a cluster share; [`journal::jetstream`] implements it.
//! - [`stream`] passes stored events to the followers.
//! - [`delivery`] delivers stored events to endpoints.
//!
//! Used on the way:
//!
//! - [`domain`] has the plain values: clients, hooks, documents, events, notifications, times.
//! - [`auth`] checks and issues tokens, and keeps keys, secrets and credentials.
//! - [`metrics`] has the counters and their export.
//!
//! Around it:
//!
//! - [`manage`] has the use cases of owners: clients, hooks, documents, rejects, notifications, deliveries.
//! - [`cluster`] coordinates the nodes of a cluster: members, leader, owners of delivery queues.
//! - [`config`] reads the settings.
//! - [`app`] opens the parts, starts their tasks and stops them.
//! - [`cli`] has the commands.

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
