//! zOffice: `taskId`, `code` and a `detail` with optional keys only. Credentials are a Cookie or Authorization value
//! that the application chose. zOffice never retries, so parsing is as lenient as possible.

use std::collections::BTreeMap;

use http::HeaderMap;
use serde_json::{Map, Value, json};

use super::{
    Dialect, OutgoingEvent, OutgoingRequest, ParsedMessage, RenderError, WebhookError, WebhookRequest, json, malformed,
    post_json, shared_secret, unexpected_verify_type,
};
use crate::domain::{Hook, Status, Timestamp, Update, Vendor, VendorError, Verify};

const EXPECTED_COOKIE: &str = "the header Cookie must equal the hook's secret";

pub(super) struct Zoffice;

impl Dialect for Zoffice {
    fn methods(&self) -> &'static str {
        "POST"
    }

    fn verify_types(&self) -> &'static [&'static str] {
        &["none", "cookie", "authorization"]
    }

    fn verify(&self, hook: &Hook, request: &WebhookRequest<'_>, _now: Timestamp) -> Result<(), WebhookError> {
        match &hook.verify {
            Verify::Authorization { secret } => shared_secret::check_authorization(request.headers, secret),
            Verify::Cookie { .. } if !request.headers.contains_key("cookie") => {
                Err(shared_secret::missing(request.headers, EXPECTED_COOKIE))
            }
            // HTTP/2 may split the header; RFC 9113, 8.2.3 joins the parts with "; ".
            Verify::Cookie { secret }
                if shared_secret::equals_secret(&cookies(request.headers).join(&b"; "[..]), secret)? =>
            {
                Ok(())
            }
            Verify::Cookie { .. } => Err(WebhookError::Unauthorized(EXPECTED_COOKIE)),
            _ => Err(unexpected_verify_type()),
        }
    }

    fn parse(&self, hook: &Hook, request: &WebhookRequest<'_>) -> Result<ParsedMessage, WebhookError> {
        let body = json::object(request.body)?;
        let code = json::string(&body, "code")?;
        // `convertFailNotify` occurs on the wire as well.
        let lower = code.to_ascii_lowercase();
        let status = match lower.as_str() {
            "convertsuccessnotify" | "tasksuccessnotify" => Status::Completed,
            "convertfailnotify" | "taskfailnotify" => Status::Error,
            "taskhandingnotify" | "converthandingnotify" => Status::Pending,
            _ => return Err(malformed(format!("code {} is unknown", json::quote(code)))),
        };
        let mut update = Update::new(json::vendor_id(&body, "taskId")?, status);
        update.dedup_key = Some(format!("{lower}:{}", json::normalized(&update.vendor_id)));
        update.labels = labels(&hook.label_cookies, request.headers);
        let mut detail = match body.get("detail") {
            Some(Value::Object(map)) => map.clone(),
            None | Some(Value::Null) => Map::new(),
            // Not an object, but kept because zOffice does not retry.
            Some(other) => Map::from_iter([("detail".to_owned(), other.clone())]),
        };
        update.title = json::text(detail.get("filename"));
        update.vendor_time = json::time(detail.get("endTime")).or_else(|| json::time(detail.get("startTime")));
        if status == Status::Error {
            let message = json::text(detail.get("msg")).unwrap_or_default();
            update.error = Some(VendorError { code: code.to_owned(), message });
        }
        detail.shift_remove("taskStatus");
        for (key, value) in body {
            if !["taskId", "code", "detail"].contains(&key.as_str()) {
                detail.entry(key).or_insert(value);
            }
        }
        update.result = json::non_empty(detail);
        Ok(ParsedMessage::Update(Box::new(update)))
    }

    fn render(
        &self,
        event: &OutgoingEvent,
        endpoint: &str,
        verify: &Verify,
        _now: Timestamp,
    ) -> Result<OutgoingRequest, RenderError> {
        let code = match event.update.status {
            Status::Completed => "TaskSuccessNotify",
            Status::Error => "TaskFailNotify",
            Status::Pending => "TaskHandingNotify",
        };
        let body = json!({ "taskId": event.update.vendor_id, "code": code, "detail": detail(&event.update) });
        let header = match verify {
            Verify::None {} => None,
            Verify::Cookie { secret } => Some(("cookie", secret)),
            Verify::Authorization { secret } => Some(("authorization", secret)),
            other => return Err(RenderError::UnsupportedVerify { vendor: Vendor::Zoffice, verify_type: other.kind() }),
        };
        let headers = header.map(|(name, secret)| (name.to_owned(), secret.expose().to_owned()));
        Ok(post_json(endpoint, headers.into_iter().collect(), json::bytes(&body)))
    }
}

/// The documented keys, always and with their types, because receivers with strict types refuse anything else: an empty
/// string for what is unknown. Keys of other vendors have no place here.
fn detail(update: &Update) -> Value {
    let known = |key: &str| update.result.as_ref().and_then(|result| result.get(key)).and_then(Value::as_str);
    let filename = update.title.as_deref().or_else(|| known("filename")).unwrap_or_default();
    match update.status {
        Status::Completed => json!({
            "taskStatus": "SUCCESS",
            "defaultDownloadPath": known("defaultDownloadPath").unwrap_or_default(),
            "contentId": known("contentId").unwrap_or_default(),
            "filename": filename,
        }),
        Status::Error => {
            // The format has no field for the code; it is sent if there is no message.
            let text = |error: &VendorError| match error.message.as_str() {
                "" => error.code.clone(),
                message => message.to_owned(),
            };
            let msg = update.error.as_ref().map(text).unwrap_or_default();
            json!({ "taskStatus": "FAIL", "msg": msg, "filename": filename })
        }
        Status::Pending => Value::Null,
    }
}

fn cookies(headers: &HeaderMap) -> Vec<&[u8]> {
    headers.get_all("cookie").iter().map(http::HeaderValue::as_bytes).collect()
}

/// The cookies with these names. The first value of a repeated name wins (RFC 6265 sends the most specific first).
fn labels(names: &[String], headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    if names.is_empty() {
        return labels;
    }
    for header in cookies(headers) {
        let Ok(text) = std::str::from_utf8(header) else { continue };
        for (name, value) in text.split(';').filter_map(|pair| pair.split_once('=')) {
            let name = name.trim();
            if names.iter().any(|n| n == name) {
                labels.entry(name.to_owned()).or_insert_with(|| value.trim().to_owned());
            }
        }
    }
    labels
}

#[cfg(test)]
mod tests;
