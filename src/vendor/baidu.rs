//! Baidu DOC: an envelope whose `messageBody` is JSON inside a string, and the `notification-auth-*` headers by which
//! products of the same platform sign theirs.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{
    Dialect, OutgoingEvent, OutgoingRequest, ParsedMessage, RenderError, WebhookError, WebhookRequest, json, malformed,
    post_json, verification,
};
use crate::domain::{Encoding, Hook, Secret, Status, Timestamp, Update, Vendor, Verify};

const EXPIRE: &str = "notification-auth-expire";
const USER: &str = "notification-auth-user";
const TOKEN: &str = "notification-auth-token";

const WANTED: &str = "the headers notification-auth-expire, notification-auth-user and notification-auth-token are \
                      needed, each once";
const STALE: &str = "the signature has expired by this clock";
const FAR: &str = "notification-auth-expire is more than 24 hours ahead of this clock";
const WRONG: &str = "the signature does not match: it covers the method, this hook's address, the body, the expiry \
                     and the user";

/// How long a signature of ours is good for: as long as the platform's own, half an hour.
const GOOD_FOR: Duration = Duration::from_secs(1800);

/// How far ahead a sender may set its expiry. The platform's signatures last half an hour; one that lasts for years
/// could be replayed, by whoever saw it once, long after the 30 days for which a repeat is known. A day leaves room for
/// products with longer habits.
const AT_MOST: Duration = Duration::from_secs(24 * 3600);

/// The keys of a message that mean something here; all others are the vendor's, and travel in `result`.
const KNOWN: [&str; 5] = ["documentId", "title", "status", "error", "notifyTime"];

/// The dialect of Baidu DOC.
pub(super) struct Baidu;

