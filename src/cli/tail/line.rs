//! How one event looks: as it is, or as one short line for a person.

use serde_json::Value;

/// For whom the lines are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// A program: the event's JSON with its id before everything else, and otherwise unchanged.
    Json,
    /// A person whose terminal shows no colours.
    Plain,
    /// A person.
    Colour,
}

/// The line for one event.
pub(super) fn line(id: Option<&str>, data: &str, look: Look) -> String {
    let event = match look {
        Look::Json => None,
        Look::Plain | Look::Colour => serde_json::from_str::<Value>(data).ok().filter(Value::is_object),
    };
    match event {
        Some(event) => compact(&event, look),
        None if look == Look::Json => json(id, data),
        None => harmless(data),
    }
}

/// `{"id":"98de92db8b6c1.2","documentId":…}`: the event's own bytes, because parsing could change a number. What is no
/// object is put into one.
fn json(id: Option<&str>, data: &str) -> String {
    // A line break in JSON stands between tokens only, where a space says the same.
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
fn compact(event: &Value, look: Look) -> String {
    let text = |pointer: &str| match event.pointer(pointer) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(s)) => harmless(s),
        Some(other) => harmless(&other.to_string()),
    };
    let status = text("/status");
    let colour = match status.as_str() {
        "COMPLETED" => "32",
        "ERROR" => "31",
        _ => "33",
    };
    // `?fields=gini` leaves the time out; `2026-11-22T12:43:00.000Z` has its clock at 11.
    let time = text("/time").get(11..19).unwrap_or_default().to_owned();
    let error = [text("/error/code"), text("/error/message")].join(" ");
    let error = if error.trim().is_empty() { String::new() } else { format!("({})", error.trim()) };
    let parts = [
        paint(&time, "2", look),
        paint(&format!("{status:9}"), colour, look),
        text("/vendor"),
        paint(&text("/vendorId"), "1", look),
        text("/title"),
        paint(&error, "31", look),
        paint(&text("/documentId"), "2", look),
    ];
    parts.into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join("  ")
}

fn paint(text: &str, code: &str, look: Look) -> String {
    if look == Look::Colour && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Without what could steer a terminal or turn the reading direction: a title is a stranger's text.
pub(in crate::cli) fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200E}' | '\u{200F}' => char::REPLACEMENT_CHARACTER,
            c if c.is_control() => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"documentId":"626626a0-749f-11e2-bfd6-000000000000","status":"ERROR","vendor":"ppj",
"vendorId":"8v9iSKnj","time":"2026-11-22T12:43:00.000Z","title":"a\u001b[2Jb","error":{"code":"2","message":"bad"}}"#;

    #[test]
    fn a_program_gets_the_event_and_its_id_on_one_line_and_no_value_changed() {
        assert_eq!(line(None, EVENT, Look::Json), EVENT.replace('\n', " "));
        let all = line(Some("a.1"), EVENT, Look::Json);
        assert_eq!(all, EVENT.replace('\n', " ").replacen('{', r#"{"id":"a.1","#, 1));
        let json = |data: &str| line(Some("a\"1"), data, Look::Json);
        assert_eq!(json(r#"{"a":1.00}"#), r#"{"id":"a\"1","a":1.00}"#);
        assert_eq!(json(" { } "), r#"{"id":"a\"1"}"#);
        assert_eq!(json("{a\nb"), r#"{"id":"a\"1","data":"{a\nb"}"#);
        assert_eq!(line(None, "7", Look::Json), r#"{"id":null,"data":"7"}"#);
    }

    #[test]
    fn a_person_gets_what_matters_and_no_escape_of_a_strangers() {
        assert_eq!(
            line(None, EVENT, Look::Plain),
            "12:43:00  ERROR      ppj  8v9iSKnj  a\u{FFFD}[2Jb  (2 bad)  626626a0-749f-11e2-bfd6-000000000000"
        );
        let coloured = line(None, EVENT, Look::Colour);
        assert!(coloured.contains("\x1b[31mERROR") && !coloured.contains("\x1b[2J"), "{coloured:?}");
        assert_eq!(line(None, "no\u{9b}t json\u{202e}", Look::Colour), "no\u{FFFD}t json\u{FFFD}");
    }

    #[test]
    fn two_keys_are_enough_for_a_line() {
        let line = line(None, r#"{"documentId":"d","status":"PENDING"}"#, Look::Plain);
        assert_eq!(line, "PENDING    d");
    }
}
