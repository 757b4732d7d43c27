//! `docrelay serve`: runs the relay until SIGTERM or SIGINT, and prints its URLs when it listens.

use std::fmt::Write as _;

use futures::future::BoxFuture;

use super::demo::Demo;
use super::io::print;
use crate::app::data::RelayAddress;
use crate::app::{self, BackgroundTask, Listening, PassedSockets, ProcessConfig, ServeOptions, logging};
use crate::config::{Config, ConfigSource, unknown_variables};
use crate::metrics::Metrics;

pub(super) fn run(source: ConfigSource, config: Config) -> anyhow::Result<()> {
    // First of all, while there is one thread.
    let sockets = PassedSockets::from_environment()?;
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION"));
    let logging = logging::start(config.log_format, config.log_level, metrics.log_lines_dropped.clone())?;
    let (log_ended, _flush_log) = (logging.thread_ended, logging.flush);
    for name in unknown_variables(std::env::vars().map(|(name, _)| name)) {
        tracing::warn!(name, "unknown environment variable has no effect");
    }
    let with_demo = config.demo;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let on_listening = |listening| -> BoxFuture<'static, _> { Box::pin(started(listening, with_demo)) };
    let config = ProcessConfig::new(source, config, logging.level);
    let options = ServeOptions { config, sockets, metrics, log_ended, on_listening: &on_listening };
    let result = runtime.block_on(app::serve(options));
    // Does not wait for blocking reads that are still running.
    runtime.shutdown_background();
    result
}

async fn started(listening: Listening, with_demo: bool) -> anyhow::Result<BackgroundTask> {
    let address = &listening.address;
    if !with_demo {
        announce(&banner(address, &format!("{}/", address.public_url)));
        return Ok(None);
    }
    let demo = Demo::prepare(&listening).await?;
    announce(&demo_banner(address, &demo));
    Ok(Some(Box::pin(demo.run())))
}

/// Prints to standard output. The relay runs without it, too.
fn announce(text: &str) {
    if let Err(error) = print(text) {
        tracing::warn!(%error, "cannot print the addresses");
    }
}

fn banner(address: &RelayAddress, dashboard_url: &str) -> String {
    let (url, version) = (&address.public_url, env!("CARGO_PKG_VERSION"));
    format!(
        "docrelay {version} is listening\n\n  dashboard  {dashboard_url}\n  stream     {url}/events/client\n  docs       {url}/docs\n  \
         admin      http://{}/\n",
        address.admin
    )
}

/// The banner with the next steps: curl commands that follow the stream and send webhooks.
fn demo_banner(address: &RelayAddress, demo: &Demo) -> String {
    let (url, token) = (&address.public_url, demo.token());
    let mut text = banner(address, &format!("{url}/#token={token}"));
    text += &format!(
        "
Next, open the dashboard in a browser, or run these commands in another terminal.

1. Follow the stream of the client demo:

  curl -N -H 'Authorization: Bearer {token}' {url}/events/client

   The same with the token in the URL, from the earliest retained event:

  curl -N '{url}/events/client?last_event_id=earliest&token={token}'

2. Send a webhook like a vendor's. A repeated webhook gets 200 and is not stored again: change an
   identifier to see more events.
"
    );
    for (comment, command) in demo.sample_commands() {
        // Writing into a String cannot fail.
        write!(text, "\n  {comment}\n  {command}\n").ok();
    }
    text
}
