//! `docrelay send`: sends a webhook in the format of a vendor and prints the response. Tests an installation without the
//! vendor. `send/compose.rs` builds the request.

mod compose;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::Value;

use super::secret;
use super::terminal::sanitize_lines;
use crate::domain::{Encoding, Status, Timestamp, Vendor, VendorId};
use crate::vendor::{Edition, Mode, OutgoingRequest};

/// The environment variable that holds the hook's secret.
const SECRET_VARIABLE: &str = "DOCRELAY_HOOK_SECRET";

/// As long as PPJ waits; the other vendors wait less.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// How much of a response is read and printed; the limit for responses to deliveries is the same.
const MAX_RESPONSE_BYTES: usize = 16 * 1024;

/// Send a webhook like a vendor's to a hook and print the response.
///
/// The hook's secret comes from the environment variable DOCRELAY_HOOK_SECRET or from --secret-file, never from a flag.
/// Without a secret, the webhook has no signature or credentials. The exit code is 1 if the status is not 2xx.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct SendArgs {
    /// Vendor whose format is sent
    #[arg(value_parser = one_of(&Vendor::ALL, Vendor::as_str))]
    vendor: Vendor,
    /// URL of the hook, as printed by `docrelay hook add`
    hook_url: String,
    /// Vendor's identifier of the job; by default a random one in the vendor's format
    #[arg(long, value_name = "VENDOR_ID")]
    id: Option<VendorId>,
    /// Status of the job
    #[arg(long, default_value = "completed", value_parser = one_of(&STATUSES, |s| s.0).map(|s| s.1))]
    status: Status,
    /// Title or file name, if the format has one
    #[arg(long)]
    title: Option<String>,
    /// Error code; only with --status error
    #[arg(long, value_name = "CODE")]
    error_code: Option<String>,
    /// Error message; only with --status error
    #[arg(long, value_name = "TEXT")]
    error_message: Option<String>,
    /// Edition of PPJ's format; by default B with a secret, A without
    #[arg(long, value_parser = one_of(&Edition::ALL, Edition::as_str), ignore_case = true)]
    edition: Option<Edition>,
    /// Send PPJ's verification request and check that the response contains the nonce
    #[arg(long)]
    verify: bool,
    /// Variant of the standard format
    #[arg(long, value_parser = one_of(&MODES, |m| m.0).map(|m| m.1))]
    mode: Option<Mode>,
    /// File that contains the hook's secret; - is the standard input
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// How the secret is used; by default as the vendor uses it (zoffice: authorization)
    #[arg(long, value_name = "TYPE", value_parser = PROOFS)]
    proof: Option<String>,
    /// Header of the hmac-sha256 signature
    #[arg(long, value_name = "NAME", default_value = "X-Signature")]
    signature_header: String,
    /// Text before the hmac-sha256 signature, such as sha256=
    #[arg(long, value_name = "TEXT", default_value = "")]
    signature_prefix: String,
    /// Encoding of the hmac-sha256 signature
    #[arg(long, default_value = "hex", value_parser = one_of(&ENCODINGS, |e| e.0).map(|e| e.1))]
    signature_encoding: Encoding,
}

const STATUSES: [(&str, Status); 3] =
    [("completed", Status::Completed), ("error", Status::Error), ("pending", Status::Pending)];
const MODES: [(&str, Mode); 3] =
    [("webhook", Mode::Webhook), ("structured", Mode::Structured), ("binary", Mode::Binary)];
const ENCODINGS: [(&str, Encoding); 2] = [("hex", Encoding::Hex), ("base64", Encoding::Base64)];
const PROOFS: [&str; 7] = ["none", "ppj", "baidu", "cookie", "authorization", "standard", "hmac-sha256"];

/// Parses one of these values by name, in any case; `--help` lists the names.
fn one_of<T: Copy + Send + Sync + 'static>(
    all: &'static [T],
    name: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(all.iter().map(|t| name(*t)))
        .try_map(move |text| all.iter().copied().find(|t| name(*t).eq_ignore_ascii_case(&text)).ok_or("unknown value"))
}

/// Sends one webhook; a status other than 2xx is an error.
pub(super) async fn run(args: SendArgs) -> anyhow::Result<()> {
    let secret = secret::read(args.secret_file.as_deref(), SECRET_VARIABLE)?;
    send(&args, secret.as_deref(), Timestamp::now(), &mut std::io::stdout(), &mut std::io::stderr()).await
}

async fn send(
    args: &SendArgs,
    secret: Option<&str>,
    now: Timestamp,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> anyhow::Result<()> {
    let composed = compose::compose(args, secret, now)?;
    writeln!(err, "{}", composed.summary)?;
    let (status, body) = exchange(composed.request, out).await?;
    anyhow::ensure!(status.is_success(), "the hook responded {status}");
    if let Some(nonce) = composed.nonce {
        let response: Value = serde_json::from_slice(&body).unwrap_or_default();
        let is_verified = response["nonce"].as_str() == Some(&nonce);
        anyhow::ensure!(is_verified, "the response does not contain the nonce {nonce}: ppj would refuse this URL");
        writeln!(err, "the response contains the nonce: ppj would accept this URL")?;
    }
    Ok(())
}

/// Sends the request, prints the response, and returns its status and body.
async fn exchange(request: OutgoingRequest, out: &mut dyn Write) -> anyhow::Result<(reqwest::StatusCode, Vec<u8>)> {
    let client = super::http_client(|client| client.timeout(RESPONSE_TIMEOUT))?;
    let mut builder = client.request(request.method, &request.url).body(request.body);
    for (name, value) in &request.headers {
        builder = builder.header(name, value.as_bytes());
    }
    // The URL contains the hook's key.
    let failed = |e: reqwest::Error, what| anyhow::Error::new(e.without_url()).context(what);
    let mut response = builder.send().await.map_err(|e| failed(e, "the hook cannot be reached"))?;
    let status = response.status();
    writeln!(out, "{:?} {status}", response.version())?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| failed(e, "the response broke off"))? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_RESPONSE_BYTES {
            body.truncate(MAX_RESPONSE_BYTES);
            break;
        }
    }
    writeln!(out, "{}", sanitize_lines(String::from_utf8_lossy(&body).trim_end()))?;
    Ok((status, body))
}

#[cfg(test)]
mod tests;
