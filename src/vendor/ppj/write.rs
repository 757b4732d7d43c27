//! Playing PPJ: its handshake and its notifications, in every edition that had them.

use std::fmt;

use bytes::Bytes;
use http::Method;
use url::Url;

use super::params::Params;
use super::signature;
use crate::domain::{Secret, Status, Timestamp, Vendor};
use crate::vendor::{OutgoingEvent, OutgoingRequest, RenderError, verification};

/// Which edition of PPJ's documentation is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edition {
    /// 2016: only the handshake, `type=validation`.
    Zero,
    /// 2017-03-20, the seed: GET, the handshake signed in the query.
    A,
    /// 2017-03-22: GET, every call signed in headers.
    B,
    /// 2017-07-28: POST of a form, unsigned.
    C,
    /// 2017-11-16: GET, unsigned.
    D,
}

impl Edition {
    /// Every edition, oldest first.
    pub const ALL: [Edition; 5] = [Edition::Zero, Edition::A, Edition::B, Edition::C, Edition::D];

    /// `0`, `A`, `B`, `C` or `D`.
    pub fn as_str(self) -> &'static str {
        match self {
            Edition::Zero => "0",
            Edition::A => "A",
            Edition::B => "B",
            Edition::C => "C",
            Edition::D => "D",
        }
    }
}

impl fmt::Display for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The request by which PPJ checks an address: the answer must bring `nonce` back. The editions A and B sign it when
/// there is a secret; the others have no signature to put it into.
pub fn handshake(
    edition: Edition,
    endpoint: &str,
    nonce: &str,
    secret: Option<&Secret>,
    now: Timestamp,
) -> Result<OutgoingRequest, RenderError> {
    let word = if edition == Edition::Zero { "validation" } else { "verify" };
    let mut pairs = vec![("type", word.to_owned())];
    let timestamp = now.seconds().to_string();
    if edition == Edition::A {
        pairs.push(("timestamp", timestamp.clone()));
    }
    pairs.push(("nonce", nonce.to_owned()));
    if let (Edition::A, Some(secret)) = (edition, secret) {
        let tag = signature::sign(key(secret)?, timestamp.as_bytes(), &[nonce.as_bytes()]);
        pairs.push(("signature", verification::hex(&tag)));
    }
    request(edition, endpoint, &pairs, secret, now)
}

/// The request by which PPJ tells that a job is finished or has failed. Edition B signs it when there is a secret.
pub fn notify(
    edition: Edition,
    outgoing_event: &OutgoingEvent,
    endpoint: &str,
    secret: Option<&Secret>,
    now: Timestamp,
) -> Result<OutgoingRequest, RenderError> {
    if edition == Edition::Zero {
        return Err(RenderError::UnsupportedEdition(edition));
    }
    let (word, code) = match outgoing_event.update.status {
        Status::Completed => ("complete", "0"),
        // There are two codes; what another vendor calls its error is the server's more likely than the file's.
        Status::Error if outgoing_event.update.error.as_ref().is_some_and(|e| e.code == "2") => ("error", "2"),
        Status::Error => ("error", "1"),
        status @ Status::Pending => return Err(RenderError::UnsupportedStatus { vendor: Vendor::Ppj, status }),
    };
    let mut pairs = vec![("type", word.to_owned()), ("token", outgoing_event.update.vendor_id.to_string())];
    let always = matches!(edition, Edition::A | Edition::B);
    if always || code != "0" {
        pairs.push(("code", code.to_owned()));
    }
    request(edition, endpoint, &pairs, secret, now)
}

fn request(
    edition: Edition,
    endpoint: &str,
    pairs: &[(&str, String)],
    secret: Option<&Secret>,
    now: Timestamp,
) -> Result<OutgoingRequest, RenderError> {
    // Parsed as the HTTP client will parse it, so that the path that is signed is the path that is called.
    let mut url = Url::parse(endpoint).map_err(|_| RenderError::InvalidEndpoint)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(RenderError::InvalidEndpoint);
    }
    url.set_fragment(None);
    let mut headers = Vec::new();
    let (method, body) = if edition == Edition::C {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        headers.push(("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
        (Method::POST, Bytes::from(form))
    } else {
        url.query_pairs_mut().extend_pairs(pairs);
        (Method::GET, Bytes::new())
    };
    let mut request = OutgoingRequest { method, url: url.into(), headers, body };
    if let (Edition::B, Some(secret)) = (edition, secret) {
        request.headers.extend(sign_headers(secret, &request, now)?);
    }
    Ok(request)
}

/// The headers by which edition B proves a GET: over its path and every parameter of its address, whoever put it there.
pub(in crate::vendor) fn sign_headers(
    secret: &Secret,
    request: &OutgoingRequest,
    now: Timestamp,
) -> Result<[(String, String); 2], RenderError> {
    let url = Url::parse(&request.url).map_err(|_| RenderError::InvalidEndpoint)?;
    let timestamp = now.seconds().to_string();
    let params = Params::from_pairs(url.query_pairs().map(|(k, v)| (k.into_owned(), v.into_owned()))).signed();
    let method = request.method.as_str();
    let tag = signature::sign_request(key(secret)?, timestamp.as_bytes(), method, url.path(), &params);
    Ok([(signature::TIMESTAMP.to_owned(), timestamp), (signature::SIGNATURE.to_owned(), verification::hex(&tag))])
}

fn key(secret: &Secret) -> Result<&[u8], RenderError> {
    verification::secret_bytes(secret).map_err(|_| RenderError::InvalidSecret("it is empty"))
}
