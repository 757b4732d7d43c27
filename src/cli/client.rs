//! `docrelay client` and `docrelay token`: applications, their secrets and their tokens. The output is the JSON of the
//! API, or the token alone.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::io::print;
use super::session::{ApiRequest, Caller, with_session};
use crate::auth::{Scopes, UnknownScope};
use crate::config::{Config, Flags};
use crate::domain::{ClientId, Timestamp};

/// Manage clients
#[derive(clap::Subcommand, Clone, Debug)]
pub(super) enum ClientCommand {
    /// Add a client and print its secret, which is not shown again
    Add {
        /// The client's name
        id: ClientId,
        #[command(flatten)]
        flags: Flags,
    },
    /// Print all clients by name, one per line
    List {
        #[command(flatten)]
        flags: Flags,
    },
    /// Remove a client and erase its data
    ///
    /// Its streams end, its hooks stop, and its events, documents, notifications and deliveries are erased. This cannot
    /// be undone.
    Remove {
        /// The client's name
        id: ClientId,
        #[command(flatten)]
        flags: Flags,
    },
    /// Set limits of a client, and print it with all of them
    ///
    /// A limit is a whole number, or the word default. Limits that are not given stay as they are.
    Limit(Box<LimitArgs>),
    /// Replace a client's secret and print the new one; the previous one is valid for 24 hours
    Rotate {
        /// The client's name
        id: ClientId,
        #[command(flatten)]
        flags: Flags,
    },
}

impl ClientCommand {
    pub(super) fn flags(&self) -> &Flags {
        match self {
            Self::Add { flags, .. }
            | Self::List { flags }
            | Self::Remove { flags, .. }
            | Self::Rotate { flags, .. } => flags,
            Self::Limit(args) => &args.flags,
        }
    }

    pub(super) fn run(&self, config: &Config) -> anyhow::Result<()> {
        match self {
            Self::Add { id, .. } => {
                let body = json!({"clientId": id.as_str()});
                let request = ApiRequest::post("/admin/clients", Some(body));
                print(&with_session(config, async |s| s.as_admin(request).await)?.to_string())
            }
            Self::List { .. } => with_session(config, async |session| {
                session.pages(Caller::Admin, "/admin/clients", "clients").print().await
            }),
            Self::Remove { id, .. } => {
                let request = ApiRequest::delete(format!("/admin/clients/{id}"));
                with_session(config, async |s| s.as_admin(request).await).map(|_| ())
            }
            Self::Limit(args) => args.run(config),
            Self::Rotate { id, .. } => {
                let request = ApiRequest::post(format!("/admin/clients/{id}/secret"), None);
                print(&with_session(config, async |s| s.as_admin(request).await)?.to_string())
            }
        }
    }
}

/// The client and its limits.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct LimitArgs {
    /// The client's name
    id: ClientId,
    /// Webhooks per second to all hooks of the client
    #[arg(long, value_name = "N", value_parser = limit)]
    events_per_second: Option<Value>,
    /// Open streams
    #[arg(long, value_name = "N", value_parser = limit)]
    followers: Option<Value>,
    /// Bytes of events that are kept
    #[arg(long, value_name = "BYTES", value_parser = limit)]
    stored_bytes: Option<Value>,
    /// Notifications
    #[arg(long, value_name = "N", value_parser = limit)]
    notifications: Option<Value>,
    #[command(flatten)]
    flags: Flags,
}

impl LimitArgs {
    fn run(&self, config: &Config) -> anyhow::Result<()> {
        let given = [
            ("eventsPerSecond", &self.events_per_second),
            ("followers", &self.followers),
            ("storedBytes", &self.stored_bytes),
            ("notifications", &self.notifications),
        ];
        let given = given.into_iter().filter_map(|(key, limit)| Some((key.to_owned(), limit.clone()?)));
        let body = json!({"limits": given.collect::<Map<_, _>>()});
        let request = ApiRequest::patch(format!("/admin/clients/{}", self.id), body);
        print(&with_session(config, async |s| s.as_admin(request).await)?.to_string())
    }
}

/// A limit as JSON: a number, or `null` for the default.
fn limit(text: &str) -> Result<Value, &'static str> {
    match text {
        "default" => Ok(Value::Null),
        number => number.parse::<u64>().map(Value::from).map_err(|_| "a whole number, or default"),
    }
}

/// Print a bearer token
#[derive(clap::Args, Clone, Debug)]
pub(super) struct TokenCommand {
    /// Client whose events the token gives access to
    #[arg(long, value_name = "ID")]
    client: ClientId,
    /// Lifetime, such as 15m or 1h; at least 1s
    #[arg(long, default_value = "1h", value_parser = ttl)]
    ttl: Duration,
    /// Scope: events, manage, or both
    #[arg(long, default_value = "events,manage", value_parser = scopes)]
    scope: Scopes,
    #[command(flatten)]
    pub(super) flags: Flags,
}

fn ttl(text: &str) -> Result<Duration, String> {
    let ttl = humantime::parse_duration(text).map_err(|e| e.to_string())?;
    if ttl < Duration::from_secs(1) { Err("must be at least 1s".to_owned()) } else { Ok(ttl) }
}

fn scopes(text: &str) -> Result<Scopes, UnknownScope> {
    text.replace(',', " ").parse()
}

impl TokenCommand {
    pub(super) fn run(&self, config: &Config) -> anyhow::Result<()> {
        let token = with_session(config, async |session| {
            let client = session.require_client(&self.client).await?;
            Ok(session.keys.issue(&client, &self.scope, self.ttl, Timestamp::now())?)
        })?;
        print(&token)
    }
}
