//! Whether an `Accept` header allows an event stream as response (RFC 9110, 12.5.1).

use http::HeaderMap;

/// Whether `text/event-stream` is acceptable: there is no `Accept`, or the most specific range that covers the type has
/// a weight above 0.
pub(super) fn allows_event_stream(headers: &HeaderMap) -> bool {
    let mut best: Option<(u8, bool)> = None;
    let mut any = false;
    for value in headers.get_all("accept") {
        // A value that is not text covers nothing.
        for range in value.to_str().unwrap_or("-").split(',').map(str::trim).filter(|r| !r.is_empty()) {
            any = true;
            let mut parts = range.split(';').map(str::trim);
            let specificity = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                "text/event-stream" => 3,
                "text/*" => 2,
                "*/*" => 1,
                _ => continue,
            };
            let refused = parts.any(|p| {
                p.split_once('=').is_some_and(|(k, v)| {
                    k.trim().eq_ignore_ascii_case("q") && v.trim().parse::<f32>().is_ok_and(|q| q <= 0.0)
                })
            });
            if best.is_none_or(|(s, _)| specificity > s) {
                best = Some((specificity, !refused));
            }
        }
    }
    !any || best.is_some_and(|(_, accepted)| accepted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(values: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("accept", value.parse().expect("a header value"));
        }
        allows_event_stream(&headers)
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
