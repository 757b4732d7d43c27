//! The vendors' formats, one file each with both directions: what a request means (`parse`), how it proves itself
//! (`verify`), and how an event looks in that vendor's words (`render`). Pure functions over bytes, headers and `now`.

mod baidu;
mod generic;
mod gini;
mod json;
mod outgoing;
mod ppj;
mod proof;
mod settings;
mod standard;
mod zoffice;

use bytes::Bytes;
use http::{HeaderMap, Method};

use crate::domain::{Hook, Status, Timestamp, Update, Vendor, Verify};

pub use outgoing::{Original, challenge, check_secrets, passes, retell, tell};
pub use ppj::write::{Edition, handshake as ppj_handshake, notify as ppj_notify};
pub use settings::{check_proof, check_settings};
pub use standard::{Mode, write as standard_notify};

/// A request as it came in, body read whole and within its bound.
#[derive(Debug)]
pub struct Inbound<'a> {
    /// GET, POST or OPTIONS.
    pub method: &'a Method,
    /// The path as the vendor called it, without the query: PPJ signs it.
    pub path: &'a str,
    /// The raw query, without `?`.
    pub query: Option<&'a str>,
    /// The hook's address as it was handed out (`url` of `POST /hooks`): Baidu's siblings sign it, and behind a proxy
    /// that takes a prefix away, its path is the one that PPJ signed. `None` when no public address is known.
    pub endpoint: Option<&'a str>,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The body's bytes.
    pub body: &'a [u8],
}

/// An answer that a dialect wants to give instead of the usual `200 {}`.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Reply {
    /// Headers beside `Content-Type`.
    pub headers: Vec<(&'static str, String)>,
    /// A JSON body.
    pub body: Vec<u8>,
}

/// What a request turned out to be.
#[derive(Debug)]
pub enum Message {
    /// A verification or handshake: answered, stored nowhere.
    Handshake(Reply),
    /// News of a document.
    Update(Box<Update>),
}

