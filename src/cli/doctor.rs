//! `docrelay doctor`: is there a relay at this address, and does anything between here and it hold back, change or cut
//! a stream? Asks and listens; what it makes of what it hears stands in the files beside it.

mod finding;
mod head;
mod passport;
mod protocol;
mod pulse;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use reqwest::header::HeaderMap;
use reqwest::{Client, ClientBuilder, Response, Url};
use tokio::time::{Instant, timeout, timeout_at};

use self::finding::{Report, seconds};
use self::passport::Passport;
use self::pulse::{Ending, Pulse};
use super::secret;
use super::tail::TOKEN_VARIABLE;
use crate::domain::Timestamp;

/// Look for what is wrong between here and a relay: what buffers, compresses, changes or cuts its streams.
///
/// Each finding is one line: ok, warn or fail, and what to change. The token comes from the environment variable
/// DOCRELAY_TOKEN, from --token-file, or from the address. The exit code is 1 when something fails.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// The relay's address, or its stream's: https://relay.example or https://relay.example/events/client
    url: String,
    /// A file that holds the token; - is the standard input.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// How long to listen to the idle stream; 40 seconds have two of its keep-alive lines.
    #[arg(long, value_name = "TIME", default_value = "40s", value_parser = idle)]
    idle: Duration,
}

fn idle(text: &str) -> Result<Duration, String> {
    let idle = humantime::parse_duration(text).map_err(|e| e.to_string())?;
    let fits = (Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&idle);
    if fits { Ok(idle) } else { Err("from 1s to 1h".to_owned()) }
}

/// How long things may take before they are a finding.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// For an answer to begin.
    answer: Duration,
    /// More than the network can be blamed for.
    lull: Duration,
    /// Between two keep-alive lines.
    silence: Duration,
}

/// A relay sends an empty line every 15 seconds, unless it is configured otherwise.
const PATIENCE: Patience =
    Patience { answer: Duration::from_secs(10), lull: Duration::from_secs(1), silence: Duration::from_secs(20) };

/// The most that is read of an answer that should be short.
const SHORT: usize = 16 << 10;

/// Says what it finds; an error when something fails.
pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let token = secret::read(args.token_file.as_deref(), TOKEN_VARIABLE)?;
    let doctor = Doctor::new(&args, token, PATIENCE)?;
    let mut out = std::io::stdout();
    let mut report = Report::new(&mut out);
    doctor.examine(&mut report).await?;
    match report.failed() {
        0 => Ok(()),
        1 => anyhow::bail!("one thing has to be changed"),
        many => anyhow::bail!("{many} things have to be changed"),
    }
}

struct Doctor {
    client: Client,
    url: Url,
    token: Option<String>,
    idle: Duration,
    patience: Patience,
}

/// Why there is nothing to look at.
enum Silence {
    /// The network, or TLS.
    Unreachable(reqwest::Error),
    /// A connection, and then nothing.
    NoAnswer,
}

/// An answer whose body has not been read, and how long its head took.
struct Answer {
    response: Response,
    took: Duration,
}

impl Doctor {
    fn new(args: &Args, token: Option<String>, patience: Patience) -> anyhow::Result<Self> {
        let url = Url::parse(&args.url).ok().filter(|u| matches!(u.scheme(), "http" | "https"));
        let mut url = url.context("the relay's address must begin with http:// or https://")?;
        ensure!(url.username().is_empty() && url.password().is_none(), "the address must not hold a password");
        if !url.path().ends_with("/events/client") {
            url.set_path(&format!("{}/events/client", url.path().trim_end_matches('/')));
        }
        let client = super::http_client(|client: ClientBuilder| client.connect_timeout(patience.answer))?;
        Ok(Self { client, url, token, idle: args.idle, patience })
    }

    async fn examine(&self, report: &mut Report<'_>) -> std::io::Result<()> {
        let Some(first) = self.without_token(report).await? else { return Ok(()) };
        if let Some(date) = head::clock(&first.headers, Timestamp::now()) {
            report.add(date)?;
        }
        if self.url.scheme() == "https" {
            report.add(protocol::http2(&self.url, self.patience.answer).await)?;
        } else if !self
            .url
            .host_str()
            .is_some_and(|host| host == "localhost" || host.starts_with("127.") || host == "[::1]")
        {
            report.warn("the address is http://, so whoever is in between reads tokens and events: use https://")?;
        }
        let Some(passport) = self.passport() else {
            report.all(head::transport(&first.headers))?;
            return report.fail(&format!(
                "there is no token, so the stream itself cannot be looked at: set {TOKEN_VARIABLE}, or name a file with --token-file"
            ));
        };
        self.with_token(&passport, first.took, report).await
    }

