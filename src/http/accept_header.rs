//! What an `Accept` header says about the formats that the relay offers a choice of (RFC 9110, 12.5.1).

use http::HeaderMap;

/// A media range, such as `text/*;q=0.5`.
struct MediaRange<'a> {
    /// In lower case.
    media_type: String,
    version: Option<&'a str>,
    /// 0 excludes the types of this range.
    weight: f32,
}

impl<'a> MediaRange<'a> {
    fn parse(range: &'a str) -> Self {
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
        let mut parsed = Self { media_type, version: None, weight: 1.0 };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name.trim().to_ascii_lowercase().as_str() {
                "q" => parsed.weight = value.trim().parse().unwrap_or(1.0),
                "version" => parsed.version = Some(value.trim()),
                _ => {}
            }
        }
        parsed
    }
}

/// The media ranges of all `Accept` headers.
fn media_ranges(headers: &HeaderMap) -> impl Iterator<Item = MediaRange<'_>> {
    // A value that is not text covers nothing.
    let values = headers.get_all("accept").iter().map(|value| value.to_str().unwrap_or("-"));
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|range| !range.is_empty()).map(MediaRange::parse)
}

/// Whether `text/event-stream` is acceptable: there is no `Accept`, or the most specific range that covers the type has
/// a weight above 0.
pub(super) fn allows_event_stream(headers: &HeaderMap) -> bool {
    let mut best: Option<(u8, bool)> = None;
    let mut any = false;
    for range in media_ranges(headers) {
        any = true;
        let specificity = match range.media_type.as_str() {
            "text/event-stream" => 3,
            "text/*" => 2,
            "*/*" => 1,
            _ => continue,
        };
        if best.is_none_or(|(s, _)| specificity > s) {
            best = Some((specificity, range.weight > 0.0));
        }
    }
    !any || best.is_some_and(|(_, accepted)| accepted)
}

/// Whether OpenMetrics 1.0.0 is asked for by name, with at least the weight of `text/plain`.
pub(super) fn prefers_open_metrics(headers: &HeaderMap) -> bool {
    let (mut open_metrics, mut text) = (0.0_f32, 0.0_f32);
    for range in media_ranges(headers) {
        match (range.media_type.as_str(), range.version) {
            ("application/openmetrics-text", None | Some("1.0.0")) => open_metrics = open_metrics.max(range.weight),
            ("text/plain", _) => text = text.max(range.weight),
            _ => {}
        }
    }
    open_metrics > 0.0 && open_metrics >= text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("accept", value.parse().expect("a header value"));
        }
        headers
    }

    fn accepts(values: &[&str]) -> bool {
        allows_event_stream(&headers(values))
    }

    /// What Prometheus sends.
    const PROMETHEUS: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
        application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
        text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

    #[test]
    fn open_metrics_must_be_asked_for_by_name() {
        for asked in
            [PROMETHEUS, "application/openmetrics-text", "Application/OpenMetrics-Text; version=1.0.0, text/plain"]
        {
            assert!(prefers_open_metrics(&headers(&[asked])), "{asked}");
        }
        for other in [
            "*/*",
            "application/*",
            "text/plain;version=0.0.4",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.6",
        ] {
            assert!(!prefers_open_metrics(&headers(&[other])), "{other}");
        }
        assert!(!prefers_open_metrics(&headers(&[])));
    }

    #[test]
    fn missing_header_and_wildcards_allow_event_stream() {
        for good in [
            &[][..],
            &[""],
            &["*/*"],
            &["text/*"],
            &["text/event-stream"],
            &["Text/Event-Stream; charset=utf-8"],
            &["application/json, */*;q=0.1"],
            &["application/json", "text/event-stream"],
        ] {
            assert!(accepts(good), "{good:?}");
        }
    }

    #[test]
    fn zero_weight_and_other_types_exclude_event_stream() {
        for bad in [
            &["application/json"][..],
            &["text/event-stream;q=0"],
            &["text/event-stream; q=0.000, */*"],
            &["text/*;q=0, */*"],
            &["*/*;q=0"],
            &["text/html, application/xhtml+xml"],
        ] {
            assert!(!accepts(bad), "{bad:?}");
        }
    }
}
