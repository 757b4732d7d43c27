//! `docrelay doctor`: checks whether a relay responds at a URL, and whether a proxy on the way buffers, changes or cuts
//! its streams. Sends the requests and orders the checks; the checks themselves are in the files of `doctor/`.
//! `--broker` checks the NATS servers of a cluster.

mod broker;
mod checks;
mod report;
mod stream_timing;
#[cfg(test)]
mod tests;
mod token_claims;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{anyhow, ensure};
use reqwest::header::HeaderMap;
use reqwest::{Client, ClientBuilder, Response, Url};
use tokio::time::{Instant, timeout, timeout_at};

use self::report::{DoctorReport, Finding, duration_text};
use self::stream_timing::{StreamTiming, WatchEnd};
use self::token_claims::{TokenClaims, TokenPlace};
use super::io::{TOKEN_VARIABLE, read_secret};
use crate::domain::Timestamp;

/// Diagnose the connection to a relay: proxies that buffer, compress, change or cut its streams; and the NATS servers
/// of a cluster.
///
/// Prints one line per check: ok, warn or fail, and the remedy. The token comes from the environment variable
/// DOCRELAY_TOKEN, from --token-file, or from the URL. The exit code is 1 if a check fails.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct DoctorArgs {
    /// URL of the relay or of its stream: https://relay.example or https://relay.example/events/client
    #[arg(required_unless_present = "broker")]
    url: Option<String>,
    /// Monitoring address of a NATS server, such as http://host:8222: checks whether it flushes each write; once per
    /// server
    #[arg(long, value_name = "URL", value_parser = http_url)]
    broker: Vec<Url>,
    /// File that contains the token; - is the standard input
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// How long to watch the idle stream, from 1s to 1h; 40s is enough for two keepalives
    #[arg(long, value_name = "TIME", default_value = "40s", value_parser = idle)]
    idle: Duration,
}

fn http_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|u| matches!(u.scheme(), "http" | "https"));
    url.ok_or_else(|| "must begin with http:// or https://".to_owned())
}

fn idle(text: &str) -> Result<Duration, String> {
    let idle = humantime::parse_duration(text).map_err(|e| e.to_string())?;
    let fits = (Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&idle);
    if fits { Ok(idle) } else { Err("must be from 1s to 1h".to_owned()) }
}

/// Longer waits are findings.
#[derive(Debug, Clone, Copy)]
struct WaitLimits {
    /// For the head of a response, and for the first byte of a stream.
    response: Duration,
    /// For the first byte of a stream, beyond what a short response takes.
    network_delay: Duration,
    /// The longest time between two bytes of an open stream.
    keepalive_gap: Duration,
}

/// A relay sends a keepalive every 15 seconds by default (`idle_interval`).
const WAIT_LIMITS: WaitLimits = WaitLimits {
    response: Duration::from_secs(10),
    network_delay: Duration::from_secs(1),
    keepalive_gap: Duration::from_secs(20),
};

/// The refusal of a request without a token is shorter.
const MAX_SHORT_BODY_BYTES: usize = 16 << 10;

/// The remedy for a proxy that buffers.
const DISABLE_BUFFERING: &str = "disable that (proxy_buffering off, in nginx)";

/// Prints the findings; an error if a check failed.
pub(super) async fn run(args: DoctorArgs) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    let mut report = DoctorReport::new(&mut out);
    let client = super::http_client(|client: ClientBuilder| client.connect_timeout(WAIT_LIMITS.response))?;
    for address in &args.broker {
        report.add(broker::flushing(&client, address, WAIT_LIMITS.response).await)?;
    }
    if let Some(url) = &args.url {
        let token = read_secret("token", args.token_file.as_deref(), TOKEN_VARIABLE)?;
        Doctor::new(url, args.idle, client, token, WAIT_LIMITS)?.examine(&mut report).await?;
    }
    match report.failed() {
        0 => Ok(()),
        1 => anyhow::bail!("1 check failed"),
        failed => anyhow::bail!("{failed} checks failed"),
    }
}

struct Doctor {
    client: Client,
    url: Url,
    token: Option<String>,
    idle: Duration,
    limits: WaitLimits,
}

enum NoResponse {
    /// No connection, or no TLS session.
    Unreachable(reqwest::Error),
    /// A connection, but no response within [`WaitLimits::response`].
    TimedOut,
}

/// A response whose body is still to be read.
struct TimedResponse {
    response: Response,
    /// From the request to the head of the response.
    took: Duration,
}

/// The response to a request without a token.
struct ShortResponse {
    headers: HeaderMap,
    took: Duration,
}

