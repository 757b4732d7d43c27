//! `docrelay notification` and `docrelay delivery`: where the events of a client are sent, and the deliveries to these
//! endpoints. The output is the JSON of the API.

use std::path::PathBuf;

use anyhow::{bail, ensure};
use serde_json::{Map, Value, json};

use super::io::{print, read_secret};
use super::session::{ApiRequest, Caller, print_response, with_session};
use crate::config::{Config, Flags};
use crate::domain::{ClientId, Format, NotificationName};
use crate::store::DeliveryState;

/// The path of the API.
const NOTIFICATIONS: &str = "/v2/notification";

/// The environment variables that may contain secrets.
const SECRET_VARIABLE: &str = "DOCRELAY_NOTIFICATION_SECRET";
const TOKEN_VALUE_VARIABLE: &str = "DOCRELAY_NOTIFICATION_TOKEN_VALUE";

/// Manage notifications
#[derive(clap::Subcommand, Clone, Debug)]
pub(super) enum NotificationCommand {
    /// Add a notification and print it
    Add(Box<AddNotification>),
    /// Print a client's notifications, one per line
    List(ListNotifications),
    /// Send one test event now, and print the attempt
    Test(TestNotification),
}

/// Arguments of `notification add`.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct AddNotification {
    /// Name of the notification: lower-case letters, digits and underscores
    name: NotificationName,
    /// URL that receives the events: http or https
    endpoint: String,
    /// Client that owns the notification
    #[arg(long, value_name = "ID")]
    client: ClientId,
    /// Format of the requests: baidu, ppj, zoffice, gini or standard
    #[arg(long, default_value = "baidu")]
    format: Format,
    /// Make it the default, which gets the events of documents that name no other
    #[arg(long)]
    default: bool,
    /// File that contains the signing secret; - is the standard input. A second line is a second secret (standard). Or
    /// set the environment variable DOCRELAY_NOTIFICATION_SECRET
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Credentials that the endpoint expects: cookie, or header for Authorization
    #[arg(long, value_name = "TYPE")]
    token_type: Option<String>,
    /// File that contains their value. Or set the environment variable DOCRELAY_NOTIFICATION_TOKEN_VALUE
    #[arg(long, value_name = "FILE", requires = "token_type")]
    token_value_file: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
}

/// Arguments of `notification list`.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct ListNotifications {
    /// Client that owns the notifications
    #[arg(long, value_name = "ID")]
    client: ClientId,
    #[command(flatten)]
    flags: Flags,
}

/// Arguments of `notification test`.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct TestNotification {
    /// Name of the notification
    name: NotificationName,
    /// Client that owns the notification
    #[arg(long, value_name = "ID")]
    client: ClientId,
    #[command(flatten)]
    flags: Flags,
}

impl NotificationCommand {
    pub(super) fn flags(&self) -> &Flags {
        match self {
            Self::Add(add) => &add.flags,
            Self::List(list) => &list.flags,
            Self::Test(test) => &test.flags,
        }
    }

    pub(super) fn run(&self, config: &Config) -> anyhow::Result<()> {
        match self {
            Self::Add(add) => {
                let request = ApiRequest::post(NOTIFICATIONS, Some(add.body()?));
                print_response(config, &add.client, request)
            }
            Self::List(list) => with_session(config, async |session| {
                session.pages(Caller::Client(&list.client), NOTIFICATIONS, "notifications").print().await
            }),
            Self::Test(test) => test.run(config),
        }
    }
}

