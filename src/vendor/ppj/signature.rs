//! PPJ's signatures and the request parameters they cover. Edition A signs the nonce, in the query of the handshake;
//! edition B signs every request, in headers. The key of the second HMAC is the hexadecimal text of the first.

use http::Method;

use crate::domain::{Encoding, PpjEdition, Timestamp};
use crate::vendor::{WebhookError, WebhookRequest, malformed, shared_secret};

/// Unix seconds, in edition B.
pub(super) const TIMESTAMP: &str = "x-ppj-timestamp";
/// Hexadecimal, in edition B.
pub(super) const SIGNATURE: &str = "x-ppj-signature";

const MISSING: &str = "a PPJ signature is required: X-PPJ-Timestamp and X-PPJ-Signature, each once, or timestamp, \
                      nonce and signature in the query of a verify request";
const UNSIGNED: &str = "a PPJ signature is required: X-PPJ-Timestamp and X-PPJ-Signature, each once. PPJ's edition A does \
                       not sign notifications: \"edition\":\"A\" in the hook's verify accepts them";
const UNKNOWN_FORM: &str = "the signature in X-PPJ-Signature is not an HMAC-SHA256 in hexadecimal";
const STALE: &str = "the timestamp of the signature differs from the current time by more than 5 minutes";
const MISMATCH: &str = "the signature does not match";

/// The tag of `text` at `timestamp`.
pub(super) fn sign(secret: &[u8], timestamp: &[u8], text: &[&[u8]]) -> [u8; 32] {
    let sign_key = shared_secret::hex(&shared_secret::hmac(timestamp, &[secret]));
    shared_secret::hmac(sign_key.as_bytes(), text)
}

/// The tag of a request in edition B.
pub(super) fn sign_request(secret: &[u8], timestamp: &[u8], method: &str, path: &str, params: &str) -> [u8; 32] {
    sign(secret, timestamp, &[method.as_bytes(), b"\n", path.as_bytes(), b"\n", params.as_bytes()])
}

/// What a hook requires.
#[derive(Debug)]
pub(super) struct Expected<'a> {
    /// Not empty.
    pub(super) secret: &'a [u8],
    pub(super) edition: Option<PpjEdition>,
}

/// Verifies the signature headers if there are any, otherwise the query signature of a handshake. Other requests are
/// accepted in edition A, which does not sign them.
pub(super) fn verify(
    expected: &Expected<'_>,
    request: &WebhookRequest<'_>,
    params: &Params,
    now: Timestamp,
) -> Result<(), WebhookError> {
    let Expected { secret, edition } = *expected;
    let is_handshake = matches!(params.once("type"), Ok(Some("verify" | "validation")));
    if request.headers.contains_key(TIMESTAMP) || request.headers.contains_key(SIGNATURE) {
        verify_headers(secret, request, params, now).map_err(|error| match error {
            // A handshake is answered and stored nowhere, so there is nothing to keep for a replay.
            WebhookError::UnknownSignature(reason) if is_handshake => WebhookError::Unauthorized(reason),
            error => error,
        })
    } else if is_handshake && edition != Some(PpjEdition::B) {
        verify_query(secret, params, now)
    } else if is_handshake {
        Err(WebhookError::Unauthorized(MISSING))
    } else if edition == Some(PpjEdition::A) {
        Ok(())
    } else {
        // The query signature covers the nonce only, so it does not authenticate a notification.
        Err(shared_secret::missing(request.headers, UNSIGNED))
    }
}

fn verify_headers(
    secret: &[u8],
    request: &WebhookRequest<'_>,
    params: &Params,
    now: Timestamp,
) -> Result<(), WebhookError> {
    let sent = shared_secret::signature_header(request.headers, SIGNATURE, MISSING)?;
    let tag = shared_secret::decode_tag(Encoding::Hex, sent);
    let sent = tag.ok_or_else(|| shared_secret::unknown_form(sent, UNKNOWN_FORM))?;
    let timestamp = shared_secret::single_header(request.headers, TIMESTAMP, MISSING)?;
    if !shared_secret::is_fresh(timestamp, now) {
        return Err(WebhookError::Unauthorized(STALE));
    }
    let params = params.signed();
    let signed_by = |path| {
        shared_secret::tags_equal(&sign_request(secret, timestamp, request.method.as_str(), path, &params), &sent)
    };
    // The received path, or the path of the public URL if a proxy strips a prefix.
    if signed_by(request.path) || request.endpoint.and_then(path_of).is_some_and(signed_by) {
        Ok(())
    } else {
        Err(WebhookError::Unauthorized(MISMATCH))
    }
}

