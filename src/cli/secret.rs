//! Secrets of commands: from a file, the standard input or the environment. Never from a flag, because the list of
//! processes shows flags to all users of the machine.

use std::io::Read;
use std::path::Path;

use anyhow::Context;

/// The environment variable of the bearer token, for `tail` and `doctor`.
pub(super) const TOKEN_VARIABLE: &str = "DOCRELAY_TOKEN";

/// The secret in `file` (`-` is the standard input), or else in the environment variable `variable`. `None` if there is
/// no file and the variable is not set or empty. One line break at the end is removed, because editors add it.
pub(super) fn read(file: Option<&Path>, variable: &str) -> anyhow::Result<Option<String>> {
    let text = match file {
        Some(path) if path == Path::new("-") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("cannot read the secret from the standard input")?;
            text
        }
        Some(path) => {
            std::fs::read_to_string(path).with_context(|| format!("cannot read the secret file {}", path.display()))?
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
            Some(path) => anyhow::bail!("the secret file {} is empty", path.display()),
            // Scripts often unset a variable by setting it to an empty value.
            None => return Ok(None),
        }
    }
    Ok(Some(secret.to_owned()))
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
            assert_eq!(read(Some(&path), "UNUSED").expect("read").as_deref(), Some(secret));
        }
        std::fs::write(&path, "\n").expect("written");
        assert!(read(Some(&path), "UNUSED").is_err());
        assert!(read(Some(&dir.path().join("absent")), "UNUSED").is_err());
        assert_eq!(read(None, "DOCRELAY_UNSET_VARIABLE").expect("read"), None);
    }
}
