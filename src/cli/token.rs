//! `docrelay token`: prints a bearer token alone on stdout.

use std::time::Duration;

use super::print;
use super::reach::with_session;
use crate::auth::{Scopes, UnknownScope};
use crate::config::{Config, Flags};
use crate::domain::{ClientId, Timestamp};

/// Print a bearer token
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Token {
    /// Whose events it opens
    #[arg(long, value_name = "ID")]
    client: ClientId,
    /// For how long it is good, such as 15m or 1h
    #[arg(long, default_value = "1h", value_parser = ttl)]
    ttl: Duration,
    /// What it may do: events, manage, or both
    #[arg(long, default_value = "events,manage", value_parser = scopes)]
    scope: Scopes,
    #[command(flatten)]
    pub(super) flags: Flags,
}

fn ttl(text: &str) -> Result<Duration, String> {
    let ttl = humantime::parse_duration(text).map_err(|e| e.to_string())?;
    if ttl < Duration::from_secs(1) { Err("at least 1s".to_owned()) } else { Ok(ttl) }
}

fn scopes(text: &str) -> Result<Scopes, UnknownScope> {
    text.replace(',', " ").parse()
}

impl Token {
    pub(super) fn run(&self, config: &Config) -> anyhow::Result<()> {
        let token = with_session(config, async |session| {
            session.require_client(&self.client).await?;
            Ok(session.keys.issue(&self.client, &self.scope, self.ttl, Timestamp::now())?)
        })?;
        print(&token);
        Ok(())
    }
}
