//! What a test wants of the machine beyond the toolchain: found or installed by `make test`, named by a variable.

use std::io::Write;

/// What a variable of `make test` names. `None`, with a line that says so, when this machine lacks it; a failure where CI
/// is set.
pub(crate) fn tool(variable: &str) -> Option<String> {
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{variable} names nothing, and in CI this must be tried");
        // Past the capture of a test's output: a skip has to be seen.
        writeln!(std::io::stderr(), "SKIPPED: {variable} names nothing: make test finds or installs it").ok();
    }
    value
}
