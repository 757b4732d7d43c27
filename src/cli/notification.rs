//! `docrelay notification add|list|test`: where a client's events go out again. The answers are those of the API.

use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::reach::{Desk, ask};
use super::{print, secret, small_runtime};
use crate::app::data::StoreOwner;
use crate::config::{Config, Flags};
use crate::domain::{ClientId, Format, NotificationName, Timestamp};
use crate::http::{AttemptView, NotificationView};

/// The environment variables that may hold what is secret.
const SECRET: &str = "DOCRELAY_NOTIFICATION_SECRET";
const TOKEN_VALUE: &str = "DOCRELAY_NOTIFICATION_TOKEN_VALUE";

/// Manage notifications
#[derive(clap::Subcommand, Clone, Debug)]
pub(super) enum Notification {
    /// Add a notification and print it
    Add(Box<Add>),
    /// Print a client's notifications, one a line
    List(Mine),
    /// Send one made-up event now, and print what came of it
    Test(Named),
}

/// What `notification add` is told.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Add {
    /// Its name: lower-case letters, digits and underscores
    name: NotificationName,
    /// Where events go: an http or https address
    endpoint: String,
    /// Whose notification
    #[arg(long, value_name = "ID")]
    client: ClientId,
    /// In whose words: baidu, ppj, zoffice, gini or standard
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

/// Whose.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Mine {
    /// Whose notifications
    #[arg(long, value_name = "ID")]
    client: ClientId,
    #[command(flatten)]
    flags: Flags,
}

/// Which.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Named {
    /// Its name
    name: NotificationName,
    /// Whose notification
    #[arg(long, value_name = "ID")]
    client: ClientId,
    #[command(flatten)]
    flags: Flags,
}

impl Notification {
    pub(super) fn flags(&self) -> &Flags {
        match self {
            Self::Add(add) => &add.flags,
            Self::List(mine) => &mine.flags,
            Self::Test(named) => &named.flags,
        }
    }

    pub(super) fn run(&self, config: &Config) -> anyhow::Result<()> {
        small_runtime()?.block_on(async {
            match self {
                Self::Add(add) => add.run(config).await,
                Self::List(mine) => list(mine, config).await,
                Self::Test(named) => test(named, config).await,
            }
        })
    }
}

impl Add {
    async fn run(&self, config: &Config) -> anyhow::Result<()> {
        let desk = Desk::find(config, &self.client).await?;
        let body = self.body()?;
        let added = match &desk.holder {
            StoreOwner::Remote(reached) => {
                let url = format!("http://{}/v2/notification", reached.listen);
                ask(Method::POST, &url, &desk.token()?, Some(&body)).await?
            }
            StoreOwner::Local(store) => {
                let new = serde_json::from_value(body)?;
                let added = desk.notifications(store)?.add(&self.client, new, Timestamp::now()).await;
                store.log.close().await;
                serde_json::to_value(NotificationView::new(&added?))?
            }
        };
        print(&added.to_string());
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

async fn list(mine: &Mine, config: &Config) -> anyhow::Result<()> {
    let desk = Desk::find(config, &mine.client).await?;
    match &desk.holder {
        StoreOwner::Remote(reached) => {
            let url = format!("http://{}/v2/notification", reached.listen);
            let answer = ask(Method::GET, &url, &desk.token()?, None).await?;
            for one in answer["notifications"].as_array().context("the relay's list is not one")? {
                print(&one.to_string());
            }
        }
        StoreOwner::Local(store) => {
            let all = store.registry.notifications(&mine.client);
            store.log.close().await;
            for one in all {
                print(&serde_json::to_string(&NotificationView::new(&one))?);
            }
        }
    }
    Ok(())
}

async fn test(named: &Named, config: &Config) -> anyhow::Result<()> {
    let desk = Desk::find(config, &named.client).await?;
    let tested = match &desk.holder {
        StoreOwner::Remote(reached) => {
            let url = format!("http://{}/v2/notification/{}/test", reached.listen, named.name);
            ask(Method::POST, &url, &desk.token()?, None).await?
        }
        StoreOwner::Local(store) => {
            let tested = desk.notifications(store)?.test(&named.client, &named.name, Timestamp::now()).await;
            store.log.close().await;
            serde_json::to_value(AttemptView::new(&tested?))?
        }
    };
    print(&tested.to_string());
    ensure!(tested["reason"].is_null(), "the test did not arrive: {}", tested["reason"].as_str().unwrap_or_default());
    Ok(())
}
