//! Registers each metric once with name, kind, labels and help, so that the export and the reference page agree.

use std::marker::PhantomData;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::label::Label;

/// A metric as listed on the reference page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricDescription {
    /// The exported name, with prefix and suffix.
    pub name: String,
    /// `counter`, `gauge`, `histogram` or `info`.
    pub kind: &'static str,
    /// Label names.
    pub labels: Vec<&'static str>,
    /// The values of the last label, if they are a closed set.
    pub values: Vec<&'static str>,
    /// Without a full stop, because the exporter adds one.
    pub help: &'static str,
}

/// Name and value of a label.
pub(super) type Pair = (&'static str, &'static str);

/// A Prometheus registry and the descriptions of its metrics.
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
        self.describe(name, "_total", "counter", Vec::new(), help);
        counter
    }

    /// One counter for each value of the label, all exported from the start.
    pub(super) fn counters<L: Label>(&mut self, name: &str, help: &'static str) -> Counters<L> {
        let family = self.family(name, vec![L::NAME], help);
        self.describe_values::<L>();
        let counters = Counters { family, label: PhantomData };
        for value in L::ALL {
            counters.inc_by(*value, 0);
        }
        counters
    }

    /// Counters that are exported from their first use on.
    pub(super) fn family<K: LabelKey>(
        &mut self,
        name: &str,
        labels: Vec<&'static str>,
        help: &'static str,
    ) -> Family<K, Counter> {
        let family = Family::default();
        self.registry.register(name, help, family.clone());
        self.describe(name, "_total", "counter", labels, help);
        family
    }

    pub(super) fn gauge(&mut self, name: &str, help: &'static str) -> Gauge {
        let gauge = Gauge::default();
        self.registry.register(name, help, gauge.clone());
        self.describe(name, "", "gauge", Vec::new(), help);
        gauge
    }

    /// `buckets` are upper bounds; `+Inf` is added.
    pub(super) fn histogram(
        &mut self,
        name: &str,
        buckets: impl Iterator<Item = f64>,
        help: &'static str,
    ) -> Histogram {
        let histogram = Histogram::new(buckets);
        self.registry.register(name, help, histogram.clone());
        self.describe(name, "", "histogram", Vec::new(), help);
        histogram
    }

    pub(super) fn info(&mut self, name: &str, label: Pair, help: &'static str) {
        self.registry.register(name, help, Info::new([label]));
        self.describe(name, "_info", "info", vec![label.0], help);
    }

    /// Adds the values of the last label to the metric that was registered last.
    pub(super) fn describe_values<L: Label>(&mut self) {
        if let Some(entry) = self.entries.last_mut() {
            debug_assert_eq!(entry.labels.last(), Some(&L::NAME));
            entry.values = L::ALL.iter().map(|value| value.as_str()).collect();
        }
    }

    fn describe(
        &mut self,
        name: &str,
        suffix: &str,
        kind: &'static str,
        labels: Vec<&'static str>,
        help: &'static str,
    ) {
        let name = format!("docrelay_{name}{suffix}");
        self.entries.push(MetricDescription { name, kind, labels, values: Vec::new(), help });
    }
}

/// Labels of a family.
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

/// One counter for each value of a label. Each increment looks the value up, so it is meant for rare events; counters
/// per event and follower are plain [`Counter`]s.
#[derive(Debug)]
pub struct Counters<L> {
    family: Family<[Pair; 1], Counter>,
    label: PhantomData<L>,
}

impl<L: Label> Counters<L> {
    pub fn inc(&self, value: L) {
        self.inc_by(value, 1);
    }

    pub fn inc_by(&self, value: L, n: u64) {
        self.counter(value).inc_by(n);
    }

    pub fn get(&self, value: L) -> u64 {
        self.counter(value).get()
    }

    fn counter(&self, value: L) -> Counter {
        self.family.get_or_create_owned(&[(L::NAME, value.as_str())])
    }
}
