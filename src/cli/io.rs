//! What commands read and print. Secrets come from a file, the standard input or the environment, never from a flag,
//! because the list of processes shows flags to all users of the machine. Text from the network is printed without the
//! characters that control a terminal.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use anyhow::Context;

/// The environment variable of the bearer token, for `tail` and `doctor`.
pub(super) const TOKEN_VARIABLE: &str = "DOCRELAY_TOKEN";

/// The environment variable of a hook's secret, for `hook add` and `send`.
pub(super) const HOOK_SECRET_VARIABLE: &str = "DOCRELAY_HOOK_SECRET";

/// The secret in `file` (`-` is the standard input), or else in the environment variable `variable`. `None` if there is
/// no file and the variable is not set or empty. One line break at the end is removed, because editors add it. `kind`
/// names the secret in errors, such as `token`.
pub(super) fn read_secret(kind: &str, file: Option<&Path>, variable: &str) -> anyhow::Result<Option<String>> {
    let text = match file {
        Some(path) if path == Path::new("-") => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .with_context(|| format!("cannot read the {kind} from the standard input"))?;
            text
        }
        Some(path) => {
            std::fs::read_to_string(path).with_context(|| format!("cannot read the {kind} file {}", path.display()))?
        }
        None => match std::env::var(variable) {
            Ok(text) => text,
            Err(std::env::VarError::NotPresent) => return Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => anyhow::bail!("{variable} is not UTF-8"),
        },
    };
    let secret = text.strip_suffix('\n').map_or(text.as_str(), |t| t.strip_suffix('\r').unwrap_or(t));
    if secret.is_empty() {
        match file {
            Some(path) => anyhow::bail!("the {kind} file {} is empty", path.display()),
            // Scripts often unset a variable by setting it to an empty value.
            None => return Ok(None),
        }
    }
    Ok(Some(secret.to_owned()))
}

/// How long [`print_error`] waits for standard error.
const PRINT_TIMEOUT: Duration = Duration::from_secs(1);

/// Prints a result to standard output. Without `println!`, which panics if that is full or closed.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{text}").context("cannot write to the standard output")
}

/// Prints an error to standard error, sanitized: it may quote a server. If that cannot be written, only the exit code
/// tells. A reader that has stopped delays the exit by [`PRINT_TIMEOUT`].
pub(super) fn print_error(sentence: &str) {
    let (sender, printed) = sync_channel(1);
    let line = format!("docrelay: {}\n", sanitize_lines(sentence));
    let print = move || {
        std::io::stderr().write_all(line.as_bytes()).ok();
        sender.try_send(()).ok();
    };
    if std::thread::Builder::new().name("error".to_owned()).spawn(print).is_ok() {
        printed.recv_timeout(PRINT_TIMEOUT).ok();
    }
}

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
    fn one_trailing_line_break_is_removed_from_secret() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("secret");
        for (written, secret) in [("s3cret\n", "s3cret"), ("s3cret\r\n", "s3cret"), (" s \n\n", " s \n"), ("x", "x")] {
            std::fs::write(&path, written).expect("written");
            assert_eq!(read_secret("secret", Some(&path), "UNUSED").expect("read").as_deref(), Some(secret));
        }
        std::fs::write(&path, "\n").expect("written");
        assert!(read_secret("secret", Some(&path), "UNUSED").is_err());
        assert!(read_secret("secret", Some(&dir.path().join("absent")), "UNUSED").is_err());
        assert_eq!(read_secret("secret", None, "DOCRELAY_UNSET_VARIABLE").expect("read"), None);
    }

    #[test]
    fn control_and_bidi_characters_are_replaced() {
        assert_eq!(sanitize_line("a\u{1b}[2Jb\u{9b}c\u{202e}d\te\n"), "a\u{FFFD}[2Jb\u{FFFD}c\u{FFFD}d\te\u{FFFD}");
        assert_eq!(sanitize_lines("a\r\n\u{1b}b\n\nc\rd\n"), "a\n\u{FFFD}b\n\nc\u{FFFD}d");
        assert_eq!(sanitize_line("日本語 é"), "日本語 é");
    }
}
