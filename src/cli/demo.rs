//! The demo: a client with a hook of every vendor, and vendors that call now and then so that there is something to see.
//! The calls go through the relay's own public address, like any vendor's.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use serde_json::json;

use crate::app::Listening;
use crate::auth::Scopes;
use crate::domain::{ClientId, Hook, NewHook, Status, Timestamp, Update, Vendor, VendorError, Verify};
use crate::manage::Hooks;
use crate::vendor::{self, OutgoingEvent};

/// Between two calls.
const PAUSE: Duration = Duration::from_secs(3);

/// Between the calls of the first round, so that whoever looks has something of every vendor to see.
const BRISK: Duration = Duration::from_millis(200);

/// For how long the printed token is good.
const TOKEN_TTL: Duration = Duration::from_secs(24 * 3600);

/// What the demo has set up.
pub(super) struct Demo {
    token: String,
    hooks: Vec<(Vendor, String)>,
}

impl Demo {
    /// Finds or makes the client `demo` and its hooks.
    pub(super) async fn prepare(listening: &Listening) -> anyhow::Result<Self> {
        let id: ClientId = "demo".parse()?;
        let now = Timestamp::now();
        if listening.clients.get(&id).is_none() {
            listening.clients.add(id.clone(), now).await.context("cannot create the client of the demo")?;
        }
        let mut hooks = Vec::new();
        for vendor in Vendor::ALL {
            let hook = demo_hook(&listening.hooks, &id, vendor, now).await?;
            hooks.push((vendor, format!("{}/in/{}", listening.reached.public_url, hook.key.expose())));
        }
        let token = listening.keys.issue(&id, &Scopes::ALL, TOKEN_TTL, now)?;
        Ok(Self { token, hooks })
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// The address of a vendor's hook.
    pub(super) fn hook(&self, vendor: Vendor) -> &str {
        self.hooks.iter().find(|(v, _)| *v == vendor).map_or("", |(_, url)| url)
    }

    /// Calls like a vendor, one document after the other, for as long as the relay runs.
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let client = super::http_client(|client| client.timeout(super::PATIENCE))?;
        for round in 0_usize.. {
            let (place, pause) = match self.hooks.get(round) {
                Some(_) => (round, BRISK),
                None => (fastrand::usize(..self.hooks.len()), PAUSE),
            };
            let (vendor, url) = &self.hooks[place];
            let number = fastrand::u32(..);
            let document = uuid::Uuid::new_v4();
            for status in [Status::Pending, if fastrand::u8(..5) == 0 { Status::Error } else { Status::Completed }] {
                tokio::time::sleep(pause).await;
                // Some vendors tell of final states only.
                let Some(outgoing_event) = outgoing_event(number, document, status) else { continue };
                let Ok(call) = vendor::render(*vendor, &outgoing_event, url, &Verify::None {}, Timestamp::now()) else {
                    continue;
                };
                let mut request = client.request(call.method, &call.url).body(call.body);
                for (name, value) in call.headers {
                    request = request.header(name, value);
                }
                match request.send().await {
                    Ok(answer) if answer.status().is_success() => {}
                    Ok(answer) => tracing::warn!(%vendor, status = %answer.status(), "a call of the demo was refused"),
                    Err(error) => tracing::warn!(%vendor, error = %error.without_url(), "a call of the demo failed"),
                }
            }
        }
        Ok(())
    }
}

async fn demo_hook(hooks: &Hooks, client: &ClientId, vendor: Vendor, now: Timestamp) -> anyhow::Result<Hook> {
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
