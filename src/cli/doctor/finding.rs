//! One line for each thing that was looked at: how grave it is, and what to do.

use std::io;
use std::time::Duration;

use super::Out;
use crate::cli::tail::harmless;

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grade {
    /// As it should be.
    Ok,
    /// Works, and could be better.
    Warn,
    /// Streams do not work as they should.
    Fail,
}

/// One sentence with its grade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) grade: Grade,
    pub(super) text: String,
}

impl Finding {
    pub(super) fn ok(text: impl Into<String>) -> Self {
        Self { grade: Grade::Ok, text: text.into() }
    }

    pub(super) fn warn(text: impl Into<String>) -> Self {
        Self { grade: Grade::Warn, text: text.into() }
    }

    pub(super) fn fail(text: impl Into<String>) -> Self {
        Self { grade: Grade::Fail, text: text.into() }
    }
}

/// Where findings are written as they are made: some take a while.
pub(super) struct Report<'a> {
    out: Out<'a>,
    failed: usize,
}

impl<'a> Report<'a> {
    pub(super) fn new(out: Out<'a>) -> Self {
        Self { out, failed: 0 }
    }

    /// Findings that failed.
    pub(super) fn failed(&self) -> usize {
        self.failed
    }

    pub(super) fn add(&mut self, finding: Finding) -> io::Result<()> {
        let grade = match finding.grade {
            Grade::Ok => "ok  ",
            Grade::Warn => "warn",
            Grade::Fail => "fail",
        };
        self.failed += usize::from(finding.grade == Grade::Fail);
        // What a stranger's server sends is quoted in some of them.
        writeln!(self.out, "{grade}  {}", harmless(&finding.text))?;
        self.out.flush()
    }

    pub(super) fn all(&mut self, findings: Vec<Finding>) -> io::Result<()> {
        findings.into_iter().try_for_each(|finding| self.add(finding))
    }

    pub(super) fn ok(&mut self, text: &str) -> io::Result<()> {
        self.add(Finding::ok(text))
    }

    pub(super) fn warn(&mut self, text: &str) -> io::Result<()> {
        self.add(Finding::warn(text))
    }

    pub(super) fn fail(&mut self, text: &str) -> io::Result<()> {
        self.add(Finding::fail(text))
    }
}

/// A time for a person: `85 ms`, `12.3 s`, `4 min`.
pub(super) fn seconds(time: Duration) -> String {
    match time.as_millis() {
        ms @ ..1000 => format!("{ms} ms"),
        ..120_000 => format!("{:.1} s", time.as_secs_f64()),
        ms => format!("{} min", ms / 60_000),
    }
}
