//! What a hook may be set up with: checked once, when it is made, so that a mistake is told to the person who makes
//! it and not to the vendor that calls it at night.

use http::{HeaderName, HeaderValue};

use super::{dialect, standard};
use crate::domain::{Mapping, Secret, Vendor, Verify};

/// Whether a hook of `vendor` may be made like this; if not, a sentence that says what to do.
pub fn check_settings(
    vendor: Vendor,
    verify: &Verify,
    mapping: Option<&Mapping>,
    label_cookies: &[String],
) -> Result<(), String> {
    check_verify(vendor, verify)?;
    match (vendor, mapping) {
        (Vendor::Generic, None) => {
            return Err("a generic hook needs a mapping: say where vendorId and status are".to_owned());
        }
        (Vendor::Generic, Some(mapping)) => check_mapping(mapping)?,
        (_, Some(_)) => return Err(format!("a {vendor} hook takes no mapping: only generic ones do")),
        (_, None) => {}
    }
    if !label_cookies.is_empty() && vendor != Vendor::Zoffice {
        return Err(format!("a {vendor} hook takes no labelCookies: only zoffice ones do"));
    }
    match label_cookies.iter().find(|name| !is_token(name)) {
        Some(name) => Err(format!("labelCookies: {name:?} cannot be the name of a cookie")),
        None => Ok(()),
    }
}

/// Whether `verify` is a proof that `vendor` has, with secrets that can sign_headers something.
pub fn check_verify(vendor: Vendor, verify: &Verify) -> Result<(), String> {
    let allowed = dialect(vendor).verify_types();
    if !allowed.contains(&verify.kind()) {
        return Err(format!("verify.type of a {vendor} hook is one of {}, not {}", allowed.join(", "), verify.kind()));
    }
    match verify {
        Verify::None {} => Ok(()),
        Verify::Ppj { secret } | Verify::Baidu { secret } => check_secret(secret),
        Verify::Cookie { secret } | Verify::Authorization { secret } => {
            check_secret(secret)?;
            check_header_value(secret.expose(), "verify.secret")
        }
        Verify::Standard { secrets } => check_standard(secrets),
        Verify::HmacSha256 { secret, header, prefix, .. } => {
            check_secret(secret)?;
            if HeaderName::from_bytes(header.as_bytes()).is_err() {
                return Err(format!("verify.header: {header:?} cannot be the name of a header"));
            }
            // A value that ends in a space is fine here, because the signature follows.
            check_header_value(&format!("{prefix}."), "verify.prefix")
        }
    }
}

fn check_secret(secret: &Secret) -> Result<(), String> {
    if secret.expose().is_empty() {
        return Err("verify.secret is empty: give the secret that the vendor uses, or choose the type none".to_owned());
    }
    Ok(())
}

/// A secret that HTTP would trim or refuse could never be equal to what arrives.
fn check_header_value(text: &str, key: &str) -> Result<(), String> {
    if text.trim() != text || HeaderValue::from_str(text).is_err() && HeaderValue::from_bytes(text.as_bytes()).is_err()
    {
        return Err(format!("{key} cannot be a header's value: take spaces from its ends and control characters out"));
    }
    Ok(())
}

fn check_standard(secrets: &[Secret]) -> Result<(), String> {
    match secrets.len() {
        1 | 2 => {}
        0 => return Err("verify.secret is missing: give one whsec_…, or two while rotating".to_owned()),
        _ => return Err("verify.secrets are more than two: keep the present one and the one before".to_owned()),
    }
    if secrets.iter().any(|s| standard::signing_key(s).is_none()) {
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
        if pointer.is_some_and(|p| !is_pointer(p)) {
            return Err(format!("mapping.{key} is not a JSON pointer: begin with /, and write ~0 for ~, ~1 for /"));
        }
    }
    if mapping.statuses.is_empty() {
        return Err(
            "mapping.statuses is empty: say which of the vendor's words is PENDING, COMPLETED or ERROR".to_owned()
        );
    }
    Ok(())
}

/// RFC 6901: empty, or segments that each begin with `/`, in which `~` is followed by `0` or `1`.
fn is_pointer(text: &str) -> bool {
    (text.is_empty() || text.starts_with('/')) && text.split('~').skip(1).all(|s| s.starts_with(['0', '1']))
}

/// RFC 6265 has names of cookies be tokens, as names of headers are.
fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

#[cfg(test)]
mod tests;
