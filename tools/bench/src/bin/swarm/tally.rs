//! What the followers and the senders have counted, shared by all tasks of the one thread.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Write;

use docrelay_bench::quantile;

/// The events of one client: their number, and the sum of the sequences in their ids. Two sets of growing ids with the
/// same number and sum are the same, unless one lacks an event and has a foreign one instead.
#[derive(Default, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct EventSet {
    pub(crate) count: u64,
    pub(crate) sum: u64,
}

impl EventSet {
    pub(crate) fn add(&mut self, sequence: u64) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(sequence);
    }
}

#[derive(Default)]
pub(crate) struct Tally {
    /// From the start of a connection to the first position of its stream.
    pub(crate) connects_micros: RefCell<Vec<u32>>,
    /// From the request of a webhook to the read of its event, for each follower.
    pub(crate) deliveries_micros: RefCell<Vec<u32>>,
    pub(crate) open: Cell<usize>,
    pub(crate) most_open: Cell<usize>,
    /// Streams that were opened again after their end.
    pub(crate) reconnects: Cell<u64>,
    /// Events whose id does not grow.
    pub(crate) repeated: Cell<u64>,
    /// Webhooks without a response.
    pub(crate) unknown: Cell<u64>,
    /// What went wrong, and how often.
    pub(crate) faults: RefCell<BTreeMap<String, u64>>,
    pub(crate) statuses: RefCell<BTreeMap<u16, u64>>,
    /// What was stored for each client.
    pub(crate) stored: RefCell<Vec<EventSet>>,
}

pub(crate) fn add(cell: &Cell<u64>) {
    cell.set(cell.get() + 1);
}

impl Tally {
    pub(crate) fn new(clients: usize) -> Self {
        Self { stored: RefCell::new(vec![EventSet::default(); clients]), ..Self::default() }
    }

    pub(crate) fn fault(&self, what: impl Into<String>) {
        *self.faults.borrow_mut().entry(what.into()).or_default() += 1;
    }

    pub(crate) fn status(&self, status: u16) {
        *self.statuses.borrow_mut().entry(status).or_default() += 1;
    }
}

/// Number, median, 99th percentile and maximum of a sample in microseconds, as JSON in milliseconds.
pub(crate) fn summary(sample: &mut [u32]) -> String {
    sample.sort_unstable();
    let millis = |share: f64| f64::from(quantile::of_sorted(sample, share)) / 1000.0;
    let (half, most, all) = (millis(0.5), millis(0.99), millis(1.0));
    format!("{{\"count\":{},\"p50_ms\":{half:.2},\"p99_ms\":{most:.2},\"max_ms\":{all:.2}}}", sample.len())
}

/// A JSON object of counts.
pub(crate) fn object<K: std::fmt::Display>(counts: &BTreeMap<K, u64>) -> String {
    let mut json = String::from("{");
    for (key, count) in counts {
        let separator = if json.len() > 1 { "," } else { "" };
        let key = key.to_string().replace(['"', '\\'], "'");
        // Writing to a string does not fail.
        let _ = write!(json, "{separator}\"{key}\":{count}");
    }
    json + "}"
}
