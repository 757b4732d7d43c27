//! `docrelay key`: the keys that sign tokens, and the key that seals the secrets in the database. Signing keys are
//! files, which a running relay reads again by itself.

use anyhow::Context;
use serde_json::json;

use super::io::print;
use crate::app::data::DataDirectory;
use crate::config::{Config, Flags};
use crate::domain::Timestamp;

/// Manage keys
#[derive(clap::Subcommand, Clone, Debug)]
pub(super) enum KeyCommand {
    /// Print the signing keys, oldest first, one per line
    List {
        #[command(flatten)]
        flags: Flags,
    },
    /// Add a signing key, or replace the sealing key, and print the result
    ///
    /// A new signing key is published at once and signs new tokens 6 minutes later; a running relay needs no restart.
    /// The older keys stay valid until they are retired.
    Rotate {
        /// Replace the key that seals the secrets in the database instead. The relay must be stopped. An interrupted
        /// rotation is continued by the next one
        #[arg(long)]
        seal: bool,
        #[command(flatten)]
        flags: Flags,
    },
    /// Delete a signing key; its tokens become invalid within 30 seconds
    Retire {
        /// Id of the key, as `key list` prints it
        #[arg(value_name = "KID")]
        kid: String,
        #[command(flatten)]
        flags: Flags,
    },
}

impl KeyCommand {
    pub(super) fn flags(&self) -> &Flags {
        match self {
            Self::List { flags } | Self::Rotate { flags, .. } | Self::Retire { flags, .. } => flags,
        }
    }

    pub(super) fn run(&self, config: &Config) -> anyhow::Result<()> {
        let directory = DataDirectory::open(&config.data)?;
        let now = Timestamp::now();
        match self {
            Self::List { .. } => directory.keys()?.list(now).iter().try_for_each(|key| print(&json!(key).to_string())),
            Self::Rotate { seal: false, .. } => print(&json!(directory.keys()?.rotate(now)?).to_string()),
            Self::Rotate { seal: true, .. } => {
                let rotation = directory.rotate_seal().context("the sealing key is not rotated")?;
                print(&json!(rotation).to_string())
            }
            Self::Retire { kid, .. } => Ok(directory.keys()?.retire(kid, now)?),
        }
    }
}
