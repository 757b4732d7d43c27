//! Shared by the dialects' tests: hooks, requests that own their parts, and events.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::{OutgoingEvent, OutgoingRequest, ParsedMessage, WebhookError, WebhookRequest, verify_and_parse};
use crate::domain::{Encoding, Hook, Mapping, Secret, Status, Timestamp, Update, Vendor, Verify};

/// The time of the tests, in seconds.
pub(super) const NOW: i64 = 1_490_255_398;

/// The public URL of [`hook`].
pub(super) const ENDPOINT: &str = "https://relay.example/in/k0";

pub(super) fn now() -> Timestamp {
    Timestamp::from_seconds(NOW)
}

pub(super) fn hook(vendor: Vendor, verify: Verify) -> Hook {
    Hook {
        id: "h0".into(),
        key: Secret::new("k0"),
        vendor,
        name: None,
        labels: BTreeMap::new(),
        label_cookies: Vec::new(),
        verify,
        mapping: None,
        created: now(),
    }
}

/// A hook without verification.
pub(super) fn open(vendor: Vendor) -> Hook {
    hook(vendor, Verify::None {})
}

/// A request that owns its parts.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn get(query: &str) -> Self {
        let query = Some(query.to_owned());
        Self { method: Method::GET, path: "/in/k0".into(), query, headers: HeaderMap::new(), body: Vec::new() }
    }

    pub(super) fn post(body: impl AsRef<[u8]>) -> Self {
        Self { method: Method::POST, query: None, body: body.as_ref().to_vec(), ..Self::get("") }
    }

    /// The request as received when `out` is sent.
    pub(super) fn of(out: &OutgoingRequest) -> Self {
        let url = url::Url::parse(&out.url).expect("a URL");
        let mut request = Self {
            method: out.method.clone(),
            path: url.path().to_owned(),
            query: url.query().map(str::to_owned),
            headers: HeaderMap::new(),
            body: out.body.to_vec(),
        };
        for (name, value) in &out.headers {
            request = request.header(name, value);
        }
        request
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        self.headers.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        self
    }

    pub(super) fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    pub(super) fn inbound(&self) -> WebhookRequest<'_> {
        WebhookRequest {
            method: &self.method,
            path: &self.path,
            query: self.query.as_deref(),
            endpoint: Some(ENDPOINT),
            headers: &self.headers,
            body: &self.body,
        }
    }

    pub(super) fn parse(&self, hook: &Hook) -> Result<ParsedMessage, WebhookError> {
        verify_and_parse(hook, &self.inbound(), now())
    }

    /// The parsed update; panics otherwise.
    pub(super) fn update(&self, hook: &Hook) -> Update {
        match self.parse(hook).expect("taken") {
            ParsedMessage::Update(update) => *update,
            ParsedMessage::Handshake(reply) => panic!("a handshake: {reply:?}"),
        }
    }

    pub(super) fn is_unauthorized(&self, hook: &Hook) -> bool {
        matches!(self.parse(hook), Err(WebhookError::Unauthorized(_) | WebhookError::UnknownSignature(_)))
    }

    pub(super) fn has_unknown_signature(&self, hook: &Hook) -> bool {
        matches!(self.parse(hook), Err(WebhookError::UnknownSignature(_)))
    }

    pub(super) fn is_malformed(&self, hook: &Hook) -> bool {
        matches!(self.parse(hook), Err(WebhookError::Malformed(_)))
    }
}

pub(super) fn outgoing_event(vendor_id: &str, status: Status) -> OutgoingEvent {
    OutgoingEvent {
        message_id: "msg_1".into(),
        update: Update::new(vendor_id.parse().expect("good"), status),
        document_id: vendor_id.into(),
        notification: "doc_notification".into(),
        time: now(),
        event: None,
    }
}

/// A mapping for the bodies that the generic dialect renders.
pub(super) fn mapping() -> Mapping {
    Mapping {
        vendor_id: "/vendorId".into(),
        status: "/status".into(),
        statuses: Status::ALL.map(|s| (s.to_string(), s)).into_iter().collect::<BTreeMap<_, _>>(),
        title: Some("/title".into()),
        result: Some("/result".into()),
        error_code: Some("/error/code".into()),
        error_message: Some("/error/message".into()),
        time: None,
        message_id: None,
    }
}

pub(super) fn verify_variants(vendor: Vendor) -> Vec<Verify> {
    let secret = Secret::new("s3cret");
    let mut verify_variants = vec![Verify::None {}];
    verify_variants.extend(match vendor {
        Vendor::Ppj => vec![Verify::Ppj { secret, edition: None }],
        Vendor::Baidu => vec![Verify::Baidu { secret }],
        Vendor::Zoffice => vec![Verify::Cookie { secret: secret.clone() }, Verify::Authorization { secret }],
        Vendor::Gini => vec![Verify::Authorization { secret }],
        Vendor::Standard => {
            vec![Verify::Standard { secrets: vec![Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")] }]
        }
        Vendor::Generic => {
            let header = "x-signature".to_owned();
            let hmac = Verify::HmacSha256 {
                secret: secret.clone(),
                header,
                prefix: "sha256=".into(),
                encoding: Encoding::Hex,
            };
            vec![hmac, Verify::Authorization { secret }]
        }
    });
    verify_variants
}

pub(super) fn every_hook() -> Vec<Hook> {
    let mut hooks = Vec::new();
    for vendor in Vendor::ALL {
        for verify in verify_variants(vendor) {
            let mapping = (vendor == Vendor::Generic).then(mapping);
            hooks.push(Hook { mapping, label_cookies: vec!["a".into()], ..hook(vendor, verify) });
        }
    }
    hooks
}