fn verify_query(secret: &[u8], params: &Params, now: Timestamp) -> Result<(), WebhookError> {
    let once = |name| params.once(name).ok().flatten().map(str::as_bytes).ok_or(WebhookError::Unauthorized(MISSING));
    let (timestamp, nonce, sent) = (once("timestamp")?, once("nonce")?, once("signature")?);
    if !shared_secret::is_fresh(timestamp, now) {
        return Err(WebhookError::Unauthorized(STALE));
    }
    let sent = shared_secret::decode_tag(Encoding::Hex, sent).ok_or(WebhookError::Unauthorized(MISMATCH))?;
    if shared_secret::tags_equal(&sign(secret, timestamp, &[nonce]), &sent) {
        Ok(())
    } else {
        Err(WebhookError::Unauthorized(MISMATCH))
    }
}

fn path_of(endpoint: &str) -> Option<&str> {
    let (_, rest) = endpoint.split_once("://")?;
    let path = rest.find('/').map_or("/", |start| &rest[start..]);
    path.split(['?', '#']).next()
}

/// Names and values, percent-decoded, in the order of the request.
#[derive(Debug)]
pub(super) struct Params(Vec<(String, String)>);

/// A parameter occurs more than once, so the request is ambiguous.
#[derive(Debug)]
pub(super) struct Repeated;

impl Params {
    /// The parameters of the query and, for POST, of the form.
    pub(super) fn of(request: &WebhookRequest<'_>) -> Self {
        let query = request.query.unwrap_or_default().as_bytes();
        let form = if request.method == Method::POST { request.body } else { &[] };
        Self(form_urlencoded::parse(query).chain(form_urlencoded::parse(form)).map(into_owned).collect())
    }

    pub(super) fn from_pairs(pairs: impl Iterator<Item = (String, String)>) -> Self {
        Self(pairs.collect())
    }

    /// # Errors
    /// [`Repeated`] if the parameter occurs more than once.
    pub(super) fn once(&self, name: &str) -> Result<Option<&str>, Repeated> {
        let mut values = self.0.iter().filter(|(n, _)| n == name);
        match (values.next(), values.next()) {
            (first, None) => Ok(first.map(|(_, value)| value.as_str())),
            _ => Err(Repeated),
        }
    }

    /// Like [`Params::once`]; also rejects bytes that are not UTF-8, which decoding has replaced.
    pub(super) fn optional(&self, name: &str) -> Result<Option<&str>, WebhookError> {
        match self.once(name) {
            Ok(Some(value)) if value.contains(char::REPLACEMENT_CHARACTER) => {
                Err(malformed(format!("{name} is not UTF-8")))
            }
            Ok(value) => Ok(value),
            Err(Repeated) => Err(malformed(format!("{name} occurs more than once"))),
        }
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, WebhookError> {
        self.optional(name)?.ok_or_else(|| malformed(format!("{name} is missing")))
    }

    /// The text that edition B signs: `k=v` joined by `&`, sorted by name, not encoded, without `_…` and `file_source`.
    pub(super) fn signed(&self) -> String {
        let mut pairs: Vec<_> =
            self.0.iter().filter(|(name, _)| !name.starts_with('_') && name != "file_source").collect();
        // Stable sort by name: values of one name keep their order.
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("&")
    }
}

fn into_owned((name, value): (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)) -> (String, String) {
    (name.into_owned(), value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"kKdBnfSJNnBjex9gczp6P9g2";

    #[test]
    fn published_vectors_are_reproduced() {
        let tag = shared_secret::hex(&sign(SECRET, b"1489820220", &[b"7bzaglsx2y1nmujw"]));
        assert_eq!(tag, "988b7b1bdd05d10a0b21840561097f2dbbabeaf7e2bbe0dc960856a5fcdeb84e");
        for (timestamp, sign_key) in [
            ("1489820220", "8f91cf9d54ccb163af07cc05210ecee355ce92c95c1dbd5558d0f5b3218fac1f"),
            ("1490089532", "ee17afa6d69f1221c07b1cd3edba30e3ae95331f663d04a606a3d53a5588bbb4"),
            ("1490255398", "e2eef1820e50b7ad16b208ff00b6b7cf7bb679e3de3d377fcfaf1e898e746dc6"),
        ] {
            assert_eq!(shared_secret::hex(&shared_secret::hmac(timestamp.as_bytes(), &[SECRET])), sign_key);
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
            assert_eq!(shared_secret::hex(&sign_request(SECRET, timestamp.as_bytes(), method, path, params)), tag);
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
