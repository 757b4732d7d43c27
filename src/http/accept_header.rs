//! Whether an `Accept` header lets us answer with an event stream (RFC 9110, 12.5.1).

use http::HeaderMap;

/// True when `text/event-stream` is acceptable: no `Accept` at all, or the most specific range that covers it does not
/// have the weight 0.
pub(super) fn allows_event_stream(headers: &HeaderMap) -> bool {
    let mut best: Option<(u8, bool)> = None;
    let mut any = false;
    for value in headers.get_all("accept") {
        // What is not text is no range that covers anything.
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
    fn missing_and_wildcards_include_the_stream() {
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
    fn a_weight_of_zero_and_other_types_exclude_it() {
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
