//! `docrelay delivery list|retry`: what is on its way out, what has arrived and what has not.

use anyhow::{Context, bail};
use reqwest::Method;

use super::reach::{Desk, ask};
use super::{print, small_runtime};
use crate::app::data::StoreOwner;
use crate::config::{Config, Flags};
use crate::domain::{ClientId, NotificationName, Timestamp};
use crate::http::DeliveryView;
use crate::store::{DeliveryQuery, DeliveryState};

/// Look at deliveries
#[derive(clap::Subcommand, Clone, Debug)]
pub(super) enum Delivery {
    /// Print a client's deliveries, newest first, one a line
    List(List),
    /// Make one due now, whatever became of it
    Retry(Retry),
}

/// What `delivery list` is told.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct List {
    /// Whose deliveries
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

/// What `delivery retry` is told.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Retry {
    /// Its number, as the list shows it
    id: u64,
    /// Whose delivery
    #[arg(long, value_name = "ID")]
    client: ClientId,
    #[command(flatten)]
    flags: Flags,
}

fn state(text: &str) -> Result<DeliveryState, String> {
    let known = DeliveryState::ALL.into_iter().find(|state| state.as_str() == text);
    known.ok_or_else(|| "must be one of pending, delivered, dead".to_owned())
}

impl Delivery {
    pub(super) fn flags(&self) -> &Flags {
        match self {
            Self::List(list) => &list.flags,
            Self::Retry(retry) => &retry.flags,
        }
    }

    pub(super) fn run(&self, config: &Config) -> anyhow::Result<()> {
        small_runtime()?.block_on(async {
            match self {
                Self::List(list) => list.run(config).await,
                Self::Retry(retry) => retry.run(config).await,
            }
        })
    }
}

impl List {
    async fn run(&self, config: &Config) -> anyhow::Result<()> {
        let desk = Desk::find(config, &self.client).await?;
        match &desk.holder {
            StoreOwner::Remote(reached) => {
                let mut url = format!("http://{}/deliveries?limit={}", reached.listen, self.limit);
                if let Some(state) = self.state {
                    url += &format!("&state={}", state.as_str());
                }
                if let Some(name) = &self.notification {
                    url += &format!("&notification={name}");
                }
                let answer = ask(Method::GET, &url, &desk.token()?, None).await?;
                for one in answer["deliveries"].as_array().context("the relay's list is not one")? {
                    print(&one.to_string());
                }
            }
            StoreOwner::Local(store) => {
                let query = DeliveryQuery {
                    state: self.state,
                    notification: self.notification.clone(),
                    limit: usize::from(self.limit),
                    before: None,
                };
                let all = store.outbox.deliveries(&self.client, query).await;
                store.log.close().await;
                for one in all? {
                    print(&serde_json::to_string(&DeliveryView::new(&one))?);
                }
            }
        }
        Ok(())
    }
}

impl Retry {
    async fn run(&self, config: &Config) -> anyhow::Result<()> {
        let desk = Desk::find(config, &self.client).await?;
        let delivery = match &desk.holder {
            StoreOwner::Remote(reached) => {
                let url = format!("http://{}/deliveries/{}/retry", reached.listen, self.id);
                ask(Method::POST, &url, &desk.token()?, None).await?.to_string()
            }
            // Sent when the relay is started.
            StoreOwner::Local(store) => {
                let retried = store.outbox.retry(&self.client, self.id, Timestamp::now()).await;
                let delivery = store.outbox.delivery(&self.client, self.id).await;
                store.log.close().await;
                retried?;
                let Some(delivery) = delivery? else { bail!("no such delivery") };
                serde_json::to_string(&DeliveryView::new(&delivery))?
            }
        };
        print(&delivery);
        Ok(())
    }
}
