//! `docrelay token`: prints a bearer token and nothing else.

use std::time::Duration;

use super::print;
use super::reach::with_session;
use crate::auth::{Scopes, UnknownScope};
use crate::config::{Config, Flags};
use crate::domain::{ClientId, Timestamp};

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
            session.require_client(&self.client).await?;
            Ok(session.keys.issue(&self.client, &self.scope, self.ttl, Timestamp::now())?)
        })?;
        print(&token);
        Ok(())
    }
}
