//! Baidu DOC: an envelope whose `messageBody` is JSON inside a string. Sibling products of the platform sign with
//! `notification-auth-*` headers.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{
    Dialect, OutgoingEvent, OutgoingRequest, ParsedMessage, RenderError, WebhookError, WebhookRequest, json, malformed,
    post_json, shared_secret, unexpected_verify_type,
};
use crate::domain::{Encoding, Hook, Secret, Status, Timestamp, Update, Vendor, Verify};

const EXPIRE: &str = "notification-auth-expire";
const USER: &str = "notification-auth-user";
const TOKEN: &str = "notification-auth-token";

const MISSING: &str = "the headers notification-auth-expire, notification-auth-user and notification-auth-token are \
                       required, each once";
const UNKNOWN_FORM: &str = "the header notification-auth-token is not an HMAC-SHA256 in hexadecimal";
const EXPIRED: &str = "the signature has expired";
const EXPIRY_TOO_FAR: &str = "notification-auth-expire is more than 24 hours in the future";
const MISMATCH: &str = "the signature does not match: it covers the method, this hook's URL, the body, the expiry and \
                        the user";

/// Lifetime of our signatures: half an hour, as on Baidu's platform.
const SIGNATURE_TTL: Duration = Duration::from_secs(1800);

/// Longest accepted lifetime of a received signature. The platform uses half an hour; a day tolerates other products. A
/// longer one would allow replays after the 30 days of deduplication.
const MAX_SIGNATURE_TTL: Duration = Duration::from_secs(24 * 3600);

/// The parsed keys of a message; all others become part of `result`.
const PARSED_KEYS: [&str; 5] = ["documentId", "title", "status", "error", "notifyTime"];

pub(super) struct Baidu;

impl Dialect for Baidu {
    fn methods(&self) -> &'static str {
        "POST"
    }

    fn verify_types(&self) -> &'static [&'static str] {
        &["none", "baidu"]
    }

    fn verify(&self, hook: &Hook, request: &WebhookRequest<'_>, now: Timestamp) -> Result<(), WebhookError> {
        let Verify::Baidu { secret } = &hook.verify else { return Err(unexpected_verify_type()) };
        let secret = shared_secret::secret_bytes(secret)?;
        let sent = shared_secret::signature_header(request.headers, TOKEN, MISSING)?;
        let tag = shared_secret::decode_tag(Encoding::Hex, sent);
        let sent = tag.ok_or_else(|| shared_secret::unknown_form(sent, UNKNOWN_FORM))?;
        let expire = shared_secret::single_header(request.headers, EXPIRE, MISSING)?;
        let user = shared_secret::single_header(request.headers, USER, MISSING)?;
        let expires = shared_secret::parse_digits(expire).ok_or(WebhookError::Unauthorized(MISSING))?;
        if expires < now.minus(shared_secret::MAX_CLOCK_SKEW).millis() {
            return Err(WebhookError::Unauthorized(EXPIRED));
        }
        // `plus` saturates, so it cannot overflow.
        if expires > now.plus(MAX_SIGNATURE_TTL).millis() {
            return Err(WebhookError::Unauthorized(EXPIRY_TOO_FAR));
        }
        let good = endpoints(request)
            .iter()
            .any(|e| shared_secret::tags_equal(&sign(secret, e.as_bytes(), request.body, expire, user), &sent));
        if good { Ok(()) } else { Err(WebhookError::Unauthorized(MISMATCH)) }
    }

    fn parse(&self, _hook: &Hook, request: &WebhookRequest<'_>) -> Result<ParsedMessage, WebhookError> {
        let envelope = json::object(request.body)?;
        let message = match envelope.get("messageBody") {
            Some(Value::String(text)) => {
                json::object(text.as_bytes()).map_err(|e| malformed(format!("messageBody: {e}")))?
            }
            Some(Value::Object(map)) => map.clone(),
            Some(_) => return Err(malformed("messageBody is neither a string nor an object")),
            None => return Err(malformed("messageBody is missing")),
        };
        let status_text = json::string(&message, "status")?;
        let status = match status_text {
            "PUBLISHED" => Status::Completed,
            "FAILED" => Status::Error,
            "UPLOADING" | "PROCESSING" => Status::Pending,
            other => return Err(malformed(format!("status {} is unknown", json::quote(other)))),
        };
        let mut update = Update::new(json::vendor_id(&message, "documentId")?, status);
        update.dedup_key = dedup_key(&envelope, &message, &update, status_text);
        update.title = json::text(message.get("title"));
        if status == Status::Error {
            update.error = json::error(message.get("error"));
        }
        update.vendor_time = json::time(message.get("notifyTime"));
        update.result = json::result(message, "publishInfo", &PARSED_KEYS);
        Ok(ParsedMessage::Update(Box::new(update)))
    }

    fn render(
        &self,
        event: &OutgoingEvent,
        endpoint: &str,
        verify: &Verify,
        now: Timestamp,
    ) -> Result<OutgoingRequest, RenderError> {
        let body = json::bytes(&json!({
            "messageId": event.message_id,
            "messageBody": message(event)?.to_string(),
            "notification": event.notification,
            "server": "doc.bj.baidubce.com",
        }));
        let headers = match verify {
            Verify::None {} => Vec::new(),
            Verify::Baidu { secret } => sign_headers(secret, endpoint, &body, now)?,
            other => return Err(RenderError::UnsupportedVerify { vendor: Vendor::Baidu, verify_type: other.kind() }),
        };
        Ok(post_json(endpoint, headers, body))
    }
}

