//! `docrelay client add ID`: prints the new client's id and secret as JSON.

use serde_json::json;

use super::print;
use super::reach::{ApiRequest, with_session};
use crate::config::{Config, Flags};
use crate::domain::ClientId;

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
}

impl ClientCommand {
    pub(super) fn flags(&self) -> &Flags {
        let Self::Add { flags, .. } = self;
        flags
    }

    pub(super) fn run(&self, config: &Config) -> anyhow::Result<()> {
        let Self::Add { id, .. } = self;
        let body = json!({"clientId": id.as_str()});
        let created = with_session(config, async |s| s.as_admin(ApiRequest::post("/admin/clients", Some(body))).await)?;
        print(&created.to_string());
        Ok(())
    }
}
