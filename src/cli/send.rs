//! `docrelay send`: sends a webhook in the format of a vendor and prints the response. Tests an installation without
//! the vendor.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use reqwest::Url;
use serde_json::Value;
use uuid::Uuid;

use super::io::{HOOK_SECRET_VARIABLE, read_secret, sanitize_lines};
use crate::domain::{Encoding, Secret, Status, Timestamp, Update, Vendor, VendorError, VendorId, Verify};
use crate::vendor::{
    Edition, Mode, OutgoingEvent, OutgoingRequest, check_verify, render, render_ppj, render_ppj_handshake,
    render_standard,
};

/// PPJ waits this long for a response; the other vendors wait less.
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
    /// Send PPJ's handshake instead, which verifies the URL, and check that the response contains the nonce
    #[arg(long)]
    handshake: bool,
    /// Variant of the standard format
    #[arg(long, value_parser = one_of(&MODES, |m| m.0).map(|m| m.1))]
    mode: Option<Mode>,
    /// File that contains the hook's secret; - is the standard input
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// How the hook verifies requests, as in `docrelay hook add`; by default as the vendor signs (zoffice:
    /// authorization)
    // `--verify` without a type means `--handshake`, its former name.
    #[arg(long, alias = "proof", value_name = "TYPE", value_parser = verify_types(), num_args = 0..=1,
        default_missing_value = HANDSHAKE)]
    verify: Option<String>,
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
const VERIFY_TYPES: [&str; 7] = ["none", "ppj", "baidu", "cookie", "authorization", "standard", "hmac-sha256"];

/// The value of `--verify` without a type.
const HANDSHAKE: &str = "handshake";

fn verify_types() -> PossibleValuesParser {
    let hidden = PossibleValue::new(HANDSHAKE).hide(true);
    PossibleValuesParser::new(VERIFY_TYPES.into_iter().map(PossibleValue::new).chain([hidden]))
}

/// The alphabets of generated identifiers.
const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const BASE62: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

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
    let secret = read_secret("secret", args.secret_file.as_deref(), HOOK_SECRET_VARIABLE)?;
    send(&args, secret.as_deref(), Timestamp::now(), &mut std::io::stdout(), &mut std::io::stderr()).await
}