    /// The token, as far as it can be read by somebody who cannot check it.
    fn passport(&self) -> Option<Passport> {
        let in_address = || self.url.query_pairs().find(|(name, value)| is_token(name) && !value.is_empty());
        match &self.token {
            Some(token) => Some(Passport::read(token, false)),
            None => in_address().map(|(_, token)| Passport::read(&token, true)),
        }
    }

    async fn ask(&self, url: Url, token: Option<&str>) -> Result<Answer, Silence> {
        // What browsers say, so that whatever compresses for browsers does so here.
        let mut request =
            self.client.get(url).header("accept", "text/event-stream").header("cache-control", "no-store");
        request = request.header("accept-encoding", "gzip, deflate, br, zstd");
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let began = Instant::now();
        match timeout(self.patience.answer, request.send()).await {
            Ok(Ok(response)) => Ok(Answer { response, took: began.elapsed() }),
            // The address may hold a token: errors are told without it.
            Ok(Err(error)) => Err(Silence::Unreachable(error.without_url())),
            Err(_) => Err(Silence::NoAnswer),
        }
    }

    /// A relay's answer to nobody is short and ends at once: it shows whether a relay is there at all, whatever happens
    /// to streams. `None` when there is nothing more to look at.
    async fn without_token(&self, report: &mut Report<'_>) -> std::io::Result<Option<Short>> {
        let mut url = self.url.clone();
        let kept: Vec<_> = self.url.query_pairs().filter(|(name, _)| !is_token(name)).collect();
        url.set_query(None);
        if !kept.is_empty() {
            url.query_pairs_mut().extend_pairs(kept);
        }
        let shown = url.to_string();
        let answer = match self.ask(url, None).await {
            Ok(answer) => answer,
            Err(silence) => return report.fail(&unreachable(&shown, &silence, self.patience)).map(|()| None),
        };
        if let Some(stranger) = head::stranger(answer.response.status(), answer.response.headers()) {
            return report.add(stranger).map(|()| None);
        }
        if let Some(compressed) = head::compressed(answer.response.headers()) {
            return report.add(compressed).map(|()| None);
        }
        let headers = answer.response.headers().clone();
        let body = self.short(answer.response).await;
        let word = body.as_deref().and_then(pulse::refusal);
        match word.as_deref() {
            Some("auth_required") => {
                report.ok(&format!("a relay answers at {shown} after {}", seconds(answer.took)))?;
                Ok(Some(Short { headers, took: answer.took }))
            }
            Some("not_accepted") => report.fail(passport::NOT_ACCEPTED).map(|()| None),
            _ if body.is_none() => {
                report.fail("an answer that should end at once does not: something in between keeps it open")?;
                Ok(Some(Short { headers, took: answer.took }))
            }
            _ => {
                let text =
                    format!("{shown} answers with an event stream, but not as docrelay does: is it another program's?");
                report.fail(&text).map(|()| None)
            }
        }
    }

    /// A body that ends by itself, as far as it is a short one.
    async fn short(&self, mut response: Response) -> Option<Vec<u8>> {
        let deadline = Instant::now() + self.patience.answer;
        let mut body = Vec::new();
        loop {
            match timeout_at(deadline, response.chunk()).await.ok()? {
                Ok(Some(piece)) if body.len() < SHORT => body.extend_from_slice(&piece),
                // Too long, at its end, or broken off: what is there is looked at.
                Ok(_) | Err(_) => return Some(body),
            }
        }
    }

