//! `docrelay tail`: follows a stream in the terminal, or as JSON lines in a pipe. Resumes by itself where it was cut
//! off. How an event looks is the business of `tail/line.rs`.

mod line;

use std::io::{ErrorKind, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use futures::{StreamExt, TryStreamExt};
use reqwest::{ClientBuilder, Response, StatusCode, Url};
use serde_json::Value;
use sse_stream::{Sse, SseByteStream};

pub(super) use self::line::harmless;

use self::line::Look;
use super::secret;
use crate::domain::EventId;

/// The environment variable that holds the bearer token.
pub(super) const TOKEN_VARIABLE: &str = "DOCRELAY_TOKEN";

/// What EventSource implementations wait before they reconnect, until `retry:` says otherwise.
const RETRY: Duration = Duration::from_secs(3);

/// The longest wait, whatever `retry:` says and however often connecting failed.
const LONGEST: Duration = Duration::from_secs(120);

/// How long the relay may take to say where its log ends.
const HEAD: Duration = Duration::from_secs(10);

/// A stream that has brought nothing for so long is dead: a relay sends an empty line every 15 seconds.
const SILENCE: Duration = Duration::from_secs(90);

/// Follow a stream: one compact line for each event in a terminal, one line of JSON, with the event's id, in a pipe.
///
/// The token comes from the environment variable DOCRELAY_TOKEN, from --token-file, or from the address. A stream that
/// is cut off is resumed after the last event; standard error tells of it. The exit code is 1 when the relay refuses
/// the token. Colours are for terminals, and NO_COLOR turns them off.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// The stream's address: https://relay.example/events/client; the path may be left out.
    url: String,
    /// A file that holds the token; - is the standard input.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Where to begin: after the event of this id, or with the earliest that is retained. Live events only by default.
    #[arg(long, value_name = "ID|earliest", value_parser = position)]
    from: Option<String>,
}

fn position(text: &str) -> Result<String, String> {
    if text == "earliest" || text.parse::<EventId>().is_ok() {
        return Ok(text.to_owned());
    }
    Err("must be earliest, or the id of an event".to_owned())
}

/// Follows the stream until it is refused, the output is closed or the program is stopped.
pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let token = secret::read(args.token_file.as_deref(), TOKEN_VARIABLE)?;
    let look = match (std::io::stdout().is_terminal(), std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty())) {
        (false, _) => Look::Json,
        (true, true) => Look::Plain,
        (true, false) => Look::Colour,
    };
    let mut follower = Follower::new(&args, token, look)?;
    match follower.follow(&mut std::io::stdout(), &mut std::io::stderr()).await {
        // `docrelay tail … | head -1` has seen enough.
        Err(e) if e.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe) => Ok(()),
        other => other,
    }
}

/// One reader of one stream, over as many connections as it takes.
struct Follower {
    client: reqwest::Client,
    url: Url,
    token: Option<String>,
    look: Look,
    last_id: Option<String>,
    retry: Duration,
}

impl Follower {
    fn new(args: &Args, token: Option<String>, look: Look) -> anyhow::Result<Self> {
        let url = Url::parse(&args.url).ok().filter(|u| matches!(u.scheme(), "http" | "https"));
        let mut url = url.context("the stream's address must begin with http:// or https://")?;
        if url.path() == "/" {
            url.set_path("/events/client");
        }
        let limits = |client: ClientBuilder| client.connect_timeout(Duration::from_secs(10)).read_timeout(SILENCE);
        let client = super::http_client(limits)?;
        Ok(Self { client, url, token, look, last_id: args.from.clone(), retry: RETRY })
    }

