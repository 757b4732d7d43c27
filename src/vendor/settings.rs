//! Validates the settings of hooks and the secrets of notifications when they are created or changed, so that mistakes
//! do not appear only when the first webhook or delivery fails.

use http::{HeaderName, HeaderValue};

use super::{dialect, standard};
use crate::domain::{Format, Mapping, PpjEdition, Secret, Vendor, Verify};

/// Upper bound on a notification secret.
const MAX_SECRET_BYTES: usize = 1024;
/// Upper bound on a hook's secret: senders do not send longer header lines.
const MAX_HOOK_SECRET_BYTES: usize = 4096;
/// Upper bound on the other texts of a hook's settings. All hooks are in memory.
const MAX_SETTING_CHARS: usize = 256;
const MAX_LABEL_COOKIES: usize = 32;
const MAX_COOKIE_NAME_CHARS: usize = 64;
/// Upper bound on the statuses of a mapping.
const MAX_STATUSES: usize = 256;

/// Checks the settings of a hook.
///
/// # Errors
/// A text for the API client: which field is wrong and what it must be.
pub fn check_settings(
    vendor: Vendor,
    verify: &Verify,
    mapping: Option<&Mapping>,
    label_cookies: &[String],
) -> Result<(), String> {
    check_verify(vendor, verify)?;
    match (vendor, mapping) {
        (Vendor::Generic, None) => {
            return Err("a generic hook requires a mapping with at least vendorId, status and statuses".to_owned());
        }
        (Vendor::Generic, Some(mapping)) => check_mapping(mapping)?,
        (_, Some(_)) => return Err(format!("a {vendor} hook has no mapping: only generic hooks do")),
        (_, None) => {}
    }
    if !label_cookies.is_empty() && vendor != Vendor::Zoffice {
        return Err(format!("a {vendor} hook has no labelCookies: only zoffice hooks do"));
    }
    if label_cookies.len() > MAX_LABEL_COOKIES {
        return Err(format!("labelCookies: at most {MAX_LABEL_COOKIES}"));
    }
    match label_cookies.iter().find(|name| !is_token(name) || name.len() > MAX_COOKIE_NAME_CHARS) {
        Some(_) => Err(format!("labelCookies: a cookie name is a token of at most {MAX_COOKIE_NAME_CHARS} characters")),
        None => Ok(()),
    }
}

/// Checks that `vendor` supports this kind of verification and that its secrets are valid.
///
/// # Errors
/// A text for the API client: which field is wrong and what it must be.
pub fn check_verify(vendor: Vendor, verify: &Verify) -> Result<(), String> {
    let allowed = dialect(vendor).verify_types();
    if !allowed.contains(&verify.kind()) {
        return Err(format!("verify.type of a {vendor} hook is one of {}, not {}", allowed.join(", "), verify.kind()));
    }
    match verify {
        Verify::None {} => Ok(()),
        Verify::Ppj { secret, .. } | Verify::Baidu { secret } => check_secret(secret),
        Verify::Cookie { secret } | Verify::Authorization { secret } => {
            check_secret(secret)?;
            check_header_value(secret.expose(), "verify.secret")
        }
        Verify::Standard { secrets } => check_standard(secrets),
        Verify::HmacSha256 { secret, header, prefix, .. } => {
            check_secret(secret)?;
            check_length("verify.header", header)?;
            check_length("verify.prefix", prefix)?;
            if HeaderName::from_bytes(header.as_bytes()).is_err() {
                return Err(format!("verify.header: {header:?} is not a valid header name"));
            }
            // The prefix may end in a space, because the signature follows.
            check_header_value(&format!("{prefix}."), "verify.prefix")
        }
    }
}

/// What the owner of a hook should know about its verification, although it is valid.
pub fn warnings(verify: &Verify) -> Vec<&'static str> {
    match verify {
        Verify::Ppj { edition: None, .. } => vec![
            "PPJ's edition A signs its verification request only: the verification in PPJ's console succeeds, and all \
             notifications get 401. If PPJ sends no X-PPJ-Signature, set \"edition\":\"A\" in verify; \"B\" if it does",
        ],
        Verify::Ppj { edition: Some(PpjEdition::A), .. } => {
            vec!["edition A does not sign notifications: anyone who knows this hook's URL can send them"]
        }
        _ => Vec::new(),
    }
}

/// The supported values of `verify.type` that have a secret.
pub fn secret_types(vendor: Vendor) -> impl Iterator<Item = &'static str> {
    dialect(vendor).verify_types().iter().copied().filter(|kind| *kind != "none")
}

fn check_secret(secret: &Secret) -> Result<(), String> {
    if secret.expose().is_empty() {
        return Err("verify.secret is empty: use the vendor's secret, or the type none".to_owned());
    }
    if secret.expose().len() > MAX_HOOK_SECRET_BYTES {
        return Err(format!("verify.secret has at most {MAX_HOOK_SECRET_BYTES} bytes"));
    }
    Ok(())
}

