//! `docrelay check FILE`: validates a configuration file without starting the relay.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::Config;

/// Validate a configuration file
#[derive(clap::Args, Clone, Debug)]
pub(super) struct CheckArgs {
    /// Configuration file in TOML
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl CheckArgs {
    /// Writes `FILE: ok` to `out` and returns 0, or writes one sentence with the line number to `err` and returns 2.
    pub(super) fn run(&self, out: &mut impl Write, err: &mut impl Write) -> std::io::Result<ExitCode> {
        match Config::check(&self.file) {
            Ok(_) => writeln!(out, "{}: ok", self.file.display()).map(|()| ExitCode::SUCCESS),
            Err(e) => writeln!(err, "{e}").map(|()| ExitCode::from(2)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(content: &str) -> (String, String, ExitCode) {
        let home = tempfile::tempdir().expect("a directory");
        let file = home.path().join("relay.toml");
        std::fs::write(&file, content).expect("written");
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = CheckArgs { file }.run(&mut out, &mut err).expect("written");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8").replace(&format!("{}/", home.path().display()), "");
        (text(out), text(err), code)
    }

    #[test]
    fn valid_file_is_ok_and_invalid_file_is_reported_with_line() {
        assert_eq!(check("grace = \"5s\"\n"), ("relay.toml: ok\n".into(), String::new(), ExitCode::SUCCESS));
        let (out, err, code) = check("\ngrace = 0\n");
        assert_eq!((out.as_str(), code), ("", ExitCode::from(2)));
        assert!(err.starts_with("relay.toml:2: grace must be a duration") && err.lines().count() == 1, "{err}");
    }
}
