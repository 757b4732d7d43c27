//! The demo of `docrelay serve --demo`: a client with a hook for every vendor, and a loop that sends webhooks to these
//! hooks. The webhooks go through the relay's public URL, like those of a vendor.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use reqwest::ClientBuilder;
use serde_json::json;

use crate::app::Listening;
use crate::auth::Scopes;
use crate::domain::{ClientId, ClientRef, Hook, Status, Timestamp, Update, Vendor, VendorError, Verify};
use crate::manage::{Hooks, NewHook};
use crate::vendor::{self, OutgoingEvent};

/// Time between two webhooks.
const INTERVAL: Duration = Duration::from_secs(3);

/// Time between two webhooks of the first round, so that each vendor appears soon after the start.
const FIRST_ROUND_INTERVAL: Duration = Duration::from_millis(200);

/// The lifetime of the printed token.
const DEMO_TOKEN_TTL: Duration = Duration::from_secs(24 * 3600);

pub(super) struct Demo {
    token: String,
    /// The URL of each vendor's hook.
    hooks: Vec<(Vendor, String)>,
    /// Whether the relay itself serves its public URL with TLS.
    tls: bool,
}

impl Demo {
    /// Creates the client `demo` and its hooks, unless they exist.
    pub(super) async fn prepare(listening: &Listening) -> anyhow::Result<Self> {
        let id: ClientId = "demo".parse()?;
        let now = Timestamp::now();
        let client = match listening.clients.get(&id) {
            Some(client) => client.reference(),
            None => {
                let added = listening.clients.add(id, now).await.context("cannot create the client demo")?;
                added.client.reference()
            }
        };
        let mut hooks = Vec::new();
        for vendor in Vendor::ALL {
            let hook = demo_hook(&listening.hooks, &client, vendor, now).await?;
            hooks.push((vendor, format!("{}/in/{}", listening.address.public_url, hook.key.expose())));
        }
        let token = listening.keys.issue(&client, &Scopes::ALL, DEMO_TOKEN_TTL, now)?;
        Ok(Self { token, hooks, tls: listening.address.tls })
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// curl commands that send sample webhooks to the hooks: a comment and the command.
    pub(super) fn sample_commands(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.hooks.iter().flat_map(|(vendor, url)| sample_commands(*vendor, url))
    }

    /// Sends webhooks of one document after the other, without end.
    pub(super) async fn run(self) -> anyhow::Result<()> {
        // The relay calls itself, also with a certificate of an authority that this machine does not know.
        let certificates = |client: ClientBuilder| client.tls_danger_accept_invalid_certs(self.tls);
        let client = super::http_client(|client| certificates(client).timeout(super::RESPONSE_TIMEOUT))?;
        for round in 0_usize.. {
            let (index, interval) = match self.hooks.get(round) {
                Some(_) => (round, FIRST_ROUND_INTERVAL),
                None => (fastrand::usize(..self.hooks.len()), INTERVAL),
            };
            let (vendor, url) = &self.hooks[index];
            let number = fastrand::u32(..);
            let document = uuid::Uuid::new_v4();
            for status in [Status::Pending, if fastrand::u8(..5) == 0 { Status::Error } else { Status::Completed }] {
                tokio::time::sleep(interval).await;
                // Some formats have final statuses only.
                let Some(outgoing_event) = outgoing_event(number, document, status) else { continue };
                let Ok(webhook) = vendor::render(*vendor, &outgoing_event, url, &Verify::None {}, Timestamp::now())
                else {
                    continue;
                };
                let mut request = client.request(webhook.method, &webhook.url).body(webhook.body);
                for (name, value) in webhook.headers {
                    request = request.header(name, value);
                }
                match request.send().await {
                    Ok(response) if response.status().is_success() => {}
                    Ok(response) => tracing::warn!(%vendor, status = %response.status(), "demo webhook refused"),
                    Err(error) => tracing::warn!(%vendor, error = %error.without_url(), "cannot send demo webhook"),
                }
            }
        }
        Ok(())
    }
}

async fn demo_hook(hooks: &Hooks, client: &ClientRef, vendor: Vendor, now: Timestamp) -> anyhow::Result<Hook> {
    let name = format!("demo-{vendor}");
    if let Some(hook) = hooks.list(client).iter().find(|h| h.name.as_deref() == Some(&name)) {
        return Ok(hook.as_ref().clone());
    }
    let mapping = json!({
        "vendorId": "/vendorId", "status": "/status", "title": "/title", "result": "/result",
        "errorCode": "/error/code", "errorMessage": "/error/message",
        "statuses": {"PENDING": "PENDING", "COMPLETED": "COMPLETED", "ERROR": "ERROR", "done": "COMPLETED"},
    });
    let new = NewHook {
        vendor,
        verify: Verify::None {},
        name: Some(name),
        labels: BTreeMap::from([("demo".to_owned(), "true".to_owned())]),
        label_cookies: Vec::new(),
        mapping: (vendor == Vendor::Generic).then(|| serde_json::from_value(mapping)).transpose()?,
    };
    Ok(hooks.add(client, new, now).await?)
}

fn outgoing_event(number: u32, document: uuid::Uuid, status: Status) -> Option<OutgoingEvent> {
    let mut update = Update::new(format!("demo{number:08x}").parse().ok()?, status);
    update.title = Some(format!("document {number:08x}.docx"));
    if status == Status::Error {
        update.error = Some(VendorError { code: "2".into(), message: "source file error".into() });
    }
    Some(OutgoingEvent {
        message_id: format!("demo-{number:08x}-{status}"),
        update,
        document_id: document.to_string(),
        notification: "demo".into(),
        time: Timestamp::now(),
        event: None,
    })
}

/// Sample webhooks from the documentation of each vendor.
fn sample_commands(vendor: Vendor, hook: &str) -> Vec<(&'static str, String)> {
    let post = |body: &str| format!("curl -H 'Content-Type: application/json' -d '{body}' {hook}");
    let task = |code: &str, detail: &str| {
        post(&format!(
            r#"{{"taskId":"1c1cf10b-d9e6-4927-b75e-dddf6b441445","code":"{code}","detail":{{{detail},"filename":"demo-docx.pdf"}}}}"#
        ))
    };
    match vendor {
        Vendor::Ppj => vec![
            ("# PPJ: a job is complete", format!("curl '{hook}?type=complete&token=8v9iSKnj&code=0'")),
            (
                "# PPJ verifies the address: the nonce comes back, nothing is stored",
                format!("curl '{hook}?type=verify&timestamp=1489820220&nonce=7bzaglsx2y1nmujw'"),
            ),
        ],
        Vendor::Baidu => vec![(
            "# Baidu DOC: a document is published",
            post(
                r#"{"messageId":"m-1","messageBody":"{\"documentId\":\"doc-gkideq542yb44diy\",\"title\":\"doc_title\",\"status\":\"PUBLISHED\",\"publishInfo\":{\"pageCount\":1,\"sizeInBytes\":33,\"publishTime\":\"2016-12-08T08:45:37Z\"},\"notifyTime\":\"2016-12-08T08:45:37Z\"}","notification":"doc_notification","server":"doc.bj.baidubce.com"}"#,
            ),
        )],
        Vendor::Zoffice => vec![
            (
                "# zOffice: a task has succeeded",
                task(
                    "TaskSuccessNotify",
                    r#""taskStatus":"SUCCESS","defaultDownloadPath":"/docs/open/v1/convert/download","contentId":"640eeac02a9baf5dbc69d426""#,
                ),
            ),
            (
                "# zOffice: a task has failed",
                task("TaskFailNotify", r#""taskStatus":"FAIL","msg":"conversion format err""#),
            ),
        ],
        Vendor::Gini => vec![(
            "# Gini: a document is processed",
            post(r#"{"documentId":"626626a0-749f-11e2-bfd6-000000000000","status":"COMPLETED"}"#),
        )],
        Vendor::Standard => vec![(
            "# Standard Webhooks, from any vendor",
            format!(
                "curl -H 'Content-Type: application/json' -H 'webhook-id: msg-1' -d '{}' {hook}",
                r#"{"type":"document.completed","timestamp":"2026-01-01T00:00:00Z","data":{"vendorId":"job-1","title":"a document"}}"#
            ),
        )],
        Vendor::Generic => {
            vec![("# Any JSON, as the hook's mapping reads it", post(r#"{"vendorId":"job-1","status":"done"}"#))]
        }
    }
}
