//! `docrelay reload`: asks the relay that runs on a data directory to read its configuration again. The output is the
//! JSON of the API.

use std::process::ExitCode;

use reqwest::StatusCode;

use super::invalid_configuration;
use super::io::print;
use super::session::{ApiRequest, Session, StatusError};
use super::small_runtime;
use crate::config::{ConfigSource, Flags};

/// Reload the configuration of the running relay
///
/// The relay reads its file again; its flags and environment stay those of its start. Prints the keys that have
/// changed, and those whose new values need a restart. A configuration that cannot be used changes nothing, and the
/// command exits with code 2.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct ReloadCommand {
    #[command(flatten)]
    flags: Flags,
}

impl ReloadCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let config = match ConfigSource::new(self.flags).load() {
            Ok(config) => config,
            Err(error) => return Ok(invalid_configuration(&error)),
        };
        let report = small_runtime()?
            .block_on(async { Session::running(&config)?.as_admin(ApiRequest::post("/admin/reload", None)).await });
        match report {
            Ok(report) => print(&report.to_string()).map(|()| ExitCode::SUCCESS),
            Err(error) => match error.downcast_ref::<StatusError>() {
                Some(refused) if refused.status == StatusCode::UNPROCESSABLE_ENTITY => {
                    Ok(invalid_configuration(refused))
                }
                _ => Err(error),
            },
        }
    }
}
