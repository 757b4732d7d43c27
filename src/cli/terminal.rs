//! Text from the network that a command prints: without the characters that control a terminal.

/// Replaces control characters and bidirectional formatting characters by U+FFFD, so that remote text cannot move the
/// cursor, change colours or reverse the reading direction. Line breaks are replaced too; tabs stay.
pub(super) fn sanitize_line(text: &str) -> String {
    text.chars().map(|c| if is_unsafe(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// [`sanitize_line`] for each line of a longer text; CRLF becomes LF.
pub(super) fn sanitize_lines(text: &str) -> String {
    text.lines().map(sanitize_line).collect::<Vec<_>>().join("\n")
}

fn is_unsafe(c: char) -> bool {
    let is_bidi = matches!(c, '\u{061C}' | '\u{200E}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    is_bidi || (c.is_control() && c != '\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_bidi_characters_are_replaced() {
        assert_eq!(sanitize_line("a\u{1b}[2Jb\u{9b}c\u{202e}d\te\n"), "a\u{FFFD}[2Jb\u{FFFD}c\u{FFFD}d\te\u{FFFD}");
        assert_eq!(sanitize_lines("a\r\n\u{1b}b\n\nc\rd\n"), "a\n\u{FFFD}b\n\nc\u{FFFD}d");
        assert_eq!(sanitize_line("日本語 é"), "日本語 é");
    }
}
