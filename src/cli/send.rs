//! `docrelay send`: plays a vendor against a hook, to try an installation without that vendor. Prints what the hook
//! answers; what is sent is composed in `send/compose.rs`.

mod compose;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::Value;

use super::secret;
use crate::domain::{Encoding, Status, Timestamp, Vendor, VendorId};
use crate::vendor::{Edition, Mode, OutgoingRequest};

/// The environment variable that holds the hook's secret.
const SECRET_VARIABLE: &str = "DOCRELAY_HOOK_SECRET";

/// As long as PPJ would wait, the most patient of the vendors.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is shown of an answer; as much as is kept of one that a notification gets.
const SHOWN: usize = 16 * 1024;

/// Play a vendor: send one message to a hook, and show what it answers.
///
/// The hook's secret comes from the environment variable DOCRELAY_HOOK_SECRET or from --secret-file, never from a flag.
/// Without one the message is sent unproven. The exit code is 1 when the answer is not 2xx.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// Whose format to send.
    #[arg(value_parser = words(&Vendor::ALL, Vendor::as_str))]
    vendor: Vendor,
    /// The hook's address, as `docrelay hook add` prints it.
    hook_url: String,
    /// The vendor's identifier of the job; a fresh one that looks like that vendor's by default.
    #[arg(long, value_name = "VENDOR_ID")]
    id: Option<VendorId>,
    /// What became of the job.
    #[arg(long, default_value = "completed", value_parser = words(&STATUSES, |s| s.0).map(|s| s.1))]
    status: Status,
    /// The title or file name, where the format has one.
    #[arg(long)]
    title: Option<String>,
    /// The error's code; only with --status error.
    #[arg(long, value_name = "CODE")]
    error_code: Option<String>,
    /// The error's message; only with --status error.
    #[arg(long, value_name = "TEXT")]
    error_message: Option<String>,
    /// The edition of PPJ's format: B when there is a secret, A when not.
    #[arg(long, value_parser = words(&Edition::ALL, Edition::as_str), ignore_case = true)]
    edition: Option<Edition>,
    /// Send PPJ's verification request instead, and check that the nonce comes back.
    #[arg(long)]
    verify: bool,
    /// How the standard format is written.
    #[arg(long, value_parser = words(&MODES, |m| m.0).map(|m| m.1))]
    mode: Option<Mode>,
    /// A file that holds the hook's secret; - is the standard input.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// How the secret proves the message: the vendor's own way by default (zoffice: authorization).
    #[arg(long, value_name = "TYPE", value_parser = PROOFS)]
    proof: Option<String>,
    /// The header of an hmac-sha256 proof.
    #[arg(long, value_name = "NAME", default_value = "X-Signature")]
    signature_header: String,
    /// What stands before the signature of an hmac-sha256 proof, such as sha256=.
    #[arg(long, value_name = "TEXT", default_value = "")]
    signature_prefix: String,
    /// How the signature of an hmac-sha256 proof is written.
    #[arg(long, default_value = "hex", value_parser = words(&ENCODINGS, |e| e.0).map(|e| e.1))]
    signature_encoding: Encoding,
}

const STATUSES: [(&str, Status); 3] =
    [("completed", Status::Completed), ("error", Status::Error), ("pending", Status::Pending)];
const MODES: [(&str, Mode); 3] =
    [("webhook", Mode::Webhook), ("structured", Mode::Structured), ("binary", Mode::Binary)];
const ENCODINGS: [(&str, Encoding); 2] = [("hex", Encoding::Hex), ("base64", Encoding::Base64)];
const PROOFS: [&str; 7] = ["none", "ppj", "baidu", "cookie", "authorization", "standard", "hmac-sha256"];

/// Parses one of a closed set of words, which `--help` lists.
fn words<T: Copy + Send + Sync + 'static>(
    all: &'static [T],
    name: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(all.iter().map(|t| name(*t)))
        .try_map(move |word| all.iter().copied().find(|t| name(*t).eq_ignore_ascii_case(&word)).ok_or("no such word"))
}

/// Sends one message; an answer other than 2xx is an error.
pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let secret = secret::read(args.secret_file.as_deref(), SECRET_VARIABLE)?;
    play(&args, secret.as_deref(), Timestamp::now(), &mut std::io::stdout(), &mut std::io::stderr()).await
}

async fn play(
    args: &Args,
    secret: Option<&str>,
    now: Timestamp,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> anyhow::Result<()> {
    let composed = compose::compose(args, secret, now)?;
    writeln!(err, "{}", composed.summary)?;
    let (status, answer) = exchange(composed.request, out).await?;
    anyhow::ensure!(status.is_success(), "the hook answered {status}");
    if let Some(nonce) = composed.nonce {
        let back: Option<Value> = serde_json::from_slice(&answer).ok();
        let back = back.as_ref().and_then(|v| v.get("nonce")).and_then(Value::as_str);
        anyhow::ensure!(back == Some(&nonce), "the hook did not bring the nonce {nonce} back: ppj would not call it");
        writeln!(err, "the nonce came back: ppj would take this address as valid")?;
    }
    Ok(())
}

/// Sends the request and prints the status line and the answer.
async fn exchange(request: OutgoingRequest, out: &mut dyn Write) -> anyhow::Result<(reqwest::StatusCode, Vec<u8>)> {
    let client = super::http_client(|client| client.timeout(PATIENCE))?;
    let mut builder = client.request(request.method, &request.url).body(request.body);
    for (name, value) in &request.headers {
        builder = builder.header(name, value.as_bytes());
    }
    // The address holds the hook's key: errors are told without it.
    let failed = |e: reqwest::Error, what| anyhow::Error::new(e.without_url()).context(what);
    let mut response = builder.send().await.map_err(|e| failed(e, "the hook cannot be reached"))?;
    let status = response.status();
    writeln!(out, "{:?} {status}", response.version())?;
    let mut answer = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| failed(e, "the answer broke off"))? {
        answer.extend_from_slice(&chunk);
        if answer.len() > SHOWN {
            answer.truncate(SHOWN);
            break;
        }
    }
    // A stranger's answer must not steer the terminal.
    let text: String =
        String::from_utf8_lossy(&answer).chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    writeln!(out, "{}", text.trim_end())?;
    Ok((status, answer))
}

#[cfg(test)]
mod tests;