    async fn follow(&mut self, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<()> {
        if self.last_id.is_none() {
            self.last_id = self.head().await;
        }
        // What fails at first is a mistake in the address; what fails later is a relay that comes back.
        let mut connection = Some(self.connect().await?);
        writeln!(err, "following {}", shown(&self.url))?;
        let mut failures = 0;
        loop {
            match connection {
                Some(response) => {
                    failures = 0;
                    self.listen(response, out, err).await?;
                    writeln!(err, "the stream ended: {}", self.outlook())?;
                }
                None => failures += 1,
            }
            tokio::time::sleep(self.pause(failures)).await;
            connection = match self.connect().await {
                Ok(response) => {
                    writeln!(err, "connected again")?;
                    Some(response)
                }
                Err(e) if e.is::<Refused>() => return Err(e),
                Err(e) => {
                    writeln!(err, "{e:#}: trying again")?;
                    None
                }
            };
        }
    }

    /// `retry:`, doubled with each failure in a row and jittered upward, so that a relay that comes back is not met by
    /// everybody at once.
    fn pause(&self, failures: u32) -> Duration {
        let base = self.retry.saturating_mul(1 << failures.min(10)).min(LONGEST);
        base + base.mul_f64(fastrand::f64() / 4.0)
    }

    /// Where the log ends now: a stream that begins there loses nothing, even when it is cut before its first event.
    /// `None` for a ticket, which may not ask, and wherever else there is no such answer: then it begins live.
    async fn head(&self) -> Option<String> {
        let mut address = self.url.clone();
        address.set_path(&format!("{}/documents", self.url.path().strip_suffix("/events/client")?));
        address.set_query(Some("limit=1"));
        let in_address = || self.url.query_pairs().find(|(name, _)| name == "token" || name == "access_token");
        let token = self.token.clone().or_else(|| in_address().map(|(_, token)| token.into_owned()))?;
        let response = self.client.get(address).bearer_auth(token).timeout(HEAD).send().await.ok()?;
        let response = response.error_for_status().ok()?;
        let answer: Value = serde_json::from_slice(&response.bytes().await.ok()?).ok()?;
        answer["lastEventId"].as_str()?.parse::<EventId>().ok().map(|id| id.to_string())
    }

    /// What comes after an end, for a person.
    fn outlook(&self) -> String {
        match &self.last_id {
            Some(id) => format!("resuming after {id}"),
            None => "no event has been seen, so what is told until it is open again is missed".to_owned(),
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
        // The address may hold a token: errors are told without it.
        let failed = |e: reqwest::Error| anyhow::Error::new(e.without_url()).context("the relay cannot be reached");
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        if status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT) {
            bail!("the relay answered {status}");
        }
        ensure!(status == StatusCode::OK, Refused(format!("the address answered {status}: is it a relay's stream?")));
        let media = response.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let is_stream = media.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/event-stream");
        ensure!(is_stream, Refused("the address answers, but not with an event stream: is the path right?".to_owned()));
        Ok(response)
    }

    /// Reads one connection to its end; an error only when it makes no sense to go on.
    async fn listen(&mut self, response: Response, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<()> {
        let bytes = response.bytes_stream().map_err(reqwest::Error::without_url);
        let mut blocks = SseByteStream::new(Box::pin(bytes));
        while let Some(block) = blocks.next().await {
            match block {
                Ok(block) => self.take(block, out, err)?,
                // A cut connection, or bytes that are not UTF-8: the log still has what was lost.
                Err(e) => {
                    writeln!(err, "the stream broke off: {e}")?;
                    break;
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, block: Sse, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<()> {
        if let Some(ms) = block.retry {
            self.retry = Duration::from_millis(ms).min(LONGEST);
        }
        match (block.event.as_deref().unwrap_or_default(), &block.data) {
            ("" | "message", Some(data)) => {
                writeln!(out, "{}", line::line(block.id.as_deref(), data, self.look))?;
                out.flush()?;
            }
            ("error", data) => {
                let word = line::harmless(data.as_deref().unwrap_or_default());
                bail!(Refused(format!("the relay refuses: {word}{}", advice(&word))));
            }
            ("reset", data) => {
                let why = line::harmless(data.as_deref().unwrap_or_default());
                writeln!(err, "reset: events are missing, going on from the earliest retained one: {why}")?;
            }
            _ => {}
        }
        // Only once it is printed is an event seen.
        if let Some(id) = block.id {
            self.last_id = Some(id).filter(|id| !id.is_empty());
        }
        Ok(())
    }
}

/// An answer that trying again will not change.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

/// An address without its query, which may hold a token.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}

fn advice(word: &str) -> &'static str {
    match word {
        "auth_required" => ": set DOCRELAY_TOKEN, or name a file with --token-file",
        "auth_failed" => {
            ": the token is expired, revoked or not this relay's, or lacks the scope events; `docrelay token` makes a new one"
        }
        "not_accepted" => ": something in between changes the Accept header",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
