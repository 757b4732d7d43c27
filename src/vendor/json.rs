//! Parsing of vendors' JSON: strict for identifiers, lenient for descriptive values. Independent of vendors' keys.

use data_encoding::BASE64;
use serde_json::{Map, Number, Value};

use super::{WebhookError, malformed};
use crate::domain::{DocumentId, Timestamp, VendorError, VendorId};

/// Maximum nesting of a body. The body is nested again in an event, and JSON parsers stop at about 128 levels.
const MAX_DEPTH: usize = 64;

/// Numbers below are times in seconds, others in milliseconds. Seconds reach it in the year 5138.
const MIN_MILLISECONDS: i64 = 100_000_000_000;

/// Parses any JSON value within [`MAX_DEPTH`].
pub(super) fn value(bytes: &[u8]) -> Result<Value, WebhookError> {
    // Some Windows senders begin with a byte order mark; RFC 8259 allows ignoring it.
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let value: Value = serde_json::from_slice(bytes).map_err(|e| malformed(format!("the body is not JSON: {e}")))?;
    if depth_within(&value, MAX_DEPTH) {
        Ok(value)
    } else {
        Err(malformed(format!("the body is nested more than {MAX_DEPTH} levels deep")))
    }
}

/// Parses a JSON object.
pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, WebhookError> {
    match value(bytes)? {
        Value::Object(map) => Ok(map),
        _ => Err(malformed("the body is JSON, but not an object")),
    }
}

fn depth_within(value: &Value, left: usize) -> bool {
    match value {
        Value::Array(items) => left > 0 && items.iter().all(|v| depth_within(v, left - 1)),
        Value::Object(map) => left > 0 && map.values().all(|v| depth_within(v, left - 1)),
        _ => true,
    }
}

/// A required string.
pub(super) fn string<'a>(map: &'a Map<String, Value>, key: &str) -> Result<&'a str, WebhookError> {
    match map.get(key) {
        Some(Value::String(s)) => Ok(s),
        Some(_) => Err(malformed(format!("{key} is not a string"))),
        None => Err(malformed(format!("{key} is missing"))),
    }
}

/// A required identifier; see [`id`].
pub(super) fn vendor_id(map: &Map<String, Value>, key: &str) -> Result<VendorId, WebhookError> {
    id(map.get(key).ok_or_else(|| malformed(format!("{key} is missing")))?, key)
}

/// An identifier: a string, or an integer of at most 64 bits. Other numbers were rounded when parsed, so that different
/// jobs could get the same identifier.
pub(super) fn id(value: &Value, key: &str) -> Result<VendorId, WebhookError> {
    match value {
        Value::String(text) => parse_id(text, key),
        Value::Number(number) if is_integer(number) => parse_id(&number.to_string(), key),
        Value::Number(_) => Err(malformed(format!("{key} is not a whole number of at most 64 bits"))),
        _ => Err(malformed(format!("{key} is neither a string nor a number"))),
    }
}

/// A message's own identifier as text: a string that is not blank, or an integer. Other values could be the same in
/// different messages, and the second message would be dropped as a duplicate.
pub(super) fn message_id(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Number(number) if is_integer(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Whether a number was parsed without rounding.
fn is_integer(number: &Number) -> bool {
    number.is_i64() || number.is_u64()
}

/// An identifier as part of a deduplication key. UUIDs are lower-cased; other identifiers are not changed.
pub(super) fn normalized(id: &VendorId) -> String {
    id.as_str().parse::<DocumentId>().map_or_else(|_| id.to_string(), |uuid| uuid.to_string())
}

/// Parses an identifier; an error names `key`.
pub(super) fn parse_id(text: &str, key: &str) -> Result<VendorId, WebhookError> {
    text.parse().map_err(|e| malformed(format!("{key}: {e}")))
}

/// A value as text: strings unchanged, other values as compact JSON; `None` for null and `""`.
pub(super) fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::Null => None,
        Value::String(s) if s.is_empty() => None,
        Value::String(s) => Some(s.clone()),
        other => Some(other.to_string()),
    }
}

/// A time: RFC 3339, or a number (also as text) of seconds or milliseconds. `None` for other values.
pub(super) fn time(value: Option<&Value>) -> Option<Timestamp> {
    match value? {
        Value::String(s) => Timestamp::parse(s).or_else(|| s.parse().ok().and_then(from_number)),
        Value::Number(n) => n.as_i64().and_then(from_number),
        _ => None,
    }
}

fn from_number(n: i64) -> Option<Timestamp> {
    match n {
        ..=0 => None,
        1..MIN_MILLISECONDS => Some(Timestamp::from_seconds(n)),
        _ => Some(Timestamp::from_millis(n)),
    }
}

