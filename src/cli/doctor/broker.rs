//! Whether a NATS server of a cluster flushes what it acknowledges. A client's connection does not show that; the
//! monitoring address of the server does, in `/varz`.

use std::time::Duration;

use reqwest::{Client, Url};
use serde::Deserialize;

use super::report::{Finding, duration_text};

/// `/varz` has some 10 KiB.
const MAX_BODY_BYTES: usize = 1 << 20;

/// The part of `/varz` that is checked.
#[derive(Deserialize)]
struct ServerVariables {
    server_name: String,
    version: String,
    /// `{}` if JetStream is off.
    jetstream: JetStreamVariables,
}

#[derive(Deserialize)]
struct JetStreamVariables {
    config: Option<JetStreamConfig>,
}

#[derive(Deserialize)]
struct JetStreamConfig {
    /// Nanoseconds.
    sync_interval: u64,
    /// Absent unless `sync_interval: always` is set.
    #[serde(default)]
    sync_always: bool,
}

/// Reads `/varz` below the monitoring address of a NATS server.
pub(super) async fn flushing(client: &Client, address: &Url, limit: Duration) -> Finding {
    let variables = tokio::time::timeout(limit, read_variables(client, address)).await;
    let variables = variables.unwrap_or_else(|_| Err(format!("no response within {}", duration_text(limit))));
    match variables {
        Ok(variables) => check(&variables),
        Err(reason) => Finding::fail(format!(
            "no NATS server reports at {address} ({reason}): give the monitoring address, the setting `http` of the server"
        )),
    }
}

async fn read_variables(client: &Client, address: &Url) -> Result<ServerVariables, String> {
    let mut url = address.clone();
    url.set_path(&format!("{}/varz", url.path().trim_end_matches('/')));
    let mut response = client.get(url).send().await.map_err(|e| e.without_url().to_string())?;
    if !response.status().is_success() {
        return Err(format!("status {}", response.status()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| e.without_url().to_string())? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_BODY_BYTES {
            return Err("the response is too long".to_owned());
        }
    }
    serde_json::from_slice(&body).map_err(|e| e.to_string())
}

fn check(variables: &ServerVariables) -> Finding {
    let server = format!("NATS server {} {}", variables.server_name, variables.version);
    match &variables.jetstream.config {
        None => Finding::fail(format!("{server} has no JetStream: enable it, the journal needs it")),
        Some(config) if config.sync_always => {
            Finding::ok(format!("{server} flushes each write before it acknowledges it"))
        }
        Some(config) => Finding::warn(format!(
            "{server} acknowledges before it flushes, which it does every {}: a power cut loses acknowledged events; set \
             sync_interval: always",
            duration_text(Duration::from_nanos(config.sync_interval))
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::report::Severity;

    fn finding_of(jetstream: &str) -> Finding {
        let text = format!(r#"{{"server_name": "n1", "version": "2.15.1", "now": "", "jetstream": {jetstream}}}"#);
        check(&serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn server_without_flush_of_each_write_is_a_warning() {
        let flushing = finding_of(r#"{"config": {"sync_interval": 120000000000, "sync_always": true}, "stats": {}}"#);
        assert_eq!(flushing.severity, Severity::Ok, "{}", flushing.text);
        let default = finding_of(r#"{"config": {"sync_interval": 120000000000}}"#);
        assert_eq!(default.severity, Severity::Warn);
        assert!(
            default
                .text
                .starts_with("NATS server n1 2.15.1 acknowledges before it flushes, which it does every 2 min:")
        );
        let off = finding_of("{}");
        assert_eq!((off.severity, off.text.contains("no JetStream")), (Severity::Fail, true), "{}", off.text);
    }
}