fn check_length(key: &str, text: &str) -> Result<(), String> {
    if text.chars().count() > MAX_SETTING_CHARS {
        return Err(format!("{key} has at most {MAX_SETTING_CHARS} characters"));
    }
    Ok(())
}

/// HTTP trims or rejects other values, so they would never match a received header.
fn check_header_value(text: &str, key: &str) -> Result<(), String> {
    if text.trim() != text || HeaderValue::from_str(text).is_err() && HeaderValue::from_bytes(text.as_bytes()).is_err()
    {
        return Err(format!("{key} is not a valid header value: remove surrounding spaces and control characters"));
    }
    Ok(())
}

fn check_standard(secrets: &[Secret]) -> Result<(), String> {
    match secrets.len() {
        1 | 2 => {}
        0 => return Err("verify.secret is missing: use one whsec_…, or two during a rotation".to_owned()),
        _ => return Err("verify.secrets has more than two entries: keep the current and the previous one".to_owned()),
    }
    if secrets.iter().any(|s| standard::shared_key(s).is_none()) {
        return Err("verify.secret must be whsec_ and the base64 of 24 to 64 bytes".to_owned());
    }
    Ok(())
}

fn check_mapping(mapping: &Mapping) -> Result<(), String> {
    let required = [("vendorId", Some(&mapping.vendor_id)), ("status", Some(&mapping.status))];
    let optional = [
        ("title", mapping.title.as_ref()),
        ("result", mapping.result.as_ref()),
        ("errorCode", mapping.error_code.as_ref()),
        ("errorMessage", mapping.error_message.as_ref()),
        ("time", mapping.time.as_ref()),
        ("messageId", mapping.message_id.as_ref()),
    ];
    for (key, pointer) in required.into_iter().chain(optional) {
        check_length(&format!("mapping.{key}"), pointer.map_or("", String::as_str))?;
        if pointer.is_some_and(|p| !is_pointer(p)) {
            return Err(format!("mapping.{key} is not a JSON Pointer: it begins with /, with ~0 for ~ and ~1 for /"));
        }
    }
    if mapping.statuses.len() > MAX_STATUSES {
        return Err(format!("mapping.statuses has at most {MAX_STATUSES} entries"));
    }
    for status in mapping.statuses.keys() {
        check_length("mapping.statuses: a key", status)?;
    }
    if mapping.statuses.is_empty() {
        return Err("mapping.statuses is empty: map the vendor's statuses to PENDING, COMPLETED or ERROR".to_owned());
    }
    Ok(())
}

/// RFC 6901: empty, or segments that begin with `/`, with `~` only before `0` or `1`.
fn is_pointer(text: &str) -> bool {
    (text.is_empty() || text.starts_with('/')) && text.split('~').skip(1).all(|s| s.starts_with(['0', '1']))
}

/// Cookie names are tokens (RFC 6265).
fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Checks the secrets of a notification with this format.
///
/// # Errors
/// The text follows the name of the field: `secret: must be …`.
pub fn check_secrets(format: Format, secrets: &[Secret]) -> Result<(), String> {
    match format {
        Format::Zoffice | Format::Gini if secrets.is_empty() => Ok(()),
        Format::Zoffice | Format::Gini => {
            Err("these formats have no signature: use tokenType and tokenValue".to_owned())
        }
        Format::Baidu | Format::Ppj => check_single_secret(format, secrets),
        Format::Standard => check_signing_keys(secrets),
    }
}

fn check_single_secret(format: Format, secrets: &[Secret]) -> Result<(), String> {
    match secrets {
        [] => Ok(()),
        [secret] if secret.expose().is_empty() => {
            Err("must not be empty: use the receiver's secret, or omit the field".to_owned())
        }
        [secret] if secret.expose().chars().any(char::is_control) => {
            Err("must not contain control characters such as line breaks".to_owned())
        }
        [secret] if secret.expose().len() > MAX_SECRET_BYTES => {
            Err(format!("must have at most {MAX_SECRET_BYTES} bytes"))
        }
        [_] => Ok(()),
        _ => Err(format!("must be one: requests of the format {format} have one signature")),
    }
}

fn check_signing_keys(secrets: &[Secret]) -> Result<(), String> {
    if secrets.len() > 2 {
        return Err("must be at most two: keep the current and the previous one".to_owned());
    }
    if secrets.iter().all(standard::can_sign) {
        return Ok(());
    }
    Err("must be whsec_ and the base64 of 24 to 64 bytes, or whsk_ and the base64 of an Ed25519 key: its seed of 32 \
         bytes, or seed and public key"
        .to_owned())
}

#[cfg(test)]
mod tests;
