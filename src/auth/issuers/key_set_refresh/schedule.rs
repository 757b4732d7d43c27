//! When a key set is fetched: pure, `now` comes from the caller. Every interval is bounded from below, so that neither
//! an issuer nor the senders of tokens can make the relay fetch often.

use std::time::Duration;

use tokio::time::Instant;

/// Interval of the fetches if the response does not say how long it is fresh.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(300);

/// Bounds of the interval that the response asks for.
const MIN_INTERVAL: Duration = Duration::from_secs(60);
const MAX_INTERVAL: Duration = Duration::from_secs(3600);

/// Pauses after failures in a row; the last one repeats.
const RETRY_PAUSES: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(60)];

/// Fetches that unknown key ids may cause in a row: a token with a made-up id must not delay those of a key that the
/// issuer adds soon after it.
const REQUEST_BURST: u32 = 4;

/// Time after which unknown key ids may cause one more fetch, and between two of them while the latest fetch has
/// failed.
const REQUEST_INTERVAL: Duration = Duration::from_secs(30);

/// Minimum time between two fetches that unknown key ids cause. Tokens that come meanwhile wait for the second one.
pub(super) const MIN_REQUEST_GAP: Duration = Duration::from_secs(1);

/// How long keys stay valid after they were last seen in the set.
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);

pub(super) struct RefreshSchedule {
    next: Instant,
    is_running: bool,
    /// `next` was caused by an unknown key id.
    is_requested: bool,
    /// When the latest fetch that an unknown key id has caused was or will be due.
    last_request: Option<Instant>,
    /// When unknown key ids may cause [`REQUEST_BURST`] fetches again: a leaky bucket.
    requests_forgotten_at: Instant,
    last_success: Option<Instant>,
    /// Consecutive failed fetches.
    failures: usize,
}

/// What a failed fetch means.
pub(super) struct FetchFailure {
    /// It is the first one after a success or the start.
    pub(super) is_first: bool,
    /// The keys have become too old by now.
    pub(super) is_expired: bool,
}

impl RefreshSchedule {
    /// The first fetch is due at once.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            next: now,
            is_running: false,
            is_requested: false,
            last_request: None,
            requests_forgotten_at: now,
            last_success: None,
            failures: 0,
        }
    }

    /// When the next fetch is due.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    pub(super) fn start(&mut self) {
        (self.is_running, self.is_requested) = (true, false);
    }

    /// Returns whether this ends a time without success.
    pub(super) fn succeed(&mut self, now: Instant, max_age: Option<Duration>) -> bool {
        let is_change = self.failures > 0 || self.last_success.is_none();
        let interval = max_age.map_or(DEFAULT_INTERVAL, |age| age.clamp(MIN_INTERVAL, MAX_INTERVAL));
        (self.is_running, self.failures, self.last_success) = (false, 0, Some(now));
        self.next = now + jittered(interval);
        is_change
    }

    pub(super) fn fail(&mut self, now: Instant) -> FetchFailure {
        let pause = RETRY_PAUSES[self.failures.min(RETRY_PAUSES.len() - 1)];
        let is_first = self.failures == 0;
        (self.is_running, self.failures) = (false, self.failures.saturating_add(1));
        self.next = now + jittered(pause);
        let is_expired = self.last_success.take_if(|success| now >= *success + MAX_AGE).is_some();
        FetchFailure { is_first, is_expired }
    }

    /// Whether the latest fetch that has ended has succeeded.
    pub(super) fn has_succeeded(&self) -> bool {
        self.failures == 0 && self.last_success.is_some()
    }

    /// An unknown key id asks for a fetch. Returns whether to wait for one: it runs, or is due within
    /// [`MIN_REQUEST_GAP`].
    pub(super) fn request(&mut self, now: Instant) -> bool {
        if self.is_running || self.is_requested || self.next <= now {
            return true;
        }
        let gap = if self.failures > 0 { REQUEST_INTERVAL } else { MIN_REQUEST_GAP };
        let earliest = self.last_request.map_or(now, |last| now.max(last + gap));
        let used = self.requests_forgotten_at.saturating_duration_since(earliest);
        if earliest > now + MIN_REQUEST_GAP || used > REQUEST_INTERVAL * (REQUEST_BURST - 1) {
            return false;
        }
        self.requests_forgotten_at = self.requests_forgotten_at.max(earliest) + REQUEST_INTERVAL;
        (self.next, self.is_requested, self.last_request) = (self.next.min(earliest), true, Some(earliest));
        true
    }
}

