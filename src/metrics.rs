//! The relay's metrics and their export for Prometheus. Independent of the other parts, which record values here.

mod exposition;
mod label;
mod registry;

use std::ops::Deref;
use std::sync::Arc;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::exponential_buckets;
use prometheus_client::registry::Registry;

pub use prometheus_client::metrics::counter::Counter;
pub use prometheus_client::metrics::gauge::Gauge;
pub use prometheus_client::metrics::histogram::Histogram;

pub use exposition::ExpositionFormat;
pub use label::{
    DeliveryGivenUp, DeliveryOutcome, Disconnect, Http2Refusal, IngestOutcome, Label, PrunedRow, ReloadOutcome, Reset,
    StreamRefusal,
};
pub use registry::{Counters, MetricDescription};

use registry::{MetricRegistry, Pair};

/// The metrics of one relay. Cheap to clone; dereferences to [`MetricSet`].
#[derive(Clone, Debug)]
pub struct Metrics {
    inner: Arc<MetricSet>,
}

/// Every metric; [`Metrics::new`] has their help texts. Recording to a [`Counter`] or [`Gauge`] is one atomic
/// operation.
#[derive(Debug)]
pub struct MetricSet {
    pub events_out: Counter,
    pub stream_bytes: Counter,
    /// Held with [`GaugeGuard`].
    pub followers: Gauge,
    pub followers_opened: Counter,
    pub disconnects: Counters<Disconnect>,
    pub stream_refusals: Counters<StreamRefusal>,
    pub append_batch_size: Histogram,
    pub append_seconds: Histogram,
    pub replay_events: Counter,
    /// Held with [`GaugeGuard`].
    pub replays_running: Gauge,
    pub resets: Counters<Reset>,
    pub follower_lag: Gauge,
    pub texts_truncated: Counter,
    pub ring_bytes: Gauge,
    pub rejects: Counter,
    pub rejects_refused: Counter,
    /// Includes the requests that verify or test an endpoint.
    pub delivery_attempts: Counters<DeliveryOutcome>,
    pub delivery_seconds: Histogram,
    /// Held with [`GaugeGuard`].
    pub deliveries_running: Gauge,
    pub deliveries_pending: Gauge,
    pub deliveries_oldest_due: Gauge,
    pub deliveries_dead: Counter,
    pub endpoint_checks_skipped: Counter,
    pub deliveries_given_up: Counters<DeliveryGivenUp>,
    pub endpoints_open: Gauge,
    pub endpoints_half_open: Gauge,
    /// Held with [`GaugeGuard`].
    pub connections: Gauge,
    pub key_set_fetches: Counter,
    pub key_set_failures: Counter,
    pub connections_refused: Counter,
    /// Held with [`GaugeGuard`].
    pub http2_requests_running: Gauge,
    pub http2_requests_refused: Counters<Http2Refusal>,
    pub token_checks_refused: Counter,
    pub log_lines_dropped: Counter,
    pub slow_responses: Counter,
    pub tls_handshake_failures: Counter,
    pub proxy_header_failures: Counter,
    pub store_head: Gauge,
    pub wal_bytes: Gauge,
    pub wal_over_limit: Gauge,
    pub pruned_events: Counter,
    pub pruned_rows: Counters<PrunedRow>,
    pub config_reloads: Counters<ReloadOutcome>,
    pub cluster_comparisons: Counter,
    pub cluster_rebuilds: Counter,
    pub cluster_snapshot_failures: Counter,
    pub cluster_refused_changes: Counter,
    events_in: Family<[Pair; 2], Counter>,
    http_responses: Family<[(&'static str, u16); 1], Counter>,
    registry: Registry,
    entries: Vec<MetricDescription>,
}

impl Metrics {
    /// All values are zero. `version` is the version of the program.
    pub fn new(version: &'static str) -> Self {
        let mut registry = MetricRegistry::new();
        registry.info("build", ("version", version), "Version of the running program");
        let labels = vec!["vendor", IngestOutcome::NAME];
        let events_in = registry.family("events_in", labels, "Requests of vendors, by outcome");
        registry.describe_values::<IngestOutcome>();
        let inner = MetricSet {
            events_in,
            events_out: registry.counter("events_out", "Events written to followers, counted once per follower"),
            stream_bytes: registry.counter("stream_bytes", "Bytes written to followers"),
            followers: registry.gauge("followers", "Open streams"),
            followers_opened: registry.counter("followers_opened", "Streams opened"),
            disconnects: registry.counters("disconnects", "Streams closed, by reason"),
            stream_refusals: registry.counters("stream_refusals", "Streams refused, by reason"),
            append_batch_size: registry.histogram(
                "append_batch_size",
                exponential_buckets(1.0, 2.0, 13),
                "Commands in one transaction of the writer",
            ),
            append_seconds: registry.histogram(
                "append_seconds",
                exponential_buckets(0.0005, 2.0, 15),
                "Seconds of a transaction, flush included",
            ),
            replay_events: registry.counter("replay_events", "Events read from the log for followers"),
            replays_running: registry.gauge("replays_running", "Followers reading from the log"),
            resets: registry.counters("resets", "Resets sent to followers, by reason"),
            follower_lag: registry
                .gauge("follower_lag", "Positions between the slowest follower and the newest event of its client"),
            texts_truncated: registry.counter("texts_truncated", "Texts of events that were cut to their bounds"),
            ring_bytes: registry.gauge("ring_bytes", "Bytes of recent events in memory for followers"),
            rejects: registry.counter("rejects", "Requests stored as rejects"),
            rejects_refused: registry
                .counter("rejects_refused", "Unverified requests not stored, because of the rate limit or the bound of rejects"),
            delivery_attempts: registry.counters("delivery_attempts", "Delivery attempts, by outcome"),
            delivery_seconds: registry.histogram(
                "delivery_seconds",
                exponential_buckets(0.001, 2.0, 15),
                "Seconds of a delivery attempt, connection and response included",
            ),
            deliveries_running: registry.gauge("deliveries_running", "Delivery attempts in flight"),
            deliveries_pending: registry.gauge("deliveries_pending", "Deliveries that are queued or in flight"),
            deliveries_oldest_due: registry
                .gauge("deliveries_oldest_due_seconds", "Seconds since the due time of the oldest due delivery"),
            deliveries_dead: registry.counter("deliveries_dead", "Deliveries that became dead letters"),
            endpoint_checks_skipped: registry.counter(
                "endpoint_checks_skipped",
                "New endpoints whose host was not resolved, because too many checks were running",
            ),
            deliveries_given_up: registry.counters(
                "deliveries_given_up",
                "Pending deliveries that became dead letters without an attempt, by reason",
            ),
            endpoints_open: registry.gauge("endpoints_open", "Endpoints whose circuit breaker is open"),
            endpoints_half_open: registry.gauge("endpoints_half_open", "Endpoints whose circuit breaker is half open"),
            connections: registry.gauge("connections", "Open connections on both addresses"),
            key_set_fetches: registry.counter("key_set_fetches", "Fetches of the key sets of foreign issuers"),
            key_set_failures: registry
                .counter("key_set_failures", "Fetches of the key sets of foreign issuers that brought no usable keys"),
            connections_refused: registry.counter(
                "connections_refused",
                "Connections closed at once, because their address had too many of them",
            ),
            http2_requests_running: registry.gauge(
                "http2_requests_running",
                "HTTP/2 requests in flight beside one of each connection, streams excluded",
            ),
            http2_requests_refused: registry.counters(
                "http2_requests_refused",
                "HTTP/2 requests refused because too many were in flight, by reason",
            ),
            token_checks_refused: registry.counter(
                "token_checks_refused",
                "Requests whose credentials were not verified, because their address had failed with too many",
            ),
            log_lines_dropped: registry
                .counter("log_lines_dropped", "Log lines dropped because standard error did not accept them"),
            slow_responses: registry
                .counter("slow_responses", "Responses ended because their reader was too slow, streams excluded"),
            proxy_header_failures: registry.counter(
                "proxy_header_failures",
                "Connections of trusted proxies closed because of a missing, malformed or late header of the PROXY protocol",
            ),
            tls_handshake_failures: registry
                .counter("tls_handshake_failures", "TLS handshakes that failed or took longer than `header_timeout`"),
            http_responses: registry.family("http_responses", vec!["status"], "HTTP responses, by status code"),
            store_head: registry.gauge("store_head", "Sequence of the last stored event"),
            wal_bytes: registry.gauge("wal_bytes", "Bytes of the write-ahead log of the database"),
            wal_over_limit: registry.gauge(
                "wal_over_limit",
                "1 while a reader, such as a backup of the database file, makes the write-ahead log exceed its limit",
            ),
            pruned_events: registry.counter("pruned_events", "Events removed by retention"),
            pruned_rows: registry.counters("pruned_rows", "Rows other than events removed by retention, by kind"),
            config_reloads: registry.counters("config_reloads", "Reloads of the configuration, by outcome"),
            cluster_comparisons: registry
                .counter("cluster_comparisons", "Comparisons of this node's database with the other nodes'"),
            cluster_rebuilds: registry.counter(
                "cluster_rebuilds",
                "Times that this node had to replace its database by a snapshot while it ran",
            ),
            cluster_snapshot_failures: registry.counter(
                "cluster_snapshot_failures",
                "Snapshots of the cluster that this node could not make or store",
            ),
            cluster_refused_changes: registry.counter(
                "cluster_refused_changes",
                "Changes in the journal that this node has not made, because each attempt fails or panics in the same way",
            ),
            registry: registry.registry,
            entries: registry.entries,
        };
        Self { inner: Arc::new(inner) }
    }

    /// All metrics.
    pub fn render(&self, format: ExpositionFormat) -> String {
        let mut text = String::with_capacity(8 * 1024);
        // Writing to a String cannot fail.
        let written = encode(&mut text, &self.registry);
        debug_assert!(written.is_ok());
        match format {
            ExpositionFormat::Text => exposition::text_format(&text),
            ExpositionFormat::OpenMetrics => text,
        }
    }
}

impl Deref for Metrics {
    type Target = MetricSet;

    fn deref(&self) -> &MetricSet {
        &self.inner
    }
}

impl MetricSet {
    /// Counts a vendor's request. `vendor` is `unknown` if there is no such hook.
    pub fn event_in(&self, vendor: &'static str, outcome: IngestOutcome) {
        self.events_in.get_or_create_owned(&[("vendor", vendor), (IngestOutcome::NAME, outcome.as_str())]).inc();
    }

    pub fn response(&self, status: u16) {
        self.http_responses.get_or_create_owned(&[("status", status)]).inc();
    }

    /// Every metric, in the order of the reference page.
    pub fn entries(&self) -> &[MetricDescription] {
        &self.entries
    }
}

/// Increments a gauge until it is dropped, so that the gauge is decremented even if a task panics or is cancelled.
#[derive(Debug)]
pub struct GaugeGuard(Gauge);

impl GaugeGuard {
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

/// The metrics as a Markdown table, which `docs/REFERENCE.md` contains verbatim.
pub fn reference() -> String {
    let metrics = Metrics::new("");
    let rows = metrics.entries().iter().map(|e| {
        let labels: Vec<_> = e.labels.iter().map(|l| format!("`{l}`")).collect();
        format!("| `{}` | {} | {} | {} |\n", e.name, e.kind, labels.join(", "), e.help)
    });
    std::iter::once("| metric | kind | labels | meaning |\n|---|---|---|---|\n".to_owned()).chain(rows).collect()
}

/// The closed sets of label values as rows of a Markdown table, which `docs/REFERENCE.md` contains verbatim.
pub fn label_reference() -> String {
    let metrics = Metrics::new("");
    let closed = metrics.entries().iter().filter(|e| !e.values.is_empty());
    let rows = closed.map(|e| {
        let values: Vec<_> = e.values.iter().map(|v| format!("`{v}`")).collect();
        let label = e.labels.last().copied().unwrap_or_default();
        format!("| `{label}` of `{}` | {} |\n", e.name, values.join(", "))
    });
    let vendor = "| `vendor` | the six vendors, or `unknown` if the hook is unknown |\n";
    std::iter::once(format!("| label | values |\n|---|---|\n{vendor}")).chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exported_metrics_match_the_listed_descriptions() {
        let metrics = Metrics::new("1.2.3");
        metrics.event_in("ppj", IngestOutcome::Stored);
        metrics.response(200);
        let text = metrics.render(ExpositionFormat::OpenMetrics);
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

    // Rule 33: documented values are those of the code.
    #[test]
    fn documented_metric_names_are_exported() {
        let metrics = Metrics::new("1.2.3");
        metrics.event_in("baidu", IngestOutcome::RateLimited);
        metrics.response(503);
        metrics.events_out.inc_by(7);
        metrics.disconnects.inc(Disconnect::Stalled);
        metrics.append_seconds.observe(0.003);
        let text = metrics.render(ExpositionFormat::OpenMetrics);
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
            let mut values: Vec<_> = L::ALL.iter().map(|v| v.as_str()).collect();
            values.sort_unstable();
            values.dedup();
            assert_eq!(values.len(), L::ALL.len());
        }
        distinct::<IngestOutcome>();
        distinct::<DeliveryOutcome>();
        distinct::<Disconnect>();
        distinct::<StreamRefusal>();
        distinct::<Http2Refusal>();
        distinct::<Reset>();
        distinct::<PrunedRow>();
        distinct::<ReloadOutcome>();
    }
}