impl AddNotification {
    /// The same JSON as in `POST /v2/notification`, read by the same rules.
    fn body(&self) -> anyhow::Result<Value> {
        let mut body = Map::new();
        body.insert("name".into(), json!(self.name));
        body.insert("endpoint".into(), json!(self.endpoint));
        body.insert("format".into(), json!(self.format));
        body.insert("isDefault".into(), json!(self.default));
        if let Some(text) = read_secret("secret", self.secret_file.as_deref(), SECRET_VARIABLE)? {
            // Only Standard Webhooks have secrets that cannot hold a space, and may have two.
            let secret = match self.format {
                Format::Standard => json!(text.split_whitespace().collect::<Vec<_>>()),
                _ => json!(text),
            };
            body.insert("secret".into(), secret);
        }
        let value = read_secret("token value", self.token_value_file.as_deref(), TOKEN_VALUE_VARIABLE)?;
        match (&self.token_type, value) {
            (None, None) => {}
            (Some(kind), Some(value)) => {
                body.insert("tokenType".into(), json!(kind));
                body.insert("tokenValue".into(), json!(value));
            }
            (Some(kind), None) => {
                bail!("--token-type {kind} needs a value: --token-value-file or {TOKEN_VALUE_VARIABLE}");
            }
            (None, Some(_)) => {
                bail!("the value of {TOKEN_VALUE_VARIABLE} would not be sent: add --token-type, or unset the variable");
            }
        }
        Ok(Value::Object(body))
    }
}

impl TestNotification {
    fn run(&self, config: &Config) -> anyhow::Result<()> {
        let request = ApiRequest::post(format!("{NOTIFICATIONS}/{}/test", self.name), None);
        let tested = with_session(config, async |s| s.as_client(&self.client, request).await)?;
        print(&tested.to_string())?;
        let reason = &tested["reason"];
        ensure!(reason.is_null(), "the test event was not delivered: {}", reason.as_str().unwrap_or_default());
        Ok(())
    }
}

/// List and retry deliveries
#[derive(clap::Subcommand, Clone, Debug)]
pub(super) enum DeliveryCommand {
    /// Print a client's deliveries, newest first, one per line
    List(ListDeliveries),
    /// Make a delivery due now, whatever its state
    Retry(RetryDelivery),
}

/// Arguments of `delivery list`.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct ListDeliveries {
    /// Client that owns the deliveries
    #[arg(long, value_name = "ID")]
    client: ClientId,
    /// Only deliveries in this state: pending, delivered or dead
    #[arg(long, value_parser = state)]
    state: Option<DeliveryState>,
    /// Only deliveries to this notification
    #[arg(long, value_name = "NAME")]
    notification: Option<NotificationName>,
    /// Maximum number of deliveries
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u8).range(1..=100))]
    limit: u8,
    #[command(flatten)]
    flags: Flags,
}

/// Arguments of `delivery retry`.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct RetryDelivery {
    /// Number of the delivery, as `delivery list` prints it
    id: u64,
    /// Client that owns the delivery
    #[arg(long, value_name = "ID")]
    client: ClientId,
    #[command(flatten)]
    flags: Flags,
}

fn state(text: &str) -> Result<DeliveryState, String> {
    let known = DeliveryState::ALL.into_iter().find(|state| state.as_str() == text);
    known.ok_or_else(|| "must be one of pending, delivered, dead".to_owned())
}

impl DeliveryCommand {
    pub(super) fn flags(&self) -> &Flags {
        match self {
            Self::List(list) => &list.flags,
            Self::Retry(retry) => &retry.flags,
        }
    }

    pub(super) fn run(&self, config: &Config) -> anyhow::Result<()> {
        match self {
            Self::List(list) => list.run(config),
            Self::Retry(retry) => {
                let request = ApiRequest::post(format!("/deliveries/{}/retry", retry.id), None);
                print_response(config, &retry.client, request)
            }
        }
    }
}

impl ListDeliveries {
    /// Prints up to `limit` deliveries. A page of the API is also cut by its size.
    fn run(&self, config: &Config) -> anyhow::Result<()> {
        let (path, limit) = (self.path(), usize::from(self.limit));
        with_session(config, async |session| {
            let mut pages = session.pages(Caller::Client(&self.client), &path, "deliveries");
            let mut printed = 0;
            while printed < limit
                && let Some(deliveries) = pages.next().await?
            {
                let deliveries = &deliveries[..deliveries.len().min(limit - printed)];
                deliveries.iter().try_for_each(|delivery| print(&delivery.to_string()))?;
                printed += deliveries.len();
            }
            Ok(())
        })
    }

    fn path(&self) -> String {
        let mut path = format!("/deliveries?limit={}", self.limit);
        if let Some(state) = self.state {
            path += &format!("&state={}", state.as_str());
        }
        if let Some(name) = &self.notification {
            path += &format!("&notification={name}");
        }
        path
    }
}
