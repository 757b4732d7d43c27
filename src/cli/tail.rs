//! `docrelay tail`: follows a stream and reconnects after a disconnect, from the last event that it printed. The format
//! of an event is in `tail/line.rs`.

mod line;

use std::io::{ErrorKind, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use anstream::AutoStream;
use anyhow::{Context, bail, ensure};
use futures::{StreamExt, TryStreamExt};
use reqwest::{ClientBuilder, Response, StatusCode, Url};
use serde_json::Value;
use sse_stream::{Sse, SseByteStream};

use self::line::EventFormat;
use super::io::{TOKEN_VARIABLE, read_secret, sanitize_line};
use crate::domain::EventId;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the response to the request for the end of the log may take.
const LOG_END_TIMEOUT: Duration = Duration::from_secs(10);

/// A stream without a byte for this long is dead: a relay sends a keepalive every 15 seconds by default.
const READ_TIMEOUT: Duration = Duration::from_secs(90);

/// The reconnection time until the first `retry:`, as in browsers.
const DEFAULT_RECONNECT_DELAY: Duration = Duration::from_secs(3);

/// The upper bound of the reconnection time, before jitter.
const MAX_RECONNECT_DELAY: Duration = Duration::from_secs(120);

/// Follow a stream: one compact line per event in a terminal, one line of JSON with the event's id in a pipe.
///
/// The token comes from the environment variable DOCRELAY_TOKEN, from --token-file, or from the URL. After a disconnect
/// the command reconnects and resumes after the last event; messages go to standard error. The exit code is 1 if the
/// relay refuses the token. In a terminal, NO_COLOR disables colours.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct TailArgs {
    /// URL of the stream: https://relay.example/events/client; the path may be omitted
    url: String,
    /// File that contains the token; - is the standard input
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Start after the event with this id, or with the earliest retained one; by default with the next new event
    #[arg(long, value_name = "ID|earliest", value_parser = position)]
    from: Option<String>,
}

fn position(text: &str) -> Result<String, String> {
    if text == "earliest" || text.parse::<EventId>().is_ok() {
        return Ok(text.to_owned());
    }
    Err("must be the id of an event, or earliest".to_owned())
}

/// Follows the stream until the relay refuses it or standard output is closed.
pub(super) async fn run(args: TailArgs) -> anyhow::Result<()> {
    let token = read_secret("token", args.token_file.as_deref(), TOKEN_VARIABLE)?;
    let (format, mut out): (_, Box<dyn Write>) = if std::io::stdout().is_terminal() {
        // Removes the colours if the terminal or NO_COLOR asks for it.
        (EventFormat::Compact, Box::new(AutoStream::auto(std::io::stdout())))
    } else {
        (EventFormat::Json, Box::new(std::io::stdout()))
    };
    let mut tail = TailSession::new(&args, token, format)?;
    match tail.follow(&mut out, &mut std::io::stderr()).await {
        // As in `docrelay tail … | head -1`.
        Err(e) if e.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe) => Ok(()),
        other => other,
    }
}

/// One stream over any number of connections.
struct TailSession {
    client: reqwest::Client,
    url: Url,
    token: Option<String>,
    format: EventFormat,
    /// `Last-Event-ID` of the next connection.
    last_id: Option<String>,
    /// The last `retry:`, at most [`MAX_RECONNECT_DELAY`].
    retry: Duration,
}