impl Doctor {
    fn new(
        url: &str,
        idle: Duration,
        client: Client,
        token: Option<String>,
        limits: WaitLimits,
    ) -> anyhow::Result<Self> {
        let mut url = http_url(url).map_err(|e| anyhow!("the URL of the relay {e}"))?;
        ensure!(url.username().is_empty() && url.password().is_none(), "the URL must not contain a password");
        if !url.path().ends_with("/events/client") {
            url.set_path(&format!("{}/events/client", url.path().trim_end_matches('/')));
        }
        Ok(Self { client, url, token, idle, limits })
    }

    async fn examine(&self, report: &mut DoctorReport<'_>) -> std::io::Result<()> {
        let Some(short) = self.check_without_token(report).await? else { return Ok(()) };
        report.add_all(checks::clock_skew(&short.headers, Timestamp::now()))?;
        if self.url.scheme() == "https" {
            report.add(checks::http2(&self.url, self.limits.response).await)?;
        } else if !self.is_local() {
            report.add(Finding::warn("the URL is http://, so proxies can read tokens and events: use https://"))?;
        }
        let Some(claims) = self.token_claims() else {
            report.add_all(checks::proxy_headers(&short.headers))?;
            return report.add(Finding::fail(format!(
                "there is no token, so the stream cannot be checked: set {TOKEN_VARIABLE} or use --token-file"
            )));
        };
        self.check_stream(&claims, short.took, report).await
    }

    fn is_local(&self) -> bool {
        let is_loopback = |host: &str| host == "localhost" || host.starts_with("127.") || host == "[::1]";
        self.url.host_str().is_some_and(is_loopback)
    }

    fn token_claims(&self) -> Option<TokenClaims> {
        if let Some(token) = &self.token {
            return Some(TokenClaims::decode(token, TokenPlace::Header));
        }
        let (_, token) = self.url.query_pairs().find(|(name, value)| is_token(name) && !value.is_empty())?;
        Some(TokenClaims::decode(&token, TokenPlace::Query))
    }

    async fn get(&self, url: Url, token: Option<&str>) -> Result<TimedResponse, NoResponse> {
        // The encodings that browsers accept, so that a proxy that compresses for browsers also compresses here.
        let mut request = self.client.get(url).header("accept-encoding", "gzip, deflate, br, zstd");
        request = request.header("accept", "text/event-stream").header("cache-control", "no-store");
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let sent = Instant::now();
        match timeout(self.limits.response, request.send()).await {
            Ok(Ok(response)) => Ok(TimedResponse { response, took: sent.elapsed() }),
            // The URL may contain a token.
            Ok(Err(error)) => Err(NoResponse::Unreachable(error.without_url())),
            Err(_) => Err(NoResponse::TimedOut),
        }
    }

    /// A request without a token gets a short response that ends at once. It tells whether the relay is reachable, even
    /// behind a proxy that delays streams. `None` if no further check is possible.
    async fn check_without_token(&self, report: &mut DoctorReport<'_>) -> std::io::Result<Option<ShortResponse>> {
        let mut url = self.url.clone();
        let other_pairs: Vec<_> = self.url.query_pairs().filter(|(name, _)| !is_token(name)).collect();
        url.set_query(None);
        if !other_pairs.is_empty() {
            url.query_pairs_mut().extend_pairs(other_pairs);
        }
        let shown = url.to_string();
        let TimedResponse { response, took } = match self.get(url, None).await {
            Ok(response) => response,
            Err(error) => return report.add(self.unreachable(&shown, &error)).map(|()| None),
        };
        let headers = response.headers().clone();
        let unusable = checks::not_docrelay(response.status(), &headers).or_else(|| checks::compression(&headers));
        if let Some(finding) = unusable {
            return report.add(finding).map(|()| None);
        }
        let Some(body) = self.read_short_body(response).await else {
            report.add(Finding::fail("a response that ends at once stays open: a proxy delays its end"))?;
            return Ok(Some(ShortResponse { headers, took }));
        };
        let finding = match stream_timing::refusal(body).await.as_deref() {
            Some("auth_required") => {
                report.add(Finding::ok(format!("the relay responds at {shown} after {}", duration_text(took))))?;
                return Ok(Some(ShortResponse { headers, took }));
            }
            Some("not_accepted") => Finding::fail(token_claims::NOT_ACCEPTED),
            _ => Finding::fail(format!(
                "{shown} responds with an event stream, but not one of docrelay: is the URL right?"
            )),
        };
        report.add(finding).map(|()| None)
    }

    /// The first bytes of a body, or all of it if it is short. `None` if it does not end in time.
    async fn read_short_body(&self, mut response: Response) -> Option<Vec<u8>> {
        let deadline = Instant::now() + self.limits.response;
        let mut body = Vec::new();
        loop {
            match timeout_at(deadline, response.chunk()).await.ok()? {
                Ok(Some(chunk)) if body.len() < MAX_SHORT_BODY_BYTES => body.extend_from_slice(&chunk),
                // Too long, complete, or broken off: the caller judges what has arrived.
                Ok(_) | Err(_) => return Some(body),
            }
        }
    }