/// An error: `{"code","message"}`, or a message alone.
pub(super) fn error(value: Option<&Value>) -> Option<VendorError> {
    match value? {
        Value::Object(map) => Some(VendorError {
            code: text(map.get("code")).unwrap_or_default(),
            message: text(map.get("message")).unwrap_or_default(),
        }),
        other => text(Some(other)).map(|message| VendorError { code: String::new(), message }),
    }
}

/// `None` for an empty object.
pub(super) fn non_empty(map: Map<String, Value>) -> Option<Map<String, Value>> {
    if map.is_empty() { None } else { Some(map) }
}

/// The result: the object under `inner`, then all keys of `outer` that are not `known`.
pub(super) fn result(mut outer: Map<String, Value>, inner: &str, known: &[&str]) -> Option<Map<String, Value>> {
    let mut result = match outer.shift_remove(inner) {
        Some(Value::Object(map)) => map,
        // Not an object; kept under its key.
        Some(other) if !other.is_null() => Map::from_iter([(inner.to_owned(), other)]),
        _ => Map::new(),
    };
    for (key, value) in outer {
        if !known.contains(&key.as_str()) {
            result.entry(key).or_insert(value);
        }
    }
    non_empty(result)
}

/// Parses the JSON object in `data_base64`.
pub(super) fn from_base64(text: &str) -> Result<Map<String, Value>, WebhookError> {
    object(&BASE64.decode(text.as_bytes()).map_err(|_| malformed("data_base64 is not base64"))?)
}

/// A received value for an error message: quoted, escaped, at most 40 characters.
pub(super) fn quote(value: &str) -> String {
    let short: String = value.chars().take(40).collect();
    format!("{short:?}")
}

/// Serializes to memory, which cannot fail for maps and strings.
pub(super) fn bytes(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn hostile_json_is_malformed_without_panic() {
        let deep = "[".repeat(100_000);
        let deeper = format!("{{\"a\":{}{}}}", "[".repeat(64), "]".repeat(64));
        let bodies: [&[u8]; 10] = [
            b"",
            b"\0",
            b"\xFF\xFE",
            b"{\"a\":\"\xC3\"}",
            br#"{"a":"\ud800"}"#,
            b"{",
            b"[]",
            b"null",
            deep.as_bytes(),
            deeper.as_bytes(),
        ];
        for body in bodies {
            assert!(matches!(object(body), Err(WebhookError::Malformed(_))), "{:?}", &body[..body.len().min(20)]);
        }
    }

    #[test]
    fn deepest_accepted_body_is_64_levels() {
        let deepest = format!("{{\"a\":{}{}}}", "[".repeat(63), "]".repeat(63));
        assert!(object(deepest.as_bytes()).is_ok());
    }

    #[test]
    fn times_parse_as_text_seconds_and_milliseconds() {
        let same =
            [json!("2016-12-08T08:45:37Z"), json!(1_481_186_737), json!(1_481_186_737_000_i64), json!("1481186737")];
        for value in same {
            assert_eq!(time(Some(&value)).map(Timestamp::seconds), Some(1_481_186_737), "{value}");
        }
        for value in [json!("yesterday"), json!(-1), json!(1e300), json!({}), json!(null), json!(0)] {
            assert_eq!(time(Some(&value)), None, "{value}");
        }
    }

    #[test]
    fn only_non_blank_text_and_integers_are_message_keys() {
        for (value, name) in
            [(json!("m-1"), "m-1"), (json!(" m "), " m "), (json!(0), "0"), (json!(u64::MAX), "18446744073709551615")]
        {
            assert_eq!(message_id(Some(&value)).as_deref(), Some(name), "{value}");
        }
        for value in [
            json!(""),
            json!(" \t"),
            json!({}),
            json!({"a": 1}),
            json!([]),
            json!(["m"]),
            json!(false),
            json!(true),
            json!(null),
            json!(1.5),
            json!(1e30),
        ] {
            assert_eq!(message_id(Some(&value)), None, "{value}");
        }
    }

    #[test]
    fn uuids_are_normalised_and_other_identifiers_are_not() {
        let spelled = |text: &str| normalized(&text.parse().expect("an identifier"));
        let uuid = "626626a0-749f-11e2-bfd6-00000000000a";
        assert_eq!([spelled(uuid), spelled(&uuid.to_uppercase())], [uuid, uuid]);
        // Not the hyphenated form, so not recognised as a UUID.
        for other in ["8v9iSKnj", "626626A0749F11E2BFD600000000000A", "{626626A0-749F-11E2-BFD6-00000000000A}"] {
            assert_eq!(spelled(other), other);
        }
    }

    #[test]
    fn byte_order_mark_is_ignored() {
        assert!(object(b"\xEF\xBB\xBF{}").is_ok());
    }
}
