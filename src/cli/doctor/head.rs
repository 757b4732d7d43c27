//! What the head of an answer tells: whether a relay wrote it, and what was done to it on the way.

use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use super::finding::{Finding, seconds};
use crate::domain::Timestamp;

/// A clock may be off by so much without a word, and by so much before signed webhooks and tokens suffer.
const SKEW: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(60)];

fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default().trim())
}

/// Why this is no relay's stream; `None` when it may be one.
pub(super) fn stranger(status: StatusCode, headers: &HeaderMap) -> Option<Finding> {
    let media = value(headers, "content-type").unwrap_or_default();
    let why = match status {
        StatusCode::OK => {
            let media = media.split(';').next().unwrap_or_default().trim();
            if media.eq_ignore_ascii_case("text/event-stream") {
                return None;
            }
            format!(
                "answers with {}: a relay's stream is text/event-stream",
                if media.is_empty() { "no type" } else { media }
            )
        }
        _ if status.is_redirection() => {
            let to = value(headers, "location").unwrap_or_default();
            format!(
                "leads to {}: use that address, because a page's stream and its token should not be passed on",
                without_query(to)
            )
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            format!(
                "answers {status}: something in front of the relay asks for credentials of its own; a relay's stream never does"
            )
        }
        _ if status.is_server_error() => {
            format!("answers {status}: whatever stands in front of the relay does not reach it")
        }
        _ => format!("answers {status}: a relay's stream answers 200 whatever is wrong; is the path right?"),
    };
    Some(Finding::fail(format!("this is not docrelay: the address {why}")))
}

fn without_query(location: &str) -> &str {
    location.split('?').next().unwrap_or_default()
}

/// A stream that is compressed is one that is collected.
pub(super) fn compressed(headers: &HeaderMap) -> Option<Finding> {
    let coding = value(headers, "content-encoding").filter(|c| !c.is_empty() && !c.eq_ignore_ascii_case("identity"))?;
    Some(Finding::fail(format!(
        "compressed: Content-Encoding is {coding}, so events wait until a block is full: take text/event-stream out of what is compressed \
         (gzip_types in nginx)"
    )))
}

/// The headers by which a relay asks to be left alone.
pub(super) fn transport(headers: &HeaderMap) -> Vec<Finding> {
    let cache = headers.get_all("cache-control").iter().filter_map(|v| v.to_str().ok()).collect::<Vec<_>>().join(",");
    let cache = cache.to_ascii_lowercase();
    let missing: Vec<_> =
        ["no-cache", "no-transform"].into_iter().filter(|word| !cache.split(',').any(|c| c.trim() == *word)).collect();
    let cache = if missing.is_empty() {
        Finding::ok("Cache-Control forbids to keep and to change the stream")
    } else {
        Finding::fail(format!(
            "Cache-Control lacks {}: something in between replaces it; let the relay's own header through",
            missing.join(" and ")
        ))
    };
    let accel = match value(headers, "x-accel-buffering") {
        Some(no) if no.eq_ignore_ascii_case("no") => Finding::ok("X-Accel-Buffering asks not to collect the stream"),
        // nginx heeds it and takes it out, unless told otherwise: that alone is nothing wrong.
        None => Finding::warn(
            "X-Accel-Buffering is missing: nginx takes it out when it has heeded it, and then all is well; anything else should let it through",
        ),
        Some(other) => {
            Finding::fail(format!("X-Accel-Buffering is {other}: something in between replaces the relay's `no`"))
        }
    };
    vec![cache, accel]
}

/// How far the clocks are apart; `None` when the answer has no time.
pub(super) fn clock(headers: &HeaderMap, now: Timestamp) -> Option<Finding> {
    let date = httpdate::parse_http_date(value(headers, "date")?).ok()?;
    let theirs = date.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let theirs = Timestamp::from_millis(i64::try_from(theirs.as_millis()).ok()?);
    // A date has whole seconds, cut off.
    let ahead = now.until(theirs);
    let behind = theirs.plus(Duration::from_secs(1)).until(now);
    let (skew, how) = if ahead > behind { (ahead, "ahead of") } else { (behind, "behind") };
    let text = format!("the other side's clock is {} {how} this machine's", seconds(skew));
    Some(match skew {
        _ if skew > SKEW[1] => {
            Finding::fail(format!("{text}: set both by NTP; tokens and signatures are refused otherwise"))
        }
        _ if skew > SKEW[0] => Finding::warn(format!("{text}: set both by NTP")),
        _ => Finding::ok("the clocks agree"),
    })
}

#[cfg(test)]
mod tests {
    use super::super::finding::Grade;
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value"))).collect()
    }

    #[test]
    fn clocks_may_be_off_by_seconds_and_not_by_minutes() {
        let date = headers(&[("date", "Sun, 22 Nov 2026 12:43:00 GMT")]);
        let there = Timestamp::parse("2026-11-22T12:43:00Z").expect("a time");
        let grade = |now| clock(&date, now).expect("a date").grade;
        let off = Duration::from_secs;
        for (seconds, expected) in
            [(0, Grade::Ok), (5, Grade::Ok), (7, Grade::Warn), (60, Grade::Warn), (62, Grade::Fail)]
        {
            assert_eq!(grade(there.plus(off(seconds))), expected, "{seconds} s ahead");
            assert_eq!(grade(there.minus(off(seconds))), expected, "{seconds} s behind");
        }
        for bad in ["", "yesterday"] {
            assert_eq!(clock(&headers(&[("date", bad)]), there), None);
        }
        assert_eq!(clock(&HeaderMap::new(), there), None);
    }

    #[test]
    fn what_the_relay_asks_of_those_in_between_has_to_arrive() {
        let grades =
            |pairs: &[(&'static str, &str)]| transport(&headers(pairs)).iter().map(|f| f.grade).collect::<Vec<_>>();
        let accel = ("x-accel-buffering", "no");
        assert_eq!(grades(&[("cache-control", "no-cache, no-transform"), accel]), [Grade::Ok, Grade::Ok]);
        assert_eq!(
            grades(&[("cache-control", "No-Transform"), ("cache-control", "no-cache")]),
            [Grade::Ok, Grade::Warn]
        );
        for replaced in ["no-cache", "max-age=60", ""] {
            assert_eq!(grades(&[("cache-control", replaced), accel]), [Grade::Fail, Grade::Ok], "{replaced}");
        }
        assert_eq!(grades(&[("x-accel-buffering", "yes")]), [Grade::Fail, Grade::Fail]);
    }
}