/// Why a request was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The vendor never calls like this: `405`, with the methods it does use.
    #[error("this hook takes {0}")]
    Method(&'static str),
    /// The proof is wrong or missing: `401`. Says what was expected, never what was sent or what the secret is.
    #[error("{0}")]
    Unproven(&'static str),
    /// It is who it says, but cannot be understood: `422`, and kept among the rejects.
    #[error("{0}")]
    Unintelligible(String),
}

/// An event on its way out, to be put into a vendor's words.
#[derive(Debug, Clone)]
pub struct Telling {
    /// Constant over retries: Baidu's `messageId`, Standard Webhooks' `webhook-id`, CloudEvents' `id`.
    pub message_id: String,
    /// What is told; `vendor_id` is the job in the receiver's eyes.
    pub update: Update,
    /// Our document id, as text.
    pub document_id: String,
    /// The name of the notification, where the format carries it (Baidu).
    pub notification: String,
    /// When the event was stored: constant over retries, and told where the vendor gave no time of its own.
    pub time: Timestamp,
    /// The event's JSON as it is stored, which is what Gini's format sends; `None` where no event exists, as when
    /// the command line plays a vendor.
    pub event: Option<Bytes>,
}

/// A request to be sent.
#[derive(Debug, Clone)]
pub struct Outbound {
    /// GET or POST.
    pub method: Method,
    /// The whole address, with whatever the format puts into the query.
    pub url: String,
    /// All headers that the format needs, `Content-Type` included.
    pub headers: Vec<(String, String)>,
    /// The body; empty for GET.
    pub body: Bytes,
}

/// Why a telling cannot be put into a vendor's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Inexpressible {
    /// The format tells of final states only.
    #[error("{vendor} has no words for the status {status}: only final states are told")]
    Status {
        /// Whose format.
        vendor: Vendor,
        /// The status it lacks.
        status: Status,
    },
    /// The format has no such proof.
    #[error("{vendor} does not send a proof of type {proof}: see the table of hooks for those it has")]
    Proof {
        /// Whose format.
        vendor: Vendor,
        /// The `verify.type` it lacks.
        proof: &'static str,
    },
    /// The proof is of the right type, but its secret cannot be used.
    #[error("the secret cannot be used: {0}")]
    Secret(&'static str),
    /// The receiver's address is not an absolute `http` or `https` URL.
    #[error("the endpoint is not an absolute http or https address")]
    Endpoint,
    /// An edition of PPJ's format had no such request.
    #[error("edition {0} of ppj's format has no such request: choose another edition")]
    Edition(Edition),
}

/// Both directions of one vendor's format.
trait Dialect: Sync {
    /// The methods the vendor uses, as the `Allow` header lists them.
    fn methods(&self) -> &'static str;

    /// The `verify.type`s that make sense for it.
    fn proofs(&self) -> &'static [&'static str];

    /// Answers an `OPTIONS` request of a dialect whose methods name it. It proves nothing and changes nothing.
    fn greet(&self, _request: &Inbound<'_>) -> Result<Reply, Refusal> {
        Err(Refusal::Method(self.methods()))
    }

    /// Checks the proof that the hook demands; never called for `none`.
    fn verify(&self, hook: &Hook, request: &Inbound<'_>, now: Timestamp) -> Result<(), Refusal>;

    /// Reads a proven request.
    fn parse(&self, hook: &Hook, request: &Inbound<'_>) -> Result<Message, Refusal>;

    /// Writes a telling for `endpoint`, with the proof that `verify` describes.
    fn render(
        &self,
        telling: &Telling,
        endpoint: &str,
        verify: &Verify,
        now: Timestamp,
    ) -> Result<Outbound, Inexpressible>;
}

fn of(vendor: Vendor) -> &'static dyn Dialect {
    match vendor {
        Vendor::Ppj => &ppj::Ppj,
        Vendor::Baidu => &baidu::Baidu,
        Vendor::Zoffice => &zoffice::Zoffice,
        Vendor::Gini => &gini::Gini,
        Vendor::Standard => &standard::Standard,
        Vendor::Generic => &generic::Generic,
    }
}

/// Reads a request that came in at `hook`: method, handshake without proof, proof, and only then the meaning.
pub fn read(hook: &Hook, request: &Inbound<'_>, now: Timestamp) -> Result<Message, Refusal> {
    let dialect = of(hook.vendor);
    if !dialect.methods().split(", ").any(|m| m == request.method.as_str()) {
        return Err(Refusal::Method(dialect.methods()));
    }
    if request.method == Method::OPTIONS {
        return dialect.greet(request).map(Message::Handshake);
    }
    if !matches!(hook.verify, Verify::None {}) {
        dialect.verify(hook, request, now)?;
    }
    dialect.parse(hook, request)
}

/// Reads a request that was proven when it arrived: the replay of a reject, whose credentials are gone.
pub fn parse_kept(hook: &Hook, request: &Inbound<'_>) -> Result<Message, Refusal> {
    of(hook.vendor).parse(hook, request)
}

/// Writes a telling in a vendor's words, for `endpoint`, with the proof that `verify` describes.
pub fn render(
    vendor: Vendor,
    telling: &Telling,
    endpoint: &str,
    verify: &Verify,
    now: Timestamp,
) -> Result<Outbound, Inexpressible> {
    of(vendor).render(telling, endpoint, verify, now)
}

/// A POST of JSON, as most formats are.
fn post(endpoint: &str, headers: Vec<(String, String)>, body: Vec<u8>) -> Outbound {
    let mut all = vec![("content-type".to_owned(), "application/json".to_owned())];
    all.extend(headers);
    Outbound { method: Method::POST, url: endpoint.to_owned(), headers: all, body: body.into() }
}

fn unintelligible(why: impl Into<String>) -> Refusal {
    Refusal::Unintelligible(why.into())
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
