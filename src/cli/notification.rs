//! `docrelay notification add|list|test`. The output is that of the API.

use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use serde_json::{Map, Value, json};

use super::reach::{ApiRequest, with_session};
use super::{print, secret};
use crate::config::{Config, Flags};
use crate::domain::{ClientId, Format, NotificationName};

/// The path of the API.
const NOTIFICATIONS: &str = "/v2/notification";

/// The environment variables that may hold secrets.
const SECRET: &str = "DOCRELAY_NOTIFICATION_SECRET";
const TOKEN_VALUE: &str = "DOCRELAY_NOTIFICATION_TOKEN_VALUE";

/// Manage notifications
#[derive(clap::Subcommand, Clone, Debug)]
pub(super) enum NotificationCommand {
    /// Add a notification and print it
    Add(Box<AddNotification>),
    /// Print a client's notifications, one a line
    List(OfClient),
    /// Send one test event now, and print the attempt
    Test(Named),
}

/// Arguments of `notification add`.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct AddNotification {
    /// Its name: lower-case letters, digits and underscores
    name: NotificationName,
    /// Where events go: an http or https address
    endpoint: String,
    /// The client that owns it
    #[arg(long, value_name = "ID")]
    client: ClientId,
    /// Format of the requests: baidu, ppj, zoffice, gini or standard
    #[arg(long, default_value = "baidu")]
    format: Format,
    /// It takes the events of documents that name no other
    #[arg(long)]
    default: bool,
    /// File that holds what events are signed with, `-` for stdin; a second line is a second secret (standard). The
    /// environment variable DOCRELAY_NOTIFICATION_SECRET does the same
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// The receiver recognises a cookie or an Authorization header: cookie or header
    #[arg(long, value_name = "TYPE")]
    token_type: Option<String>,
    /// File that holds that header's value; the environment variable DOCRELAY_NOTIFICATION_TOKEN_VALUE does the same
    #[arg(long, value_name = "FILE", requires = "token_type")]
    token_value_file: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
}

/// Arguments of `notification list`.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct OfClient {
    /// The client that owns them
    #[arg(long, value_name = "ID")]
    client: ClientId,
    #[command(flatten)]
    flags: Flags,
}

/// Arguments of `notification test`.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Named {
    /// Its name
    name: NotificationName,
    /// The client that owns it
    #[arg(long, value_name = "ID")]
    client: ClientId,
    #[command(flatten)]
    flags: Flags,
}

impl NotificationCommand {
    pub(super) fn flags(&self) -> &Flags {
        match self {
            Self::Add(add) => &add.flags,
            Self::List(of) => &of.flags,
            Self::Test(named) => &named.flags,
        }
    }

    pub(super) fn run(&self, config: &Config) -> anyhow::Result<()> {
        match self {
            Self::Add(add) => add.run(config),
            Self::List(of) => list(of, config),
            Self::Test(named) => test(named, config),
        }
    }
}

impl AddNotification {
    fn run(&self, config: &Config) -> anyhow::Result<()> {
        let request = ApiRequest::post(NOTIFICATIONS, Some(self.body()?));
        let created = with_session(config, async |s| s.as_client(&self.client, request).await)?;
        print(&created.to_string());
        Ok(())
    }

    /// The same JSON as in `POST /v2/notification`, read by the same rules.
    fn body(&self) -> anyhow::Result<Value> {
        let mut body = Map::new();
        body.insert("name".into(), json!(self.name));
        body.insert("endpoint".into(), json!(self.endpoint));
        body.insert("format".into(), json!(self.format));
        body.insert("isDefault".into(), json!(self.default));
        if let Some(text) = secret::read(self.secret_file.as_deref(), SECRET)? {
            // Only Standard Webhooks have secrets that cannot hold a space, and may have two.
            let secret = match self.format {
                Format::Standard => json!(text.split_whitespace().collect::<Vec<_>>()),
                _ => json!(text),
            };
            body.insert("secret".into(), secret);
        }
        if let Some(kind) = &self.token_type {
            let Some(value) = secret::read(self.token_value_file.as_deref(), TOKEN_VALUE)? else {
                bail!("--token-type {kind} needs a value: --token-value-file or {TOKEN_VALUE}");
            };
            body.insert("tokenType".into(), json!(kind));
            body.insert("tokenValue".into(), json!(value));
        }
        Ok(Value::Object(body))
    }
}

fn list(of: &OfClient, config: &Config) -> anyhow::Result<()> {
    let list = with_session(config, async |s| s.as_client(&of.client, ApiRequest::get(NOTIFICATIONS)).await)?;
    for notification in list["notifications"].as_array().context("the relay's list is not one")? {
        print(&notification.to_string());
    }
    Ok(())
}

fn test(named: &Named, config: &Config) -> anyhow::Result<()> {
    let request = ApiRequest::post(format!("{NOTIFICATIONS}/{}/test", named.name), None);
    let tested = with_session(config, async |s| s.as_client(&named.client, request).await)?;
    print(&tested.to_string());
    ensure!(tested["reason"].is_null(), "the test did not arrive: {}", tested["reason"].as_str().unwrap_or_default());
    Ok(())
}
