//! What the relay counts about itself, and the text that Prometheus reads. Knows nothing of the relay's parts: they
//! count here.

mod book;
mod label;

use std::ops::Deref;
use std::sync::Arc;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::exponential_buckets;
use prometheus_client::registry::Registry;

pub use prometheus_client::metrics::counter::Counter;
pub use prometheus_client::metrics::gauge::Gauge;
pub use prometheus_client::metrics::histogram::Histogram;

pub use book::{Counters, MetricDescription};
pub use label::{DeliveryOutcome, Disconnect, IngestOutcome, Label, Reset, StreamRefusal};

use book::{MetricRegistry, Pair};

/// The `Content-Type` of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of one relay. Cheap to clone; dereferences to the [`MetricSet`].
#[derive(Clone, Debug)]
pub struct Metrics {
    inner: Arc<MetricSet>,
}

/// The metrics one by one. A [`Counter`] or [`Gauge`] is one atomic addition.
#[derive(Debug)]
pub struct MetricSet {
    /// Events written to followers: each event counts once per follower.
    pub events_out: Counter,
    /// Bytes written to followers.
    pub stream_bytes: Counter,
    /// Open streams; taken with [`GaugeGuard`].
    pub followers: Gauge,
    /// Streams opened.
    pub followers_opened: Counter,
    /// Streams ended.
    pub disconnects: Counters<Disconnect>,
    /// Streams not opened.
    pub stream_refusals: Counters<StreamRefusal>,
    /// Arrivals per transaction.
    pub append_batch_size: Histogram,
    /// Seconds of a transaction.
    pub append_seconds: Histogram,
    /// Events read from the log for followers.
    pub replay_events: Counter,
    /// Followers that read from the log at the moment; taken with [`GaugeGuard`].
    pub replays_running: Gauge,
    /// Streams that began with a reset.
    pub resets: Counters<Reset>,
    /// How far the slowest follower is behind the head.
    pub follower_lag: Gauge,
    /// Requests kept among the rejects.
    pub rejects: Counter,
    /// Attempts of deliveries, and the calls that verify or test an endpoint.
    pub delivery_attempts: Counters<DeliveryOutcome>,
    /// Seconds of an attempt.
    pub delivery_seconds: Histogram,
    /// Attempts that run at the moment; taken with [`GaugeGuard`].
    pub deliveries_running: Gauge,
    /// Deliveries that wait or are on their way.
    pub deliveries_pending: Gauge,
    /// For how many seconds the delivery that is due for longest has been due.
    pub deliveries_oldest_due: Gauge,
    /// Deliveries that have failed for good.
    pub deliveries_dead: Counter,
    /// Endpoints that are left alone after failures in a row.
    pub endpoints_open: Gauge,
    /// Endpoints that are tried with one attempt after that.
    pub endpoints_half_open: Gauge,
    /// Open connections; taken with [`GaugeGuard`].
    pub connections: Gauge,
    /// The log's head.
    pub store_head: Gauge,
    /// Size of the write-ahead log.
    pub wal_bytes: Gauge,
    /// Events dropped by the retention.
    pub pruned_events: Counter,
    events_in: Family<[Pair; 2], Counter>,
    http_responses: Family<[(&'static str, u16); 1], Counter>,
    registry: Registry,
    entries: Vec<MetricDescription>,
}

impl Metrics {
    /// All at zero. `version` is the program's.
    pub fn new(version: &'static str) -> Self {
        let mut book = MetricRegistry::new();
        book.info("build", ("version", version), "The program that runs");
        let inner = MetricSet {
            events_in: book.family(
                "events_in",
                vec!["vendor", IngestOutcome::NAME],
                "Requests of vendors, by what became of them",
            ),
            events_out: book.counter("events_out", "Events written to followers, once for each"),
            stream_bytes: book.counter("stream_bytes", "Bytes written to followers"),
            followers: book.gauge("followers", "Open streams"),
            followers_opened: book.counter("followers_opened", "Streams opened"),
            disconnects: book.counters("disconnects", "Streams ended, by reason"),
            stream_refusals: book.counters("stream_refusals", "Streams not opened, by reason"),
            append_batch_size: book.histogram(
                "append_batch_size",
                exponential_buckets(1.0, 2.0, 13),
                "Arrivals stored in one transaction",
            ),
            append_seconds: book.histogram(
                "append_seconds",
                exponential_buckets(0.0005, 2.0, 15),
                "Duration of a transaction, flush included",
            ),
            replay_events: book.counter("replay_events", "Events read from the log for followers"),
            replays_running: book.gauge("replays_running", "Followers that read from the log at the moment"),
            resets: book.counters("resets", "Streams that began with a reset, by reason"),
            follower_lag: book
                .gauge("follower_lag", "Positions between the slowest follower and the newest event of its client"),
            rejects: book.counter("rejects", "Requests kept because they could not be understood"),
            delivery_attempts: book.counters("delivery_attempts", "Attempts of deliveries, by what became of them"),
            delivery_seconds: book.histogram(
                "delivery_seconds",
                exponential_buckets(0.001, 2.0, 15),
                "Duration of an attempt, connection and answer included",
            ),
            deliveries_running: book.gauge("deliveries_running", "Attempts that run at the moment"),
            deliveries_pending: book.gauge("deliveries_pending", "Deliveries that wait or are on their way"),
            deliveries_oldest_due: book.gauge(
                "deliveries_oldest_due_seconds",
                "How long the delivery that waits for longest past its time has waited",
            ),
            deliveries_dead: book.counter("deliveries_dead", "Deliveries that failed for good"),
            endpoints_open: book.gauge("endpoints_open", "Endpoints that are left alone after failures in a row"),
            endpoints_half_open: book
                .gauge("endpoints_half_open", "Endpoints that one attempt tries after they were left alone"),
            connections: book.gauge("connections", "Open connections on both addresses"),
            http_responses: book.family("http_responses", vec!["status"], "Answers by status code"),
            store_head: book.gauge("store_head", "Sequence of the last stored event"),
            wal_bytes: book.gauge("wal_bytes", "Size of the write-ahead log of the database"),
            pruned_events: book.counter("pruned_events", "Events dropped because of their age or number"),
            registry: book.registry,
            entries: book.entries,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Everything as OpenMetrics text; see [`CONTENT_TYPE`].
    pub fn render(&self) -> String {
        let mut text = String::with_capacity(8 * 1024);
        // Writing into a String cannot fail, and half a page is better than none.
        let written = encode(&mut text, &self.registry);
        debug_assert!(written.is_ok());
        text
    }
}

impl Deref for Metrics {
    type Target = MetricSet;

    fn deref(&self) -> &MetricSet {
        &self.inner
    }
}

impl MetricSet {
    /// Counts a vendor's request. `vendor` is one of the vendors' names, or `unknown` where no hook was found.
    pub fn event_in(&self, vendor: &'static str, outcome: IngestOutcome) {
        self.events_in.get_or_create_owned(&[("vendor", vendor), (IngestOutcome::NAME, outcome.as_str())]).inc();
    }

    /// Counts an answer by its status code.
    pub fn response(&self, status: u16) {
        self.http_responses.get_or_create_owned(&[("status", status)]).inc();
    }

    /// Every metric, in the order of the reference page.
    pub fn entries(&self) -> &[MetricDescription] {
        &self.entries
    }
}

/// Counts one on a gauge for as long as it lives, so that the gauge returns to zero however a task ends.
#[derive(Debug)]
pub struct GaugeGuard(Gauge);

impl GaugeGuard {
    /// Increments the gauge; dropping the guard decrements it.
    pub fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The reference of the metrics as a Markdown table. `docs/REFERENCE.md` holds it word for word.
pub fn reference() -> String {
    let metrics = Metrics::new("");
    let rows = metrics.entries().iter().map(|e| {
        let labels: Vec<_> = e.labels.iter().map(|l| format!("`{l}`")).collect();
        format!("| `{}` | {} | {} | {} |\n", e.name, e.kind, labels.join(", "), e.help)
    });
    std::iter::once("| metric | kind | labels | meaning |\n|---|---|---|---|\n".to_owned()).chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exported_metrics_match_the_listed_descriptions() {
        let metrics = Metrics::new("1.2.3");
        metrics.event_in("ppj", IngestOutcome::Stored);
        metrics.response(200);
        let text = metrics.render();
        let exported: Vec<_> = text.lines().filter_map(|l| l.strip_prefix("# HELP ")).collect();
        assert_eq!(exported.len(), metrics.entries().len());
        for entry in metrics.entries() {
            let family = entry.name.trim_end_matches("_total").trim_end_matches("_info");
            assert!(exported.contains(&format!("{family} {}.", entry.help).as_str()), "{entry:?}\n{text}");
            assert!(text.contains(&format!("# TYPE {family} {}", entry.kind)), "{entry:?}");
            let sample = text.lines().find(|l| l.starts_with(&entry.name)).expect("has a sample");
            for label in &entry.labels {
                assert!(sample.contains(&format!("{label}=\"")), "{sample}");
            }
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn documented_metric_names_are_exported() {
        let metrics = Metrics::new("1.2.3");
        metrics.event_in("baidu", IngestOutcome::RateLimited);
        metrics.response(503);
        metrics.events_out.inc_by(7);
        metrics.disconnects.inc(Disconnect::Stalled);
        metrics.append_seconds.observe(0.003);
        let text = metrics.render();
        for line in [
            "docrelay_build_info{version=\"1.2.3\"} 1",
            "docrelay_events_in_total{vendor=\"baidu\",outcome=\"rate_limited\"} 1",
            "docrelay_events_out_total 7",
            "docrelay_disconnects_total{reason=\"stalled\"} 1",
            "docrelay_disconnects_total{reason=\"closed\"} 0",
            "docrelay_http_responses_total{status=\"503\"} 1",
            "docrelay_append_seconds_count 1",
            "docrelay_follower_lag 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
    }

    #[test]
    fn clones_share_counters_and_gauge_guard_returns_to_zero() {
        let metrics = Metrics::new("");
        let other = metrics.clone();
        let guard = GaugeGuard::new(&metrics.followers);
        assert_eq!(other.followers.get(), 1);
        drop(guard);
        assert_eq!(other.followers.get(), 0);
        other.resets.inc(Reset::Epoch);
        assert_eq!(metrics.resets.get(Reset::Epoch), 1);
    }

    #[test]
    fn label_values_are_distinct() {
        fn distinct<L: Label>() {
            let mut words: Vec<_> = L::ALL.iter().map(|w| w.as_str()).collect();
            words.sort_unstable();
            words.dedup();
            assert_eq!(words.len(), L::ALL.len());
        }
        distinct::<IngestOutcome>();
        distinct::<DeliveryOutcome>();
        distinct::<Disconnect>();
        distinct::<StreamRefusal>();
        distinct::<Reset>();
    }
}
