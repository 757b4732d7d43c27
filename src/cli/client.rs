//! `docrelay client add ID`: prints the new client's id and secret as JSON.

use reqwest::Method;
use serde_json::json;

use super::reach::{admin_token, ask, reach};
use super::{print, small_runtime};
use crate::app::data::StoreOwner;
use crate::auth::fresh_secret;
use crate::config::{Config, Flags};
use crate::domain;
use crate::domain::{ClientId, Timestamp};

/// Manage clients
#[derive(clap::Subcommand, Clone, Debug)]
pub(super) enum Client {
    /// Add a client and print its secret, which is not shown again
    Add {
        /// The client's name
        id: ClientId,
        #[command(flatten)]
        flags: Flags,
    },
}

impl Client {
    pub(super) fn flags(&self) -> &Flags {
        let Self::Add { flags, .. } = self;
        flags
    }

    pub(super) fn run(&self, config: &Config) -> anyhow::Result<()> {
        let Self::Add { id, .. } = self;
        let runtime = small_runtime()?;
        match reach(config)? {
            StoreOwner::Remote(reached) => {
                let (url, admin) = (format!("http://{}/admin/clients", reached.admin), admin_token(config)?);
                let body = json!({"clientId": id.as_str()});
                let answer = runtime.block_on(ask(Method::POST, &url, &admin, Some(&body)))?;
                print(&answer.to_string());
            }
            StoreOwner::Local(store) => {
                let secret = fresh_secret()?;
                let client = domain::Client {
                    id: id.clone(),
                    created: Timestamp::now(),
                    secret: secret.clone(),
                    previous: None,
                };
                runtime.block_on(async {
                    let added = store.registry.add_client(client).await;
                    store.log.close().await;
                    added
                })?;
                print(&json!({"clientId": id.as_str(), "clientSecret": secret.expose()}).to_string());
            }
        }
        Ok(())
    }
}
