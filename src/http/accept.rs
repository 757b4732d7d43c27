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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Negotiated {
    /// The header is missing or empty.
    Absent,
    /// The most specific item that covers the value has a weight above 0.
    Allowed,
    Refused,
}

/// `specificity` tells how specific an item of the header, in lower case, is for a value, if it covers it.
fn negotiate(headers: &HeaderMap, name: &HeaderName, specificity: impl Fn(&str) -> Option<u8>) -> Negotiated {
    let mut best: Option<(u8, bool)> = None;
    let mut is_absent = true;
    for value in headers.get_all(name) {
        // A value that is not text covers nothing.
        for item in value.to_str().unwrap_or("-").split(',').map(str::trim).filter(|item| !item.is_empty()) {
            is_absent = false;
            let mut parts = item.split(';').map(str::trim);
            let Some(rank) = specificity(&parts.next().unwrap_or_default().to_ascii_lowercase()) else { continue };
            let is_refused = parts.any(|parameter| {
                parameter.split_once('=').is_some_and(|(key, weight)| {
                    key.trim().eq_ignore_ascii_case("q") && weight.trim().parse::<f32>().is_ok_and(|q| q <= 0.0)
                })
            });
            if best.is_none_or(|(previous, _)| rank > previous) {
                best = Some((rank, !is_refused));
            }
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
}