impl TailSession {
    fn new(args: &TailArgs, token: Option<String>, format: EventFormat) -> anyhow::Result<Self> {
        let url = Url::parse(&args.url).ok().filter(|u| matches!(u.scheme(), "http" | "https"));
        let mut url = url.context("the URL of the stream must begin with http:// or https://")?;
        if url.path() == "/" {
            url.set_path("/events/client");
        }
        let timeouts = |client: ClientBuilder| client.connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT);
        let client = super::http_client(timeouts)?;
        Ok(Self { client, url, token, format, last_id: args.from.clone(), retry: DEFAULT_RECONNECT_DELAY })
    }

    async fn follow(&mut self, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<()> {
        if self.last_id.is_none() {
            self.last_id = self.log_end().await;
        }
        // An error of the first connection ends the command: the URL is probably wrong. Later errors are retried.
        let mut connection = Some(self.connect().await?);
        writeln!(err, "following {}", without_query(&self.url))?;
        let mut failures = 0;
        loop {
            match connection {
                Some(response) => {
                    failures = 0;
                    self.read(response, out, err).await?;
                    writeln!(err, "the stream ended: {}", self.resume_note())?;
                }
                None => failures += 1,
            }
            tokio::time::sleep(self.reconnect_delay(failures)).await;
            connection = match self.connect().await {
                Ok(response) => {
                    writeln!(err, "reconnected")?;
                    Some(response)
                }
                Err(e) if e.is::<StreamRefused>() => return Err(e),
                Err(e) => {
                    writeln!(err, "{e:#}; retrying")?;
                    None
                }
            };
        }
    }

    /// `retry:`, doubled with each consecutive failure, plus up to a quarter of jitter so that the followers of a
    /// restarted relay do not all reconnect at once.
    fn reconnect_delay(&self, failures: u32) -> Duration {
        let base = self.retry.saturating_mul(1 << failures.min(10)).min(MAX_RECONNECT_DELAY);
        base + base.mul_f64(fastrand::f64() / 4.0)
    }

    /// The id of the newest event. A stream that starts after it misses nothing, even if the disconnect comes before
    /// its first event. `None` on any error, and for a ticket, which may not read documents: then the stream starts
    /// live.
    async fn log_end(&self) -> Option<String> {
        let mut url = self.url.clone();
        url.set_path(&format!("{}/documents", self.url.path().strip_suffix("/events/client")?));
        url.set_query(Some("limit=1"));
        let query_token = || self.url.query_pairs().find(|(name, _)| name == "token" || name == "access_token");
        let token = self.token.clone().or_else(|| query_token().map(|(_, token)| token.into_owned()))?;
        let response = self.client.get(url).bearer_auth(token).timeout(LOG_END_TIMEOUT).send().await.ok()?;
        let response = response.error_for_status().ok()?;
        let page: Value = serde_json::from_slice(&response.bytes().await.ok()?).ok()?;
        page["lastEventId"].as_str()?.parse::<EventId>().ok().map(|id| id.to_string())
    }

    fn resume_note(&self) -> String {
        match &self.last_id {
            Some(id) => format!("resuming after {id}"),
            None => "events until the reconnect are missed, because no event id is known".to_owned(),
        }
    }

    async fn connect(&self) -> anyhow::Result<Response> {
        let mut request = self.client.get(self.url.clone());
        request = request.header("accept", "text/event-stream").header("cache-control", "no-store");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(id) = &self.last_id {
            request = request.header("last-event-id", id);
        }
        // The URL may contain a token.
        let failed = |e: reqwest::Error| anyhow::Error::new(e.without_url()).context("the relay cannot be reached");
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        if status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT) {
            bail!("the relay responded {status}");
        }
        ensure!(
            status == StatusCode::OK,
            StreamRefused(format!("the URL responded {status}: is it the stream of a relay?"))
        );
        let media = response.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let is_stream = media.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/event-stream");
        ensure!(
            is_stream,
            StreamRefused("the URL responds, but not with an event stream: is the path right?".to_owned())
        );
        Ok(response)
    }

    /// Reads one connection to its end. An error ends the command.
    async fn read(&mut self, response: Response, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<()> {
        let bytes = response.bytes_stream().map_err(reqwest::Error::without_url);
        let mut blocks = SseByteStream::new(Box::pin(bytes));
        while let Some(block) = blocks.next().await {
            match block {
                Ok(block) => self.print_block(block, out, err)?,
                // A broken connection, or bytes that are not UTF-8: the next connection resumes from the log.
                Err(e) => {
                    writeln!(err, "the stream broke off: {e}")?;
                    break;
                }
            }
        }
        Ok(())
    }

    fn print_block(&mut self, block: Sse, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<()> {
        if let Some(ms) = block.retry {
            self.retry = Duration::from_millis(ms).min(MAX_RECONNECT_DELAY);
        }
        match (block.event.as_deref().unwrap_or_default(), &block.data) {
            ("" | "message", Some(data)) => {
                writeln!(out, "{}", line::line(block.id.as_deref(), data, self.format))?;
                out.flush()?;
            }
            ("error", data) => {
                let code = sanitize_line(data.as_deref().unwrap_or_default());
                bail!(StreamRefused(format!("the relay refuses the stream: {code}{}", remedy(&code))));
            }
            ("reset", data) => {
                let reason = sanitize_line(data.as_deref().unwrap_or_default());
                writeln!(err, "reset: events are missing; continuing with the earliest retained one: {reason}")?;
            }
            _ => {}
        }
        // After printing: an event that was not printed must be sent again.
        if let Some(id) = block.id {
            self.last_id = Some(id).filter(|id| !id.is_empty());
        }
        Ok(())
    }
}

/// A response that a retry does not change.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct StreamRefused(String);

/// The query may contain a token.
fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}

fn remedy(code: &str) -> &'static str {
    match code {
        "auth_required" => ": set DOCRELAY_TOKEN or use --token-file",
        "auth_failed" => {
            ": the token has expired, was revoked, is from another relay or lacks the scope events; `docrelay token` prints a new one"
        }
        "not_accepted" => ": a proxy changes the Accept header",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