impl Dialect for Baidu {
    fn methods(&self) -> &'static str {
        "POST"
    }

    fn verify_types(&self) -> &'static [&'static str] {
        &["none", "baidu"]
    }

    fn verify(&self, hook: &Hook, request: &WebhookRequest<'_>, now: Timestamp) -> Result<(), WebhookError> {
        let Verify::Baidu { secret } = &hook.verify else { return Err(verification::unexpected_verify_type()) };
        let secret = verification::secret_bytes(secret)?;
        let expire = verification::single_header(request.headers, EXPIRE, WANTED)?;
        let user = verification::single_header(request.headers, USER, WANTED)?;
        let sent = verification::single_header(request.headers, TOKEN, WANTED)?;
        let until = verification::parse_digits(expire).ok_or(WebhookError::Unauthorized(WANTED))?;
        // Clocks differ: the same five minutes as everywhere.
        if until < now.minus(verification::MAX_CLOCK_SKEW).millis() {
            return Err(WebhookError::Unauthorized(STALE));
        }
        // A timestamp saturates, so no number that a stranger writes overflows here.
        if until > now.plus(AT_MOST).millis() {
            return Err(WebhookError::Unauthorized(FAR));
        }
        let sent = verification::decode_tag(Encoding::Hex, sent).ok_or(WebhookError::Unauthorized(WRONG))?;
        let good = endpoints(request)
            .iter()
            .any(|e| verification::tags_equal(&sign(secret, e.as_bytes(), request.body, expire, user), &sent));
        if good { Ok(()) } else { Err(WebhookError::Unauthorized(WRONG)) }
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
        let word = json::string(&message, "status")?;
        let status = match word {
            "PUBLISHED" => Status::Completed,
            "FAILED" => Status::Error,
            "UPLOADING" | "PROCESSING" => Status::Pending,
            other => return Err(malformed(format!("status {} is unknown", json::quote(other)))),
        };
        let mut update = Update::new(json::vendor_id(&message, "documentId")?, status);
        update.dedup_key = repeat_key(&envelope, &message, &update, word);
        update.title = json::text(message.get("title"));
        if status == Status::Error {
            update.error = json::failure(message.get("error"));
        }
        update.vendor_time = json::time(message.get("notifyTime"));
        update.result = json::result(message, "publishInfo", &KNOWN);
        Ok(ParsedMessage::Update(Box::new(update)))
    }

    fn render(
        &self,
        outgoing_event: &OutgoingEvent,
        endpoint: &str,
        verify: &Verify,
        now: Timestamp,
    ) -> Result<OutgoingRequest, RenderError> {
        let body = json::bytes(&json!({
            "messageId": outgoing_event.message_id,
            "messageBody": message(outgoing_event)?.to_string(),
            "notification": outgoing_event.notification,
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

/// The headers that sign_headers a POST of `body` to `endpoint`.
pub(super) fn sign_headers(
    secret: &Secret,
    endpoint: &str,
    body: &[u8],
    now: Timestamp,
) -> Result<Vec<(String, String)>, RenderError> {
    let secret = verification::secret_bytes(secret).map_err(|_| RenderError::InvalidSecret("it is empty"))?;
    let (expire, user) = (now.plus(GOOD_FOR).millis().to_string(), "docrelay");
    let tag = sign(secret, endpoint.as_bytes(), body, expire.as_bytes(), user.as_bytes());
    Ok(vec![
        (EXPIRE.to_owned(), expire),
        (USER.to_owned(), user.to_owned()),
        (TOKEN.to_owned(), verification::hex(&tag)),
    ])
}

/// `messageId`, or for products that leave it out, what makes the message what it is.
fn repeat_key(
    envelope: &Map<String, Value>,
    message: &Map<String, Value>,
    update: &Update,
    word: &str,
) -> Option<String> {
    match json::key(envelope.get("messageId")) {
        Some(id) => Some(format!("message:{id}")),
        None => {
            let time = json::text(message.get("notifyTime")).unwrap_or_default();
            Some(format!("state:{word}:{time}:{}", json::spelling(&update.vendor_id)))
        }
    }
}

fn sign(secret: &[u8], endpoint: &[u8], body: &[u8], expire: &[u8], user: &[u8]) -> [u8; 32] {
    verification::hmac(secret, &[b"POST;", endpoint, b";", body, b";", expire, b";", user])
}

/// The addresses the sender may have signed: the hook's own as it was handed out, and those that the request itself
/// gives, for a relay that does not know under which name it is reached. Whoever chooses `Host` gains nothing: the path
/// holds the hook's key, and a signature over another name still needs the secret.
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

/// The inner message, with the keys in the order of Baidu's documentation.
fn message(outgoing_event: &OutgoingEvent) -> Result<Value, RenderError> {
    let update = &outgoing_event.update;
    let status = match update.status {
        Status::Completed => "PUBLISHED",
        Status::Error => "FAILED",
        status @ Status::Pending => return Err(RenderError::UnsupportedStatus { vendor: Vendor::Baidu, status }),
    };
    let mut message = Map::new();
    message.insert("documentId".into(), json!(update.vendor_id));
    message.insert("title".into(), json!(update.title.as_deref().unwrap_or_default()));
    message.insert("status".into(), json!(status));
    if update.status == Status::Completed {
        message.insert("publishInfo".into(), json!(update.result.clone().unwrap_or_default()));
    } else {
        let (code, message_text) = update.error.as_ref().map_or(("", ""), |e| (&e.code, &e.message));
        message.insert("error".into(), json!({ "code": code, "message": message_text }));
    }
    let time = update.vendor_time.unwrap_or(outgoing_event.time);
    message.insert("notifyTime".into(), json!(seconds(time)));
    Ok(Value::Object(message))
}

/// `YYYY-MM-DDThh:mm:ssZ`, as the platform writes times.
fn seconds(time: Timestamp) -> String {
    let text = time.to_string();
    format!("{}Z", text.split('.').next().unwrap_or_default())
}

#[cfg(test)]
mod tests;
