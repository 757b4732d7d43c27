//! Playing PPJ: its handshake and its notifications, in every edition that had them.

use std::fmt;

use bytes::Bytes;
use http::Method;
use url::Url;

use super::params::Params;
use super::signature;
use crate::domain::{Secret, Status, Timestamp, Vendor};
use crate::vendor::{Inexpressible, Outbound, Telling, proof};

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
) -> Result<Outbound, Inexpressible> {
    let word = if edition == Edition::Zero { "validation" } else { "verify" };
    let mut pairs = vec![("type", word.to_owned())];
    let timestamp = now.seconds().to_string();
    if edition == Edition::A {
        pairs.push(("timestamp", timestamp.clone()));
    }
    pairs.push(("nonce", nonce.to_owned()));
    if let (Edition::A, Some(secret)) = (edition, secret) {
        let tag = signature::sign(key(secret)?, timestamp.as_bytes(), &[nonce.as_bytes()]);
        pairs.push(("signature", proof::hex(&tag)));
    }
    request(edition, endpoint, &pairs, secret, now)
}

/// The request by which PPJ tells that a job is finished or has failed. Edition B signs it when there is a secret.
pub fn notify(
    edition: Edition,
    telling: &Telling,
    endpoint: &str,
    secret: Option<&Secret>,
    now: Timestamp,
) -> Result<Outbound, Inexpressible> {
    if edition == Edition::Zero {
        return Err(Inexpressible::Edition(edition));
    }
    let (word, code) = match telling.update.status {
        Status::Completed => ("complete", "0"),
        // There are two codes; what another vendor calls its error is the server's more likely than the file's.
        Status::Error if telling.update.error.as_ref().is_some_and(|e| e.code == "2") => ("error", "2"),
        Status::Error => ("error", "1"),
        status @ Status::Pending => return Err(Inexpressible::Status { vendor: Vendor::Ppj, status }),
    };
    let mut pairs = vec![("type", word.to_owned()), ("token", telling.update.vendor_id.to_string())];
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
) -> Result<Outbound, Inexpressible> {
    // Parsed as the HTTP client will parse it, so that the path that is signed is the path that is called.
    let mut url = Url::parse(endpoint).map_err(|_| Inexpressible::Endpoint)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Inexpressible::Endpoint);
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
    let mut request = Outbound { method, url: url.into(), headers, body };
    if let (Edition::B, Some(secret)) = (edition, secret) {
        request.headers.extend(prove(secret, &request, now)?);
    }
    Ok(request)
}

/// The headers by which edition B proves a GET: over its path and every parameter of its address, whoever put it there.
pub(in crate::vendor) fn prove(
    secret: &Secret,
    request: &Outbound,
    now: Timestamp,
) -> Result<[(String, String); 2], Inexpressible> {
    let url = Url::parse(&request.url).map_err(|_| Inexpressible::Endpoint)?;
    let timestamp = now.seconds().to_string();
    let params = Params::from_pairs(url.query_pairs().map(|(k, v)| (k.into_owned(), v.into_owned()))).signed();
    let method = request.method.as_str();
    let tag = signature::sign_request(key(secret)?, timestamp.as_bytes(), method, url.path(), &params);
    Ok([(signature::TIMESTAMP.to_owned(), timestamp), (signature::SIGNATURE.to_owned(), proof::hex(&tag))])
}

fn key(secret: &Secret) -> Result<&[u8], Inexpressible> {
    proof::key(secret).map_err(|_| Inexpressible::Secret("it is empty"))
}
