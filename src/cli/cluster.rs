//! `docrelay cluster`: the key of a new cluster, and its state.

mod status_table;

use super::io::print;
use super::session::{ApiRequest, with_session};
use crate::auth::ClusterKey;
use crate::config::{Config, Flags};

/// Make and inspect a cluster
#[derive(clap::Subcommand, Clone, Debug)]
pub(super) enum ClusterCommand {
    /// Print a new cluster key, for the file that `cluster_key_file` names on every node
    Key,
    /// Print the members with their positions and leases, the leader, and the state of the broker
    Status {
        /// Print a table instead of JSON
        #[arg(long)]
        table: bool,
        #[command(flatten)]
        flags: Flags,
    },
}

impl ClusterCommand {
    pub(super) fn flags(&self) -> Flags {
        match self {
            Self::Key => Flags::default(),
            Self::Status { flags, .. } => flags.clone(),
        }
    }

    pub(super) fn run(&self, config: &Config) -> anyhow::Result<()> {
        match self {
            Self::Key => print(&ClusterKey::generate()?),
            Self::Status { table, .. } => with_session(config, async |session| {
                let status = session.as_admin(ApiRequest::get("/admin/cluster")).await?;
                print(&if *table { status_table::render(&status) } else { format!("{status:#}") })
            }),
        }
    }
}
