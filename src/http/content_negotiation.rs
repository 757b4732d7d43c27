//! Content negotiation (RFC 9110, 12.5): what the `Accept` and `Accept-Encoding` headers of a request allow.

use http::{HeaderMap, HeaderName, header};

/// Whether a stream may be sent: there is no `Accept`, or it covers `text/event-stream`.
pub(super) fn allows_event_stream(headers: &HeaderMap) -> bool {
    let specificity = |range: &str| match range {
        "text/event-stream" => Some(3),
        "text/*" => Some(2),
        "*/*" => Some(1),
        _ => None,
    };
    match negotiate(headers, &header::ACCEPT, specificity) {
        Negotiated::Absent | Negotiated::Allowed => true,
        Negotiated::Refused => false,
    }
}

/// Whether HTML is asked for by its name, as browsers do for a page. Other clients send `*/*`.
pub(super) fn asks_for_html(headers: &HeaderMap) -> bool {
    let specificity = |range: &str| (range == "text/html").then_some(1);
    negotiate(headers, &header::ACCEPT, specificity) == Negotiated::Allowed
}

/// Whether the response may be compressed with gzip.
pub(super) fn allows_gzip(headers: &HeaderMap) -> bool {
    let specificity = |coding: &str| match coding {
        "gzip" | "x-gzip" => Some(2),
        "*" => Some(1),
        _ => None,
    };
    negotiate(headers, &header::ACCEPT_ENCODING, specificity) == Negotiated::Allowed
}

/// Whether OpenMetrics 1.0.0 is asked for by name, with at least the weight of `text/plain`.
pub(super) fn prefers_open_metrics(headers: &HeaderMap) -> bool {
    let (mut open_metrics, mut text) = (0.0_f32, 0.0_f32);
    for item in items(headers, &header::ACCEPT) {
        match (item.value.as_str(), item.version) {
            ("application/openmetrics-text", None | Some("1.0.0")) => open_metrics = open_metrics.max(item.weight),
            ("text/plain", _) => text = text.max(item.weight),
            _ => {}
        }
    }
    open_metrics > 0.0 && open_metrics >= text
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Negotiated {
    /// The header is missing or empty.
    Absent,
    /// The most specific item that covers the value has a weight above 0.
    Allowed,
    Refused,
}

/// An item of a header, such as `text/*;q=0.5`.
struct Item<'a> {
    /// In lower case.
    value: String,
    version: Option<&'a str>,
    /// 0 excludes what this item covers.
    weight: f32,
}

impl<'a> Item<'a> {
    fn parse(item: &'a str) -> Self {
        let mut parts = item.split(';').map(str::trim);
        let value = parts.next().unwrap_or_default().to_ascii_lowercase();
        let mut parsed = Self { value, version: None, weight: 1.0 };
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

/// The items of all headers of this name.
fn items<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = Item<'a>> {
    // A value that is not text covers nothing.
    let values = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("-"));
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|item| !item.is_empty()).map(Item::parse)
}

/// `specificity` tells how specific an item of the header, in lower case, is for a value, if it covers it.
fn negotiate(headers: &HeaderMap, name: &HeaderName, specificity: impl Fn(&str) -> Option<u8>) -> Negotiated {
    let mut best: Option<(u8, bool)> = None;
    let mut is_absent = true;
    for item in items(headers, name) {
        is_absent = false;
        let Some(rank) = specificity(&item.value) else { continue };
        if best.is_none_or(|(previous, _)| rank > previous) {
            best = Some((rank, item.weight > 0.0));
        }
    }
    match best {
        Some((_, true)) => Negotiated::Allowed,
        None if is_absent => Negotiated::Absent,
        Some((_, false)) | None => Negotiated::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), value.parse().expect("a header value"))).collect()
    }

    fn accepts(values: &[&str]) -> bool {
        allows_event_stream(&headers(header::ACCEPT, values))
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

    #[test]
    fn most_specific_item_decides_about_gzip() {
        let allowed: [&[&str]; 6] =
            [&["gzip"], &["br, GZIP;q=0.5"], &["br", "gzip"], &["*"], &["x-gzip"], &["*;q=0, gzip"]];
        for values in allowed {
            assert!(allows_gzip(&headers(header::ACCEPT_ENCODING, values)), "{values:?}");
        }
        let refused: [&[&str]; 6] = [&[], &[""], &["br"], &["gzip;q=0"], &["*, gzip ; Q=0.000"], &["identity, *;q=0"]];
        for values in refused {
            assert!(!allows_gzip(&headers(header::ACCEPT_ENCODING, values)), "{values:?}");
        }
    }

    #[test]
    fn html_must_be_named() {
        for (value, asked) in
            [("text/html, */*;q=0.1", true), ("*/*", false), ("text/*", false), ("text/html;q=0", false)]
        {
            assert_eq!(asks_for_html(&headers(header::ACCEPT, &[value])), asked, "{value}");
        }
        assert!(!asks_for_html(&HeaderMap::new()));
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
            assert!(prefers_open_metrics(&headers(header::ACCEPT, &[asked])), "{asked}");
        }
        for other in [
            "*/*",
            "application/*",
            "text/plain;version=0.0.4",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.6",
        ] {
            assert!(!prefers_open_metrics(&headers(header::ACCEPT, &[other])), "{other}");
        }
        assert!(!prefers_open_metrics(&HeaderMap::new()));
    }
}
