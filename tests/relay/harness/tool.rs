//! Programs beyond the Rust toolchain that some tests need. `make test` finds or installs them and names them in
//! variables of the environment.

use std::io::Write;
use std::process::Command;

/// The value of a variable that `make test` sets. Where it is missing, a test that needs it is skipped with a line on
/// standard error, and fails when `CI` is set.
pub(crate) fn find_tool(variable: &str) -> Option<String> {
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        skip(&format!("{variable} is not set: make test finds or installs the program"));
    }
    value
}

/// Reports a skipped test; panics when `CI` is set. Writes past the capture of test output, so that a skip is visible.
#[track_caller]
pub(crate) fn skip(reason: &str) {
    assert!(std::env::var_os("CI").is_none(), "{reason}; in CI no test is skipped");
    writeln!(std::io::stderr(), "SKIPPED: {reason}").ok();
}

/// Removes proxy settings, so that a program connects to the relay directly.
pub(crate) fn without_proxy(command: &mut Command) -> &mut Command {
    for variable in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(variable);
    }
    command
}
