//! The syntax of `Forwarded` (RFC 7239): elements separated by commas, parameters separated by semicolons, values that
//! may be quoted.
//!
//! Elements are split from the right. A sender can write an unbalanced quote into its own part of the header, on the
//! left. Read from there, it would swallow the elements that the proxies have added; read from the right, these come
//! first.

/// The elements of a list, the last one first. A comma inside quotes does not separate.
pub(super) fn split_from_right(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(list);
    std::iter::from_fn(move || {
        let text = rest?;
        match last_separator(text, b',') {
            Some(at) => {
                rest = Some(&text[..at]);
                Some(&text[at + 1..])
            }
            None => rest.take(),
        }
    })
}

/// The value of the parameter `for` of one element, without quotes; `None` if it is missing, given twice, or the
/// element is malformed.
pub(super) fn forwarded_for(element: &str) -> Option<String> {
    let mut rest = element.trim();
    let mut found = None;
    while !rest.is_empty() {
        let (name, value) = rest.split_once('=')?;
        let (value, after) = if value.starts_with('"') { quoted(value)? } else { token(value) };
        if name.trim().eq_ignore_ascii_case("for") && found.replace(value).is_some() {
            return None;
        }
        let after = after.trim_start();
        rest = match after.strip_prefix(';') {
            Some(next) => next.trim_start(),
            None if after.is_empty() => after,
            None => return None,
        };
    }
    found
}

/// A value without quotes, and what follows.
fn token(text: &str) -> (String, &str) {
    let end = text.find([';', ' ', '\t']).unwrap_or(text.len());
    (text[..end].to_owned(), &text[end..])
}

/// The content of a quoted value, and what follows it; `None` if its second quote is missing.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut content = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((content, &text[at + 1..])),
            '\\' => content.push(characters.next()?.1),
            other => content.push(other),
        }
    }
    None
}

/// The last `separator` outside of quotes, with the quotes paired from the right.
fn last_separator(text: &str, separator: u8) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut in_quotes = false;
    for at in (0..bytes.len()).rev() {
        if bytes[at] == b'"' && !is_escaped(&bytes[..at]) {
            in_quotes = !in_quotes;
        } else if bytes[at] == separator && !in_quotes {
            return Some(at);
        }
    }
    None
}

/// Whether the byte after these is escaped by a backslash.
fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}
