//! What a notification may be signed with: checked once, when it is made, so that a mistake is told to the person who
//! makes it. The sentences follow the name of the field: `secret: must be …`.

use crate::domain::{Format, Secret};
use crate::vendor::standard;

/// Bytes of a secret at most.
const SECRET_BYTES: usize = 1024;

/// Whether a notification of this format may have these secrets; if not, a sentence that says what to do.
pub fn check_secrets(format: Format, secrets: &[Secret]) -> Result<(), String> {
    match format {
        Format::Zoffice | Format::Gini if secrets.is_empty() => Ok(()),
        Format::Zoffice | Format::Gini => {
            Err("these formats carry no signature: use tokenType and tokenValue".to_owned())
        }
        Format::Baidu | Format::Ppj => check_one(format, secrets),
        Format::Standard => check_standard(secrets),
    }
}

fn check_one(format: Format, secrets: &[Secret]) -> Result<(), String> {
    match secrets {
        [] => Ok(()),
        [secret] if secret.expose().is_empty() => {
            Err("must not be empty: give the secret that the receiver knows, or leave it out".to_owned())
        }
        [secret] if secret.expose().chars().any(char::is_control) => {
            Err("must not hold control characters: take line breaks and the like out".to_owned())
        }
        [secret] if secret.expose().len() > SECRET_BYTES => Err(format!("must have at most {SECRET_BYTES} bytes")),
        [_] => Ok(()),
        _ => Err(format!("must be one: a request of the format {format} carries one signature")),
    }
}

fn check_standard(secrets: &[Secret]) -> Result<(), String> {
    if secrets.len() > 2 {
        return Err("must be at most two: keep the present one and the one before".to_owned());
    }
    if secrets.iter().all(standard::can_sign) {
        return Ok(());
    }
    Err("must be whsec_ and the base64 of 24 to 64 bytes, or whsk_ and the base64 of an Ed25519 key: its seed of 32 \
         bytes, or seed and public key"
        .to_owned())
}
