//! `docrelay delivery list|retry`.

use anyhow::Context;
use serde_json::Value;

use super::print;
use super::reach::{ApiRequest, with_session};
use crate::config::{Config, Flags};
use crate::domain::{ClientId, NotificationName};
use crate::store::DeliveryState;

/// Look at deliveries
#[derive(clap::Subcommand, Clone, Debug)]
pub(super) enum DeliveryCommand {
    /// Print a client's deliveries, newest first, one a line
    List(ListDeliveries),
    /// Make one due now, whatever its state
    Retry(RetryDelivery),
}

/// Arguments of `delivery list`.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct ListDeliveries {
    /// The client that owns them
    #[arg(long, value_name = "ID")]
    client: ClientId,
    /// Only those in this state: pending, delivered or dead
    #[arg(long, value_parser = state)]
    state: Option<DeliveryState>,
    /// Only those to this notification
    #[arg(long, value_name = "NAME")]
    notification: Option<NotificationName>,
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u8).range(1..=100))]
    limit: u8,
    #[command(flatten)]
    flags: Flags,
}

/// Arguments of `delivery retry`.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct RetryDelivery {
    /// Its number, as the list shows it
    id: u64,
    /// The client that owns it
    #[arg(long, value_name = "ID")]
    client: ClientId,
    #[command(flatten)]
    flags: Flags,
}

fn state(text: &str) -> Result<DeliveryState, String> {
    let known = DeliveryState::ALL.into_iter().find(|state| state.as_str() == text);
    known.ok_or_else(|| "must be one of pending, delivered, dead".to_owned())
}

impl DeliveryCommand {
    pub(super) fn flags(&self) -> &Flags {
        match self {
            Self::List(list) => &list.flags,
            Self::Retry(retry) => &retry.flags,
        }
    }

    pub(super) fn run(&self, config: &Config) -> anyhow::Result<()> {
        match self {
            Self::List(list) => list.run(config),
            Self::Retry(retry) => retry.run(config),
        }
    }
}

impl ListDeliveries {
    fn run(&self, config: &Config) -> anyhow::Result<()> {
        let mut path = format!("/deliveries?limit={}", self.limit);
        if let Some(state) = self.state {
            path += &format!("&state={}", state.as_str());
        }
        if let Some(name) = &self.notification {
            path += &format!("&notification={name}");
        }
        let deliveries = with_session(config, async |session| {
            let mut deliveries: Vec<Value> = Vec::new();
            let mut page_path = path.clone();
            // A page is also cut by its size.
            loop {
                let page = session.as_client(&self.client, ApiRequest::get(page_path)).await?;
                let found = page["deliveries"].as_array().context("the relay's list is not one")?;
                deliveries.extend(found.iter().cloned());
                match page["next"].as_str().filter(|_| deliveries.len() < usize::from(self.limit)) {
                    Some(next) => page_path = format!("{path}&cursor={next}"),
                    None => return Ok(deliveries),
                }
            }
        })?;
        for delivery in deliveries.iter().take(self.limit.into()) {
            print(&delivery.to_string());
        }
        Ok(())
    }
}

impl RetryDelivery {
    fn run(&self, config: &Config) -> anyhow::Result<()> {
        let request = ApiRequest::post(format!("/deliveries/{}/retry", self.id), None);
        let delivery = with_session(config, async |s| s.as_client(&self.client, request).await)?;
        print(&delivery.to_string());
        Ok(())
    }
}
