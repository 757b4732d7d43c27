//! Builds the request of `send` from its flags. Does no I/O.

use anyhow::{Context, bail, ensure};
use reqwest::Url;
use uuid::Uuid;

use super::SendArgs;
use crate::domain::{Secret, Status, Timestamp, Update, Vendor, VendorError, VendorId, Verify};
use crate::vendor::{
    Edition, OutgoingEvent, OutgoingRequest, check_verify, ppj_handshake, ppj_notify, render, standard_notify,
};

#[derive(Debug)]
pub(super) struct Composed {
    pub(super) request: OutgoingRequest,
    /// One line for the user.
    pub(super) summary: String,
    /// The nonce that the response to a handshake must contain.
    pub(super) nonce: Option<String>,
}

/// Builds the request; an error names the flags that contradict each other.
pub(super) fn compose(args: &SendArgs, secret: Option<&str>, now: Timestamp) -> anyhow::Result<Composed> {
    let vendor = args.vendor;
    ensure!(args.edition.is_none() || vendor == Vendor::Ppj, "--edition is for ppj only");
    ensure!(!args.verify || vendor == Vendor::Ppj, "--verify is for ppj only: no other vendor has such a request");
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
    if args.verify {
        let nonce = random_text(16, LOWER);
        let request = ppj_handshake(edition, &args.hook_url, &nonce, ppj_secret, now)?;
        return Ok(Composed { request, summary: format!("verifying as ppj, edition {edition}"), nonce: Some(nonce) });
    }
    let outgoing_event = outgoing_event(args, now)?;
    let request = match vendor {
        Vendor::Ppj => ppj_notify(edition, &outgoing_event, &args.hook_url, ppj_secret, now)?,
        Vendor::Standard => {
            standard_notify(args.mode.unwrap_or_default(), &outgoing_event, &args.hook_url, &verify, now)?
        }
        _ => render(vendor, &outgoing_event, &args.hook_url, &verify, now)?,
    };
    let summary = format!("sending as {vendor}: {} is {}", outgoing_event.update.vendor_id, args.status);
    Ok(Composed { request, summary, nonce: None })
}

/// The verification of the hook that accepts this request.
fn verification(args: &SendArgs, secret: Option<&str>) -> anyhow::Result<Verify> {
    let kind = match (args.proof.as_deref(), secret) {
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
    let secret = secret.context("--proof needs a secret: set DOCRELAY_HOOK_SECRET or use --secret-file")?;
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
        other => bail!("--proof has no type {other}"),
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

const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const BASE62: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

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
