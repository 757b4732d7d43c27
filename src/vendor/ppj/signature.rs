//! PPJ's two signatures: edition A's over the nonce, in the query of the handshake; edition B's over the whole
//! request, in headers. The key of the second HMAC is the hexadecimal text of the first.

use super::params::Params;
use crate::domain::{Encoding, Timestamp};
use crate::vendor::{WebhookError, WebhookRequest, verification};

/// Unix seconds, in edition B.
pub(super) const TIMESTAMP: &str = "x-ppj-timestamp";
/// Hexadecimal, in edition B.
pub(super) const SIGNATURE: &str = "x-ppj-signature";

const WANTED: &str = "a signature by PPJ is needed: X-PPJ-Timestamp and X-PPJ-Signature, each once, or timestamp, \
                      nonce and signature in the query of a verify request";
const STALE: &str = "the timestamp of the signature is more than 5 minutes from this clock";
const WRONG: &str = "the signature does not match";

/// The tag of `text` at `timestamp`.
pub(super) fn sign(secret: &[u8], timestamp: &[u8], text: &[&[u8]]) -> [u8; 32] {
    let sign_key = verification::hex(&verification::hmac(timestamp, &[secret]));
    verification::hmac(sign_key.as_bytes(), text)
}

/// The tag of a whole request, as edition B has it.
pub(super) fn sign_request(secret: &[u8], timestamp: &[u8], method: &str, path: &str, params: &str) -> [u8; 32] {
    sign(secret, timestamp, &[method.as_bytes(), b"\n", path.as_bytes(), b"\n", params.as_bytes()])
}

/// Checks whichever signature the request carries; headers, when there are any, decide alone.
pub(super) fn check(
    secret: &[u8],
    request: &WebhookRequest<'_>,
    params: &Params,
    now: Timestamp,
) -> Result<(), WebhookError> {
    if request.headers.contains_key(TIMESTAMP) || request.headers.contains_key(SIGNATURE) {
        check_headers(secret, request, params, now)
    } else if matches!(params.once("type"), Ok(Some("verify" | "validation"))) {
        check_query(secret, params, now)
    } else {
        // A query signature covers the nonce only, so on a notification it would sign_headers nothing about the job.
        Err(WebhookError::Unauthorized(WANTED))
    }
}

fn check_headers(
    secret: &[u8],
    request: &WebhookRequest<'_>,
    params: &Params,
    now: Timestamp,
) -> Result<(), WebhookError> {
    let timestamp = verification::single_header(request.headers, TIMESTAMP, WANTED)?;
    let sent = verification::single_header(request.headers, SIGNATURE, WANTED)?;
    if !verification::is_fresh(timestamp, now) {
        return Err(WebhookError::Unauthorized(STALE));
    }
    let sent = verification::decode_tag(Encoding::Hex, sent).ok_or(WebhookError::Unauthorized(WRONG))?;
    let params = params.signed();
    let signed_by = |path| {
        verification::tags_equal(&sign_request(secret, timestamp, request.method.as_str(), path, &params), &sent)
    };
    // The path as it arrived; behind a proxy that takes a prefix away, the path as PPJ was given it.
    if signed_by(request.path) || request.endpoint.and_then(path_of).is_some_and(signed_by) {
        Ok(())
    } else {
        Err(WebhookError::Unauthorized(WRONG))
    }
}

fn check_query(secret: &[u8], params: &Params, now: Timestamp) -> Result<(), WebhookError> {
    let once = |name| params.once(name).ok().flatten().map(str::as_bytes).ok_or(WebhookError::Unauthorized(WANTED));
    let (timestamp, nonce, sent) = (once("timestamp")?, once("nonce")?, once("signature")?);
    if !verification::is_fresh(timestamp, now) {
        return Err(WebhookError::Unauthorized(STALE));
    }
    let sent = verification::decode_tag(Encoding::Hex, sent).ok_or(WebhookError::Unauthorized(WRONG))?;
    if verification::tags_equal(&sign(secret, timestamp, &[nonce]), &sent) {
        Ok(())
    } else {
        Err(WebhookError::Unauthorized(WRONG))
    }
}

fn path_of(endpoint: &str) -> Option<&str> {
    let (_, rest) = endpoint.split_once("://")?;
    let path = rest.find('/').map_or("/", |start| &rest[start..]);
    path.split(['?', '#']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"kKdBnfSJNnBjex9gczp6P9g2";

    #[test]
    fn published_vectors_are_reproduced() {
        let tag = verification::hex(&sign(SECRET, b"1489820220", &[b"7bzaglsx2y1nmujw"]));
        assert_eq!(tag, "988b7b1bdd05d10a0b21840561097f2dbbabeaf7e2bbe0dc960856a5fcdeb84e");
        for (timestamp, sign_key) in [
            ("1489820220", "8f91cf9d54ccb163af07cc05210ecee355ce92c95c1dbd5558d0f5b3218fac1f"),
            ("1490089532", "ee17afa6d69f1221c07b1cd3edba30e3ae95331f663d04a606a3d53a5588bbb4"),
            ("1490255398", "e2eef1820e50b7ad16b208ff00b6b7cf7bb679e3de3d377fcfaf1e898e746dc6"),
        ] {
            assert_eq!(verification::hex(&verification::hmac(timestamp.as_bytes(), &[SECRET])), sign_key);
        }
        for (timestamp, method, path, params, tag) in [
            (
                "1489820220",
                "GET",
                "/jobs/list",
                "status=completed",
                "ecebba8f5ca8965833c05797c1c4cff8f48c6346594bad5f2d86bcdef33a7495",
            ),
            (
                "1490089532",
                "POST",
                "/jobs",
                "file_md5=be92023d515907f5faaac32c3605d7ec",
                "562ef9fee364f995dc9e0e5b1d57a855afd4e4bfed4fa414d4937dd1c7c5547f",
            ),
            (
                "1490255398",
                "GET",
                "/notify",
                "agent=06875f8b&code=0&token=8v9iSKnj&type=completed",
                "9b566f493c25afa7b57b6e2289f2382c32ab2393bdf0b0367ba77bb53dce36db",
            ),
        ] {
            assert_eq!(verification::hex(&sign_request(SECRET, timestamp.as_bytes(), method, path, params)), tag);
        }
    }

    #[test]
    fn path_is_extracted_from_any_endpoint() {
        for (endpoint, path) in [
            ("https://relay.example/in/k?a=/b", Some("/in/k")),
            ("https://relay.example/p/in/k", Some("/p/in/k")),
            ("https://relay.example", Some("/")),
            ("relay.example", None),
        ] {
            assert_eq!(path_of(endpoint), path);
        }
    }
}
