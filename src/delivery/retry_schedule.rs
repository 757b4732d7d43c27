//! The retry schedule of the contract: when a failed delivery is attempted again. Pure.

use std::time::Duration;

use crate::domain::Timestamp;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// Seconds between a failure and the next attempt. After the last one the delivery is dead.
const DELAYS_SECONDS: [u64; 12] =
    [5, 30, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];

/// Length of the schedule with the longest jitter: a delivery is dead at the latest this long after it was queued or
/// last retried by hand, whatever delays its attempts.
pub const MAX_SCHEDULE: Duration = Duration::from_secs({
    let (mut sum, mut index) = (0, 0);
    while index < DELAYS_SECONDS.len() {
        sum += DELAYS_SECONDS[index];
        index += 1;
    }
    sum * 6 / 5
});

/// Upper bound on a `Retry-After`.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * HOUR);

/// Delay after the `failures`-th failure (the first is 1), `None` after the last of the schedule. `random`, from 0 to
/// 1, is the jitter: up to 20 % less or more, so that deliveries that failed together are not retried together.
/// `retry_after` lengthens the delay, up to 24 hours, and never shortens it.
pub(super) fn delay(failures: u32, retry_after: Option<Duration>, random: f64) -> Option<Duration> {
    let index = usize::try_from(failures.saturating_sub(1)).ok()?;
    let scheduled = Duration::from_secs(*DELAYS_SECONDS.get(index)?);
    let jittered = scheduled.mul_f64(0.8 + 0.4 * random.clamp(0.0, 1.0));
    Some(jittered.max(retry_after.unwrap_or_default().min(MAX_RETRY_AFTER)))
}

/// The time of the next attempt of a delivery that was queued at `queued`; `None` if it would be after
/// [`MAX_SCHEDULE`].
pub(super) fn next_attempt(queued: Timestamp, now: Timestamp, delay: Option<Duration>) -> Option<Timestamp> {
    let next = now.plus(delay?);
    (next <= queued.plus(MAX_SCHEDULE)).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedule_has_the_twelve_delays_of_the_contract() {
        let seconds: Vec<u64> = (1..).map_while(|n| delay(n, None, 0.5)).map(|w| w.as_secs()).collect();
        let contract = [5, 30, 120, 600, 1_800, 3_600, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
        assert_eq!(seconds, contract);
        assert_eq!(delay(13, None, 0.5), None);
        assert_eq!(delay(u32::MAX, Some(Duration::MAX), 0.5), None);
    }

    // Rule 27: retries are spread and endpoints isolated.
    #[test]
    fn jitter_is_at_most_twenty_percent() {
        for failures in 1..=12 {
            let middle = delay(failures, None, 0.5).expect("scheduled");
            let [least, most] = [0.0, 1.0].map(|random| delay(failures, None, random).expect("scheduled"));
            assert!(least <= middle.mul_f64(0.81) && most >= middle.mul_f64(1.19), "the delays are spread: {failures}");
            for step in 0..=10 {
                let jittered = delay(failures, None, f64::from(step) / 10.0).expect("scheduled");
                assert!(jittered >= middle.mul_f64(0.799) && jittered <= middle.mul_f64(1.201), "{failures} {step}");
            }
        }
    }

    // Rule 25: `Retry-After` is parsed strictly and clamped.
    #[test]
    fn no_attempt_follows_after_the_longest_schedule() {
        let queued = Timestamp::from_seconds(1_000);
        let end = queued.plus(MAX_SCHEDULE);
        assert_eq!(MAX_SCHEDULE.as_secs(), 331_386);
        let longest: Duration = (1..=12).filter_map(|failures| delay(failures, None, 1.0)).sum();
        assert!(longest <= MAX_SCHEDULE, "an undisturbed schedule is complete");
        let day = Some(Duration::from_secs(86_400));
        assert_eq!(next_attempt(queued, end.minus(Duration::from_secs(86_400)), day), Some(end));
        assert_eq!(next_attempt(queued, end.minus(Duration::from_secs(86_399)), day), None);
        assert_eq!(next_attempt(queued, queued, None), None);
    }

    // Rule 25: `Retry-After` is parsed strictly and clamped.
    #[test]
    fn retry_after_lengthens_the_delay_up_to_a_day() {
        let asked = |seconds| delay(2, Some(Duration::from_secs(seconds)), 0.5).expect("scheduled").as_secs();
        assert_eq!([asked(0), asked(29), asked(31), asked(86_400), asked(u64::MAX)], [30, 30, 31, 86_400, 86_400]);
    }
}