    async fn with_token(&self, passport: &Passport, usual: Duration, report: &mut Report<'_>) -> std::io::Result<()> {
        let held = "proxy_buffering off; in nginx, or its like";
        let answer = match self.ask(self.url.clone(), self.token.as_deref()).await {
            Ok(answer) => answer,
            Err(Silence::NoAnswer) => {
                return report.fail(&format!(
                    "buffered: a short answer came after {}, that of an open stream not within {}: something in between waits for \
                     its end; turn that off ({held})",
                    seconds(usual),
                    seconds(self.patience.answer)
                ));
            }
            Err(silence) => return report.fail(&unreachable(&self.shown(), &silence, self.patience)),
        };
        if let Some(stranger) = head::stranger(answer.response.status(), answer.response.headers()) {
            return report.add(stranger);
        }
        report.all(head::transport(answer.response.headers()))?;
        if let Some(compressed) = head::compressed(answer.response.headers()) {
            return report.add(compressed);
        }
        let mut response = answer.response;
        let mut pulse = Pulse::new(Instant::now(), self.patience);
        let opening = timeout(self.patience.answer, async {
            while !pulse.is_open() && pulse.refusal().is_none() {
                match response.chunk().await {
                    Ok(Some(piece)) => pulse.take(&piece, Instant::now()),
                    Ok(None) | Err(_) => return,
                }
            }
        });
        let in_time = opening.await.is_ok();
        if let Some(word) = pulse.refusal() {
            return report.fail(&passport.refused(word, Timestamp::now()));
        }
        if let Some(why) = pulse.busy() {
            return report
                .fail(&format!("the relay has no room for this stream ({why}): see max_followers, and try again"));
        }
        let first = pulse.first_byte();
        let late = answer.took.saturating_sub(usual) + first.unwrap_or_default();
        match first {
            None if !in_time => {
                report.fail(&format!(
                    "buffered: the head came, but within {} not the empty line that follows it at once: something in between \
                     collects bytes; turn that off ({held})",
                    seconds(self.patience.answer)
                ))?;
                return Ok(());
            }
            None => return report.fail("the stream ended before its first byte: something in between cuts it"),
            Some(_) if late > self.patience.lull => report.fail(&format!(
                "buffered: the first byte of the stream came {} later than a short answer does: something in between holds it \
                 back; turn that off ({held})",
                seconds(late)
            ))?,
            Some(_) => report.ok(&format!("the stream's first byte came {} after its head", seconds(first.unwrap_or_default())))?,
        }
        if pulse.is_rewritten() {
            report.fail(
                "transformed: the stream does not begin as docrelay begins it: something in between rewrites its lines",
            )?;
        }
        report.all(passport.accepted(Timestamp::now(), self.idle))?;
        self.listen(response, pulse, passport, report).await
    }

    /// Listens to a stream on which nothing need happen.
    async fn listen(
        &self,
        mut response: Response,
        mut pulse: Pulse,
        passport: &Passport,
        report: &mut Report<'_>,
    ) -> std::io::Result<()> {
        let deadline = pulse.began() + self.idle;
        let ending = loop {
            match timeout_at(deadline, response.chunk()).await {
                Err(_) => break Ending::Ours,
                Ok(Ok(Some(piece))) => pulse.take(&piece, Instant::now()),
                Ok(Ok(None) | Err(_)) => break Ending::Theirs,
            }
        };
        if let Some(word) = pulse.refusal() {
            return report.fail(&passport.refused(word, Timestamp::now()));
        }
        report.add(pulse.judge(ending, Instant::now()))
    }

    /// The address without its query, which may hold a token.
    fn shown(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.to_string()
    }
}

/// What is known from the short answer.
struct Short {
    headers: HeaderMap,
    took: Duration,
}

fn is_token(name: &str) -> bool {
    name == "token" || name == "access_token"
}

fn unreachable(shown: &str, silence: &Silence, patience: Patience) -> String {
    match silence {
        Silence::NoAnswer => format!(
            "{shown} takes the connection and does not answer within {}: a proxy that cannot reach the relay, or one that \
             buffers answers, or another program",
            seconds(patience.answer)
        ),
        Silence::Unreachable(error) => {
            let mut cause: &dyn std::error::Error = error;
            while let Some(deeper) = cause.source() {
                cause = deeper;
            }
            let text = cause.to_string();
            let advice = if text.contains("certificate") || text.contains("UnknownIssuer") {
                "mend the certificate, or have this machine trust its issuer"
            } else if text.contains("InvalidContentType") || text.contains("corrupt message") {
                "is it http:// instead of https://?"
            } else {
                "check the name and port, and whether the relay runs"
            };
            format!("{shown} cannot be reached: {text}: {advice}")
        }
    }
}

/// So that a finding can be written to whatever there is.
type Out<'a> = &'a mut dyn Write;