/// The signature headers of a POST of `body` to `endpoint`.
pub(super) fn sign_headers(
    secret: &Secret,
    endpoint: &str,
    body: &[u8],
    now: Timestamp,
) -> Result<Vec<(String, String)>, RenderError> {
    let secret = shared_secret::secret_bytes(secret).map_err(|_| RenderError::InvalidSecret("it is empty"))?;
    let (expire, user) = (now.plus(SIGNATURE_TTL).millis().to_string(), "docrelay");
    let tag = sign(secret, endpoint.as_bytes(), body, expire.as_bytes(), user.as_bytes());
    Ok(vec![
        (EXPIRE.to_owned(), expire),
        (USER.to_owned(), user.to_owned()),
        (TOKEN.to_owned(), shared_secret::hex(&tag)),
    ])
}

/// `messageId`, or status, time and document for products that omit it.
fn dedup_key(
    envelope: &Map<String, Value>,
    message: &Map<String, Value>,
    update: &Update,
    status_text: &str,
) -> Option<String> {
    match json::message_id(envelope.get("messageId")) {
        Some(id) => Some(format!("message:{id}")),
        None => {
            let time = json::text(message.get("notifyTime")).unwrap_or_default();
            Some(format!("state:{status_text}:{time}:{}", json::normalized(&update.vendor_id)))
        }
    }
}

fn sign(secret: &[u8], endpoint: &[u8], body: &[u8], expire: &[u8], user: &[u8]) -> [u8; 32] {
    shared_secret::hmac(secret, &[b"POST;", endpoint, b";", body, b";", expire, b";", user])
}

/// The URLs that the sender may have signed: the hook's public URL, and URLs made from `Host` for a relay that does not
/// know its public name. A forged `Host` gives no access, because the signature still requires the secret.
fn endpoints(request: &WebhookRequest<'_>) -> Vec<String> {
    let mut bases: Vec<String> = request.endpoint.map(str::to_owned).into_iter().collect();
    if let Some(host) = request.headers.get("host").and_then(|h| h.to_str().ok()) {
        bases.extend(["https", "http"].map(|scheme| format!("{scheme}://{host}{}", request.path)));
    }
    let with_query: Vec<_> =
        request.query.map(|q| bases.iter().map(|b| format!("{b}?{q}")).collect()).unwrap_or_default();
    bases.extend(with_query);
    bases
}

/// The content of `messageBody`, with the keys in the order of Baidu's documentation.
fn message(event: &OutgoingEvent) -> Result<Value, RenderError> {
    let update = &event.update;
    let status = match update.status {
        Status::Completed => "PUBLISHED",
        Status::Error => "FAILED",
        status @ Status::Pending => return Err(RenderError::UnsupportedStatus { vendor: Vendor::Baidu, status }),
    };
    let time = update.vendor_time.unwrap_or(event.time);
    let mut message = Map::new();
    message.insert("documentId".into(), json!(update.vendor_id));
    message.insert("title".into(), json!(update.title.as_deref().unwrap_or_default()));
    message.insert("status".into(), json!(status));
    if update.status == Status::Completed {
        message.insert("publishInfo".into(), publish_info(update, time));
    } else {
        let (code, message_text) = update.error.as_ref().map_or(("", ""), |e| (&e.code, &e.message));
        message.insert("error".into(), json!({ "code": code, "message": message_text }));
    }
    message.insert("notifyTime".into(), json!(format_seconds(time)));
    Ok(Value::Object(message))
}

/// The three documented keys, always and with their types, because receivers with strict types refuse anything else: 0
/// for an unknown number, the time of the event for an unknown time. Keys of other vendors have no place here.
fn publish_info(update: &Update, time: Timestamp) -> Value {
    let known = |key: &str| update.result.as_ref().and_then(|result| result.get(key));
    let number = |key: &str| known(key).and_then(Value::as_u64).unwrap_or(0);
    let published = known("publishTime").and_then(Value::as_str).and_then(Timestamp::parse).unwrap_or(time);
    json!({
        "pageCount": number("pageCount"),
        "sizeInBytes": number("sizeInBytes"),
        "publishTime": format_seconds(published),
    })
}

/// `YYYY-MM-DDThh:mm:ssZ`.
fn format_seconds(time: Timestamp) -> String {
    let text = time.to_string();
    format!("{}Z", text.split('.').next().unwrap_or_default())
}

#[cfg(test)]
mod tests;