    /// Opens the stream and checks its head, its opening and its idle time. `short_took` is how long the head of a
    /// short response took.
    async fn check_stream(
        &self,
        claims: &TokenClaims,
        short_took: Duration,
        report: &mut DoctorReport<'_>,
    ) -> std::io::Result<()> {
        let TimedResponse { mut response, took } = match self.get(self.url.clone(), self.token.as_deref()).await {
            Ok(response) => response,
            Err(NoResponse::TimedOut) => {
                return report.add(Finding::fail(format!(
                    "buffered: a short response arrived after {}, that of an open stream not within {}: a proxy waits for its end; \
                     {DISABLE_BUFFERING}",
                    duration_text(short_took),
                    duration_text(self.limits.response)
                )));
            }
            Err(error) => return report.add(self.unreachable(&self.url_without_query(), &error)),
        };
        if let Some(finding) = checks::not_docrelay(response.status(), response.headers()) {
            return report.add(finding);
        }
        report.add_all(checks::proxy_headers(response.headers()))?;
        if let Some(finding) = checks::compression(response.headers()) {
            return report.add(finding);
        }
        let mut timing = StreamTiming::new(Instant::now(), self.limits);
        let opening = timeout(self.limits.response, async {
            while !timing.is_open() && timing.refusal().is_none() {
                let Ok(Some(chunk)) = response.chunk().await else { return };
                timing.receive(chunk, Instant::now());
            }
        });
        let timed_out = opening.await.is_err();
        if let Some(code) = timing.refusal() {
            return report.add(Finding::fail(claims.explain_refusal(code, Timestamp::now())));
        }
        if let Some(reason) = timing.capacity_comment() {
            return report.add(Finding::fail(format!(
                "the relay has no capacity for this stream ({reason}): see max_followers, and try again"
            )));
        }
        let Some(first_byte) = timing.first_byte() else {
            return report.add(Finding::fail(if timed_out {
                format!(
                    "buffered: the head arrived, but the empty line that follows it did not arrive within {}: a proxy collects bytes; \
                     {DISABLE_BUFFERING}",
                    duration_text(self.limits.response)
                )
            } else {
                "the stream ended before its first byte: a proxy ends it".to_owned()
            }));
        };
        let delay = took.saturating_sub(short_took) + first_byte;
        report.add(if delay > self.limits.network_delay {
            Finding::fail(format!(
                "buffered: the first byte of the stream arrived {} later than a short response: a proxy delays it; {DISABLE_BUFFERING}",
                duration_text(delay)
            ))
        } else {
            Finding::ok(format!("the first byte of the stream arrived {} after its head", duration_text(first_byte)))
        })?;
        if timing.is_rewritten() {
            report.add(Finding::fail(
                "transformed: the stream does not begin like one of docrelay: a proxy changes its lines",
            ))?;
        }
        report.add_all(claims.check_accepted(Timestamp::now(), self.idle))?;
        self.watch_idle(response, timing, claims, report).await
    }

    /// Watches the open stream for [`DoctorArgs::idle`]. No event is needed.
    async fn watch_idle(
        &self,
        mut response: Response,
        mut timing: StreamTiming,
        claims: &TokenClaims,
        report: &mut DoctorReport<'_>,
    ) -> std::io::Result<()> {
        let deadline = timing.started() + self.idle;
        let end = loop {
            match timeout_at(deadline, response.chunk()).await {
                Err(_) => break WatchEnd::TimeElapsed,
                Ok(Ok(Some(chunk))) => timing.receive(chunk, Instant::now()),
                Ok(Ok(None) | Err(_)) => break WatchEnd::Disconnected,
            }
        };
        report.add(match timing.refusal() {
            Some(code) => Finding::fail(claims.explain_refusal(code, Timestamp::now())),
            None => timing.finding(end, Instant::now()),
        })
    }

    /// The URL without its query, which may contain a token.
    fn url_without_query(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.to_string()
    }

    fn unreachable(&self, shown: &str, error: &NoResponse) -> Finding {
        let error = match error {
            NoResponse::TimedOut => {
                return Finding::fail(format!(
                    "{shown} accepts the connection and does not respond within {}: a proxy that cannot reach the relay or buffers \
                     responses, or another program",
                    duration_text(self.limits.response)
                ));
            }
            NoResponse::Unreachable(error) => error,
        };
        let mut cause: &dyn std::error::Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        let text = cause.to_string();
        let remedy = if text.contains("certificate") || text.contains("UnknownIssuer") {
            "fix the certificate, or make this machine trust its issuer"
        } else if text.contains("InvalidContentType") || text.contains("corrupt message") {
            "is it http:// instead of https://?"
        } else {
            "check the name and the port, and that the relay is running"
        };
        Finding::fail(format!("{shown} cannot be reached: {text}: {remedy}"))
    }
}

fn is_token(name: &str) -> bool {
    name == "token" || name == "access_token"
}
