//! The two formats of an event in the output of `tail`: JSON for programs, one compact line for people.

use anstyle::{AnsiColor, Style};
use serde_json::Value;

use crate::cli::io::sanitize_line;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventFormat {
    /// The JSON of the event, unchanged except for its id as the first member.
    Json,
    /// One line with ANSI colours.
    Compact,
}

/// One event as a line, without the line break.
pub(super) fn line(id: Option<&str>, data: &str, format: EventFormat) -> String {
    match format {
        EventFormat::Json => json(id, data),
        EventFormat::Compact => match serde_json::from_str::<Value>(data) {
            Ok(event) if event.is_object() => compact(&event),
            Ok(_) | Err(_) => sanitize_line(data),
        },
    }
}

/// `{"id":"98de92db8b6c1.2","documentId":…}`: the original bytes, because parsing could change a number. Data that is
/// not an object becomes the member `data`.
fn json(id: Option<&str>, data: &str) -> String {
    // In JSON a line break is only allowed between tokens, where a space is equivalent.
    let flat = data.replace(['\n', '\r'], " ");
    let rest = flat.trim_start().strip_prefix('{').filter(|_| serde_json::from_str::<Value>(data).is_ok());
    match (id.map(|id| Value::from(id).to_string()), rest) {
        (None, Some(_)) => flat,
        (Some(id), Some(rest)) if rest.trim() == "}" => format!(r#"{{"id":{id}}}"#),
        (Some(id), Some(rest)) => format!(r#"{{"id":{id},{rest}"#),
        (id, None) => format!(r#"{{"id":{},"data":{}}}"#, id.unwrap_or("null".to_owned()), Value::from(data)),
    }
}

/// `12:43:00 COMPLETED ppj 8v9iSKnj  title  (error)  626626a0-…`
fn compact(event: &Value) -> String {
    let text = |pointer: &str| match event.pointer(pointer) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(s)) => sanitize_line(s),
        Some(other) => sanitize_line(&other.to_string()),
    };
    let status = text("/status");
    let colour = match status.as_str() {
        "COMPLETED" => AnsiColor::Green,
        "ERROR" => AnsiColor::Red,
        _ => AnsiColor::Yellow,
    };
    // `2026-11-22T12:43:00.000Z`; absent with `?fields=gini`.
    let time = text("/time").get(11..19).unwrap_or_default().to_owned();
    let error = [text("/error/code"), text("/error/message")].join(" ");
    let error = if error.trim().is_empty() { String::new() } else { format!("({})", error.trim()) };
    let parts = [
        styled(&time, Style::new().dimmed()),
        styled(&format!("{status:9}"), colour.on_default()),
        text("/vendor"),
        styled(&text("/vendorId"), Style::new().bold()),
        text("/title"),
        styled(&error, AnsiColor::Red.on_default()),
        styled(&text("/documentId"), Style::new().dimmed()),
    ];
    parts.into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join("  ")
}

fn styled(text: &str, style: Style) -> String {
    if text.is_empty() { String::new() } else { format!("{style}{text}{style:#}") }
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;

    use super::*;

    const EVENT: &str = r#"{"documentId":"626626a0-749f-11e2-bfd6-000000000000","status":"ERROR","vendor":"ppj",
"vendorId":"8v9iSKnj","time":"2026-11-22T12:43:00.000Z","title":"a\u001b[2Jb","error":{"code":"2","message":"bad"}}"#;

    #[test]
    fn json_format_adds_id_and_changes_no_value() {
        assert_eq!(line(None, EVENT, EventFormat::Json), EVENT.replace('\n', " "));
        let all = line(Some("a.1"), EVENT, EventFormat::Json);
        assert_eq!(all, EVENT.replace('\n', " ").replacen('{', r#"{"id":"a.1","#, 1));
        let json = |data: &str| line(Some("a\"1"), data, EventFormat::Json);
        assert_eq!(json(r#"{"a":1.00}"#), r#"{"id":"a\"1","a":1.00}"#);
        assert_eq!(json(" { } "), r#"{"id":"a\"1"}"#);
        assert_eq!(json("{a\nb"), r#"{"id":"a\"1","data":"{a\nb"}"#);
        assert_eq!(line(None, "7", EventFormat::Json), r#"{"id":null,"data":"7"}"#);
    }

    #[test]
    fn compact_format_has_colours_and_no_escapes_of_the_event() {
        let line = |data| line(None, data, EventFormat::Compact);
        assert_eq!(
            strip_str(&line(EVENT)).to_string(),
            "12:43:00  ERROR      ppj  8v9iSKnj  a\u{FFFD}[2Jb  (2 bad)  626626a0-749f-11e2-bfd6-000000000000"
        );
        let coloured = line(EVENT);
        assert!(coloured.contains("\x1b[31mERROR") && !coloured.contains("\x1b[2J"), "{coloured:?}");
        assert_eq!(line("no\u{9b}t json\u{202e}"), "no\u{FFFD}t json\u{FFFD}");
    }

    #[test]
    fn two_keys_suffice_for_compact_line() {
        let line = line(None, r#"{"documentId":"d","status":"PENDING"}"#, EventFormat::Compact);
        assert_eq!(strip_str(&line).to_string(), "PENDING    d");
    }
}
