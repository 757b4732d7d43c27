//! The findings of `doctor`: one line per check, with its severity and the remedy.

use std::io::{self, Write};
use std::time::Duration;

use crate::cli::io::sanitize_line;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Severity {
    Ok,
    /// Streams work, but could work better.
    Warn,
    /// Streams do not work as they should; the exit code becomes 1.
    Fail,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    pub(super) text: String,
}

impl Finding {
    pub(super) fn ok(text: impl Into<String>) -> Self {
        Self { severity: Severity::Ok, text: text.into() }
    }

    pub(super) fn warn(text: impl Into<String>) -> Self {
        Self { severity: Severity::Warn, text: text.into() }
    }

    pub(super) fn fail(text: impl Into<String>) -> Self {
        Self { severity: Severity::Fail, text: text.into() }
    }
}

/// Prints each finding at once, because later checks can take a minute, and counts the failures.
pub(super) struct DoctorReport<'a> {
    out: &'a mut dyn Write,
    failed: usize,
}

impl<'a> DoctorReport<'a> {
    pub(super) fn new(out: &'a mut dyn Write) -> Self {
        Self { out, failed: 0 }
    }

    pub(super) fn failed(&self) -> usize {
        self.failed
    }

    pub(super) fn add(&mut self, finding: Finding) -> io::Result<()> {
        let severity = match finding.severity {
            Severity::Ok => "ok  ",
            Severity::Warn => "warn",
            Severity::Fail => "fail",
        };
        self.failed += usize::from(finding.severity == Severity::Fail);
        // Some findings quote headers and data of the server.
        writeln!(self.out, "{severity}  {}", sanitize_line(&finding.text))?;
        self.out.flush()
    }

    pub(super) fn add_all(&mut self, findings: impl IntoIterator<Item = Finding>) -> io::Result<()> {
        findings.into_iter().try_for_each(|finding| self.add(finding))
    }
}

/// A duration as text: `85 ms`, `12.3 s`, `4 min`.
pub(super) fn duration_text(time: Duration) -> String {
    match time.as_millis() {
        ms @ ..1000 => format!("{ms} ms"),
        ..120_000 => format!("{:.1} s", time.as_secs_f64()),
        ms => format!("{} min", ms / 60_000),
    }
}
