//! Where metrics are entered once, each with name, kind, labels and help: what is exported and what the reference page
//! says come from the same entry.

use std::marker::PhantomData;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::label::Label;

/// One metric, as the reference page lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricDescription {
    /// The name as it is exported, with its suffix.
    pub name: String,
    /// `counter`, `gauge`, `histogram` or `info`.
    pub kind: &'static str,
    /// The names of its labels.
    pub labels: Vec<&'static str>,
    /// What it counts, without a full stop at the end: the exporter adds one.
    pub help: &'static str,
}

/// A label's name and value.
pub(super) type Pair = (&'static str, &'static str);

/// A registry, and the list of what is in it.
pub(super) struct MetricRegistry {
    pub(super) registry: Registry,
    pub(super) entries: Vec<MetricDescription>,
}

impl MetricRegistry {
    pub(super) fn new() -> Self {
        Self { registry: Registry::with_prefix("docrelay"), entries: Vec::new() }
    }

    pub(super) fn counter(&mut self, name: &str, help: &'static str) -> Counter {
        let counter = Counter::default();
        self.registry.register(name, help, counter.clone());
        self.enter(name, "_total", "counter", Vec::new(), help);
        counter
    }

    /// One counter for each word of the label.
    pub(super) fn counters<L: Label>(&mut self, name: &str, help: &'static str) -> Counters<L> {
        let family = self.family(name, vec![L::NAME], help);
        let counters = Counters { family, label: PhantomData };
        for word in L::ALL {
            counters.add(*word, 0);
        }
        counters
    }

    /// Counters whose labels appear when they are first counted.
    pub(super) fn family<K: LabelKey>(
        &mut self,
        name: &str,
        labels: Vec<&'static str>,
        help: &'static str,
    ) -> Family<K, Counter> {
        let family = Family::default();
        self.registry.register(name, help, family.clone());
        self.enter(name, "_total", "counter", labels, help);
        family
    }

    pub(super) fn gauge(&mut self, name: &str, help: &'static str) -> Gauge {
        let gauge = Gauge::default();
        self.registry.register(name, help, gauge.clone());
        self.enter(name, "", "gauge", Vec::new(), help);
        gauge
    }

    /// `buckets` are upper bounds; one without bound is added.
    pub(super) fn histogram(
        &mut self,
        name: &str,
        buckets: impl Iterator<Item = f64>,
        help: &'static str,
    ) -> Histogram {
        let histogram = Histogram::new(buckets);
        self.registry.register(name, help, histogram.clone());
        self.enter(name, "", "histogram", Vec::new(), help);
        histogram
    }

    pub(super) fn info(&mut self, name: &str, label: Pair, help: &'static str) {
        self.registry.register(name, help, Info::new([label]));
        self.enter(name, "_info", "info", vec![label.0], help);
    }

    fn enter(&mut self, name: &str, suffix: &str, kind: &'static str, labels: Vec<&'static str>, help: &'static str) {
        self.entries.push(MetricDescription { name: format!("docrelay_{name}{suffix}"), kind, labels, help });
    }
}

/// What a family may be broken down by.
pub(super) trait LabelKey:
    Clone + Eq + std::hash::Hash + std::fmt::Debug + prometheus_client::encoding::EncodeLabelSet + Send + Sync + 'static
{
}

impl<T> LabelKey for T where
    T: Clone
        + Eq
        + std::hash::Hash
        + std::fmt::Debug
        + prometheus_client::encoding::EncodeLabelSet
        + Send
        + Sync
        + 'static
{
}

/// A counter for each word of a closed set. Counting looks the word up: fine for a stream's beginning and end, too dear
/// for each event of each follower, where [`Counter`]s are.
#[derive(Debug)]
pub struct Counters<L> {
    family: Family<[Pair; 1], Counter>,
    label: PhantomData<L>,
}

impl<L: Label> Counters<L> {
    /// Counts one.
    pub fn inc(&self, word: L) {
        self.add(word, 1);
    }

    /// What was counted so far.
    pub fn get(&self, word: L) -> u64 {
        self.of(word).get()
    }

    fn add(&self, word: L, n: u64) {
        self.of(word).inc_by(n);
    }

    fn of(&self, word: L) -> Counter {
        self.family.get_or_create_owned(&[(L::NAME, word.as_str())])
    }
}
