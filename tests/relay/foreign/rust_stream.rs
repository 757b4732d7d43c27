//! Follows the stream of a relay with reqwest-eventsource, on a thread of the test. Writes a line for each opening,
//! event and refusal, as the clients in processes of their own do.

use std::sync::mpsc::{Receiver as Lines, SyncSender, sync_channel};
use std::time::Duration;

use futures::StreamExt;
use reqwest_0_12::Client;
use reqwest_eventsource::{Event, EventSource};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::harness::spawn_thread;

/// Three intervals of the idle lines: a connection that is silent for longer is dead.
const READ_TIMEOUT: Duration = Duration::from_secs(45);

/// Starts the client, which ends when the sender is dropped; returns the sender and the client's lines.
pub(super) fn start(origin: &str, token: &str) -> (oneshot::Sender<()>, Lines<String>) {
    let (origin, token) = (origin.to_owned(), token.to_owned());
    let (lines, written) = sync_channel(1000);
    let (stop, stopped) = oneshot::channel();
    spawn_thread("reqwest-eventsource", move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            tokio::select! {
                () = follow(&origin, &token, &lines) => {}
                _ = stopped => {}
            }
        });
    });
    (stop, written)
}

#[expect(clippy::disallowed_methods, reason = "the client under test brings its own version of the HTTP client")]
async fn follow(origin: &str, token: &str, lines: &SyncSender<String>) {
    let client = Client::builder().no_proxy().read_timeout(READ_TIMEOUT).build().expect("a client");
    let list = client.get(format!("{origin}/documents?limit=1")).bearer_auth(token).send().await.expect("a list");
    let list: Value = serde_json::from_str(&list.text().await.expect("a list")).expect("JSON");
    // The library takes no position from a block without data, as the opening is.
    let start = [("last_event_id", list["lastEventId"].as_str().expect("a position"))];
    let stream = client.get(format!("{origin}/events/client")).query(&start).bearer_auth(token);
    let mut stream = EventSource::new(stream).expect("a request without a body");
    while let Some(event) = stream.next().await {
        let line = match event {
            Ok(Event::Open) => "open".to_owned(),
            Ok(Event::Message(message)) => match message.event.as_str() {
                "message" => {
                    let event: Value = serde_json::from_str(&message.data).expect("JSON");
                    format!("event {}", event["documentId"].as_str().expect("a document"))
                }
                "error" => {
                    // Otherwise the library would connect again, and be refused again.
                    stream.close();
                    format!("refused {}", message.data)
                }
                other => format!("{other} {}", message.data),
            },
            // The connection was lost: the library reconnects.
            Err(_) => continue,
        };
        if lines.send(line).is_err() {
            return;
        }
    }
}
