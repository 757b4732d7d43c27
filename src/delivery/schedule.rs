//! When a delivery is tried again. Pure numbers: the schedule of the contract, its jitter, and what a receiver may ask.

use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// Seconds between a failure and the next attempt; after the last of them there is none.
const WAITS: [u64; 12] =
    [5, 30, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];

/// A receiver may ask for no more than this.
const LONGEST: Duration = Duration::from_secs(24 * HOUR);

/// How long to wait after so many failures (the first is 1), `None` when it was the last. `chance`, from 0 to 1, spreads
/// the wait by a fifth to either side, so that what failed together does not come back together. `asked` is the
/// receiver's `Retry-After`: it lengthens the wait, up to a day, and never shortens it.
pub(super) fn wait(failures: u32, asked: Option<Duration>, chance: f64) -> Option<Duration> {
    let index = usize::try_from(failures.saturating_sub(1)).ok()?;
    let base = Duration::from_secs(*WAITS.get(index)?);
    let spread = base.mul_f64(0.8 + 0.4 * chance.clamp(0.0, 1.0));
    Some(spread.max(asked.unwrap_or_default().min(LONGEST)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_is_the_contracts_and_ends_after_twelve_waits() {
        let seconds: Vec<u64> = (1..).map_while(|n| wait(n, None, 0.5)).map(|w| w.as_secs()).collect();
        let contract = [5, 30, 120, 600, 1_800, 3_600, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
        assert_eq!(seconds, contract);
        assert_eq!(wait(13, None, 0.5), None);
        assert_eq!(wait(u32::MAX, Some(Duration::MAX), 0.5), None);
    }

    #[test]
    fn the_jitter_is_a_fifth_to_either_side() {
        for failures in 1..=12 {
            let middle = wait(failures, None, 0.5).expect("scheduled");
            for step in 0..=10 {
                let spread = wait(failures, None, f64::from(step) / 10.0).expect("scheduled");
                assert!(spread >= middle.mul_f64(0.799) && spread <= middle.mul_f64(1.201), "{failures} {step}");
            }
        }
    }

    #[test]
    fn a_receiver_lengthens_the_wait_up_to_a_day_and_never_shortens_it() {
        let asked = |seconds| wait(2, Some(Duration::from_secs(seconds)), 0.5).expect("scheduled").as_secs();
        assert_eq!([asked(0), asked(29), asked(31), asked(86_400), asked(u64::MAX)], [30, 30, 31, 86_400, 86_400]);
    }
}
