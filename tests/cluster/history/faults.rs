//! The faults of a run with their times, as the check of its history reads them. Times count from the start of the run.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// A node was killed and started again.
    Killed,
    /// A node was halted and continued.
    Halted,
    /// A node could not reach one or all brokers.
    CutOff,
    /// A broker was killed or halted: the nodes may lose their leases.
    BrokerLost,
}

/// A fault from its begin until everything works again as far as the test can see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    /// `None` for a fault of a broker.
    pub(crate) node: Option<usize>,
    pub(crate) began: Duration,
    pub(crate) ended: Duration,
}

/// Collects the faults of a run, and a line for each step.
pub(crate) struct FaultLog {
    pub(crate) started: Instant,
    lines: Mutex<Vec<String>>,
    faults: Mutex<Vec<Fault>>,
}

impl FaultLog {
    pub(crate) fn new(started: Instant) -> Self {
        Self { started, lines: Mutex::default(), faults: Mutex::default() }
    }

    pub(crate) fn note(&self, line: &str) {
        let line = format!("{:8.3} {line}", self.started.elapsed().as_secs_f64());
        self.lines.lock().expect("notes").push(line);
    }

    /// Records a fault that ends now.
    pub(crate) fn add(&self, kind: FaultKind, node: Option<usize>, began: Instant) {
        let fault = Fault { kind, node, began: began - self.started, ended: self.started.elapsed() };
        self.faults.lock().expect("faults").push(fault);
    }

    /// The lines and the faults.
    pub(crate) fn finish(self) -> (Vec<String>, Vec<Fault>) {
        (self.lines.into_inner().expect("notes"), self.faults.into_inner().expect("faults"))
    }
}