async fn send(
    args: &SendArgs,
    secret: Option<&str>,
    now: Timestamp,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> anyhow::Result<()> {
    let composed = compose(args, secret, now)?;
    writeln!(err, "{}", composed.summary)?;
    let (status, body) = exchange(composed.request, out).await?;
    ensure!(status.is_success(), "the hook responded {status}");
    if let Some(nonce) = composed.nonce {
        let response: Value = serde_json::from_slice(&body).unwrap_or_default();
        let is_verified = response["nonce"].as_str() == Some(&nonce);
        ensure!(is_verified, "the response does not contain the nonce {nonce}: ppj would refuse this URL");
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

/// A request and the message that describes its result.
#[derive(Debug)]
struct Composed {
    request: OutgoingRequest,
    /// One line for the user.
    summary: String,
    /// The nonce that the response to a handshake must contain.
    nonce: Option<String>,
}

/// Builds the request; an error names the flags that contradict each other.
fn compose(args: &SendArgs, secret: Option<&str>, now: Timestamp) -> anyhow::Result<Composed> {
    let vendor = args.vendor;
    ensure!(args.edition.is_none() || vendor == Vendor::Ppj, "--edition is for ppj only");
    let is_handshake = args.handshake || args.verify.as_deref() == Some(HANDSHAKE);
    ensure!(!is_handshake || vendor == Vendor::Ppj, "--handshake is for ppj only: no other vendor has such a request");
    ensure!(args.mode.is_none() || vendor == Vendor::Standard, "--mode is for standard only");
    let is_failure = args.status == Status::Error;
    ensure!(
        is_failure || (args.error_code.is_none() && args.error_message.is_none()),
        "--error-code and --error-message need --status error"
    );
    let url = Url::parse(&args.hook_url).ok().filter(|u| matches!(u.scheme(), "http" | "https"));
    ensure!(url.is_some(), "the URL of the hook must begin with http:// or https://");
    let verify = verification(args, secret)?;
    check_verify(vendor, &verify).map_err(anyhow::Error::msg)?;
    let ppj_secret = match &verify {
        Verify::Ppj { secret, .. } => Some(secret),
        _ => None,
    };
    let edition = args.edition.unwrap_or(if ppj_secret.is_some() { Edition::B } else { Edition::A });
    if is_handshake {
        let nonce = random_text(16, LOWER);
        let request = render_ppj_handshake(edition, &args.hook_url, &nonce, ppj_secret, now)?;
        return Ok(Composed { request, summary: format!("verifying as ppj, edition {edition}"), nonce: Some(nonce) });
    }
    let outgoing_event = outgoing_event(args, now)?;
    let request = match vendor {
        Vendor::Ppj => render_ppj(edition, &outgoing_event, &args.hook_url, ppj_secret, now)?,
        Vendor::Standard => {
            render_standard(args.mode.unwrap_or_default(), &outgoing_event, &args.hook_url, &verify, now)?
        }
        _ => render(vendor, &outgoing_event, &args.hook_url, &verify, now)?,
    };
    let summary = format!("sending as {vendor}: {} is {}", outgoing_event.update.vendor_id, args.status);
    Ok(Composed { request, summary, nonce: None })
}

/// The verification of the hook that accepts this request.
fn verification(args: &SendArgs, secret: Option<&str>) -> anyhow::Result<Verify> {
    let kind = match (args.verify.as_deref().filter(|kind| *kind != HANDSHAKE), secret) {
        (Some(kind), _) => kind,
        (None, None) => "none",
        (None, Some(_)) => match args.vendor {
            Vendor::Ppj => "ppj",
            Vendor::Baidu => "baidu",
            Vendor::Zoffice | Vendor::Gini => "authorization",
            Vendor::Standard => "standard",
            Vendor::Generic => "hmac-sha256",
        },
    };
    if kind == "none" {
        return Ok(Verify::None {});
    }
    let secret = secret.context("--verify needs a secret: set DOCRELAY_HOOK_SECRET or use --secret-file")?;
    let secret = Secret::new(secret);
    Ok(match kind {
        "ppj" => Verify::Ppj { secret, edition: None },
        "baidu" => Verify::Baidu { secret },
        "cookie" => Verify::Cookie { secret },
        "authorization" => Verify::Authorization { secret },
        "standard" => Verify::Standard { secrets: vec![secret] },
        "hmac-sha256" => Verify::HmacSha256 {
            secret,
            header: args.signature_header.clone(),
            prefix: args.signature_prefix.clone(),
            encoding: args.signature_encoding,
        },
        other => bail!("--verify has no type {other}"),
    })
}

fn outgoing_event(args: &SendArgs, now: Timestamp) -> anyhow::Result<OutgoingEvent> {
    let id = match &args.id {
        Some(id) => id.clone(),
        None => random_id(args.vendor)?,
    };
    let document_id = id.to_string();
    let mut update = Update::new(id, args.status);
    update.title.clone_from(&args.title);
    if args.error_code.is_some() || args.error_message.is_some() {
        update.error = Some(VendorError {
            code: args.error_code.clone().unwrap_or_default(),
            message: args.error_message.clone().unwrap_or_default(),
        });
    }
    Ok(OutgoingEvent {
        message_id: Uuid::new_v4().to_string(),
        update,
        document_id,
        notification: "docrelay_send".to_owned(),
        time: now,
        event: None,
    })
}

/// An identifier in the format of the vendor.
fn random_id(vendor: Vendor) -> anyhow::Result<VendorId> {
    let text = match vendor {
        Vendor::Ppj => random_text(8, BASE62),
        Vendor::Baidu => format!("doc-{}", random_text(16, LOWER)),
        Vendor::Zoffice => Uuid::new_v4().to_string(),
        // A random node with the multicast bit, so that it is not a network address (RFC 9562, 6.10).
        Vendor::Gini => Uuid::now_v1(&[0x03, fastrand::u8(..), fastrand::u8(..), fastrand::u8(..), 0, 0]).to_string(),
        Vendor::Standard | Vendor::Generic => format!("job_{}", random_text(20, BASE62)),
    };
    Ok(text.parse()?)
}

/// Unlikely to repeat, but not secret.
fn random_text(count: usize, alphabet: &[u8]) -> String {
    (0..count).map(|_| char::from(alphabet[fastrand::usize(..alphabet.len())])).collect()
}

#[cfg(test)]
mod tests;