/// Up to a tenth less, so that the nodes of a cluster do not fetch at the same time.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(1.0 - 0.1 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// A schedule whose first fetch has succeeded at this time.
    fn fetched(now: Instant) -> RefreshSchedule {
        let mut schedule = RefreshSchedule::new(now);
        schedule.start();
        assert!(schedule.succeed(now, None));
        schedule
    }

    /// The times of the fetches of a schedule that is asked for one in each tenth of a second until `end`.
    fn fetches_of_a_flood(schedule: &mut RefreshSchedule, start: Instant, end: Duration) -> Vec<Duration> {
        let mut fetches = Vec::new();
        for tenth in 1..=end.as_millis() as u64 / 100 {
            let at = Duration::from_millis(tenth * 100);
            if schedule.request(start + at) {
                assert!(schedule.next() <= start + at + MIN_REQUEST_GAP);
            }
            if schedule.next() <= start + at {
                schedule.start();
                assert!(schedule.request(start + at), "tokens that come meanwhile share the fetch");
                schedule.succeed(start + at, None);
                fetches.push(at);
            }
        }
        fetches
    }

    #[test]
    fn unknown_key_ids_cause_a_burst_of_fetches_and_then_one_in_30_seconds() {
        let start = Instant::now();
        let mut schedule = fetched(start);
        let fetches = fetches_of_a_flood(&mut schedule, start, seconds(120));
        assert_eq!(fetches.len(), 7, "{fetches:?}");
        assert!(fetches.windows(2).all(|pair| pair[1] - pair[0] >= MIN_REQUEST_GAP), "{fetches:?}");
        assert!(fetches[3] < seconds(4) && fetches[4] >= seconds(30), "{fetches:?}");
        let rested = start + seconds(270);
        schedule.next = rested + seconds(300);
        assert_eq!(fetches_of_a_flood(&mut schedule, rested, seconds(20)).len(), 4, "the burst returns");
    }

    #[test]
    fn key_that_is_added_after_a_made_up_id_is_fetched_within_a_second() {
        let start = Instant::now();
        let mut schedule = fetched(start);
        for number in 0..4 {
            let asked = start + seconds(2) * number;
            assert!(schedule.request(asked) && schedule.next() == asked);
            schedule.start();
            schedule.succeed(asked, None);
            if number < 3 {
                continue;
            }
            assert!(!schedule.request(asked), "the burst is used up");
        }
        let mut schedule = fetched(start);
        assert!(schedule.request(start));
        schedule.start();
        schedule.succeed(start, None);
        let soon = start + Duration::from_millis(200);
        assert!(schedule.request(soon) && schedule.request(soon), "both wait for one fetch");
        assert_eq!(schedule.next(), start + MIN_REQUEST_GAP);
    }

    #[test]
    fn failing_server_is_not_asked_more_often_for_unknown_key_ids() {
        let start = Instant::now();
        let mut schedule = fetched(start);
        assert!(schedule.request(start));
        schedule.start();
        schedule.fail(start);
        assert!(!schedule.request(start + seconds(1)));
        assert!(schedule.next() >= start + seconds(4));
    }

    #[test]
    fn interval_follows_response_within_bounds() {
        let now = Instant::now();
        let next = |max_age| {
            let mut schedule = fetched(now);
            schedule.succeed(now, max_age);
            (schedule.next() - now).as_secs_f64()
        };
        for (max_age, interval) in [(None, 300.0), (Some(0), 60.0), (Some(900), 900.0), (Some(u64::MAX), 3600.0)] {
            let next = next(max_age.map(seconds));
            assert!(next > interval * 0.89 && next <= interval, "{max_age:?}: {next}");
        }
    }

    #[test]
    fn failures_are_retried_and_expire_the_keys_after_a_day() {
        let mut now = Instant::now();
        let mut schedule = fetched(now);
        let (begin, mut pauses, mut expired) = (now, Vec::new(), Vec::new());
        while now < begin + seconds(25 * 3600) {
            now = schedule.next();
            schedule.start();
            let failure = schedule.fail(now);
            assert_eq!(failure.is_first, pauses.is_empty());
            pauses.push((schedule.next() - now).as_secs_f64());
            if failure.is_expired {
                expired.push(now - begin);
            }
        }
        assert!(pauses[0] <= 5.0 && pauses[1] > 26.0 && pauses[1] <= 30.0, "{:?}", &pauses[..2]);
        assert!(pauses[2..].iter().all(|pause| (53.0..=60.0).contains(pause)));
        assert!(expired.len() == 1 && expired[0] >= seconds(86_400) && expired[0] < seconds(86_520), "{expired:?}");
        assert!(schedule.succeed(now, None), "a recovery is reported");
        assert!(!schedule.succeed(now, None));
    }
}
