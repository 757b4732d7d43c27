//! `docrelay serve`: runs the relay until it is told to stop.

use anyhow::Context;

use super::{banner, demo, print};
use crate::app::logging;
use crate::app::{self, BackgroundTask, Listening};
use crate::config::{Config, unknown_variables};

/// Serves until SIGTERM or SIGINT.
pub(super) fn run(config: Config) -> anyhow::Result<()> {
    logging::init(config.log_format, config.log_level).context("the log could not be started")?;
    for name in unknown_variables(std::env::vars().map(|(name, _)| name)) {
        tracing::warn!(name, "this environment variable is not known and has no effect");
    }
    let with_demo = config.demo;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served =
        runtime.block_on(app::serve(config, &|listening| Box::pin(async move { started(listening, with_demo).await })));
    // Whatever a blocking read still does, nobody waits for it.
    runtime.shutdown_background();
    served
}

async fn started(listening: Listening, with_demo: bool) -> anyhow::Result<BackgroundTask> {
    if !with_demo {
        print(&banner::plain(&listening.reached));
        return Ok(None);
    }
    let demo = demo::Demo::prepare(&listening).await?;
    print(&banner::with_demo(&listening.reached, &demo));
    Ok(Some(Box::pin(demo.run())))
}
