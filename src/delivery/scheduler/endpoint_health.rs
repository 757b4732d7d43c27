//! Health of one endpoint: an AIMD limit on concurrent attempts (one more after each success, half after each failure)
//! and a circuit breaker that opens after consecutive failures. Pure: the time is an argument.

use std::time::{Duration, Instant};

/// Limit for an endpoint without history. Small, so that a hundred endpoints that never respond cannot hold all
/// permits.
const INITIAL_LIMIT: usize = 4;

const MAX_LIMIT: usize = 64;

/// Consecutive failures that open the breaker.
const FAILURES_TO_OPEN: u32 = 10;

/// Doubled each time a half-open breaker opens again.
const INITIAL_OPEN_TIME: Duration = Duration::from_secs(5);

const MAX_OPEN_TIME: Duration = Duration::from_secs(60);

/// What the result of an attempt says about the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Observation {
    Success,
    /// The endpoint responds and rejects this message: the endpoint itself is healthy.
    ClientError,
    /// No response, or a response that says that the endpoint cannot process requests now.
    Failure,
}

/// State of the circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BreakerState {
    /// Attempts are limited by the AIMD limit only.
    Closed,
    /// No attempts before `until`.
    Open { until: Instant },
    /// One attempt at a time: its result closes or opens the breaker.
    HalfOpen,
}

#[derive(Debug)]
pub(super) struct EndpointHealth {
    limit: usize,
    in_flight: usize,
    consecutive_failures: u32,
    next_open_time: Duration,
    breaker: BreakerState,
    /// Incremented when the breaker opens and on [`EndpointHealth::reset`]: failures of attempts that started in an
    /// earlier generation are ignored.
    generation: u32,
}

impl EndpointHealth {
    pub(super) fn new() -> Self {
        Self {
            limit: INITIAL_LIMIT,
            in_flight: 0,
            consecutive_failures: 0,
            next_open_time: INITIAL_OPEN_TIME,
            breaker: BreakerState::Closed,
            generation: 0,
        }
    }

    /// Number of attempts that may start now. A breaker whose open time has passed becomes half-open.
    pub(super) fn available(&mut self, now: Instant) -> usize {
        if matches!(self.breaker, BreakerState::Open { until } if until <= now) {
            self.breaker = BreakerState::HalfOpen;
        }
        match self.breaker {
            BreakerState::Closed => self.limit.saturating_sub(self.in_flight),
            BreakerState::Open { .. } => 0,
            BreakerState::HalfOpen => usize::from(self.in_flight == 0),
        }
    }

    /// Counts a started attempt. Returns the generation to pass to [`EndpointHealth::finish`].
    pub(super) fn start(&mut self) -> u32 {
        self.in_flight += 1;
        self.generation
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(super) fn breaker(&self) -> BreakerState {
        self.breaker
    }

    /// Whether there is something to remember: the last attempts have failed.
    pub(super) fn is_impaired(&self) -> bool {
        self.consecutive_failures > 0 || self.breaker != BreakerState::Closed
    }

    /// Forgets limit, failures and breaker: the endpoint was replaced, or its owner reports that it works.
    pub(super) fn reset(&mut self) {
        *self = Self { in_flight: self.in_flight, generation: self.generation.wrapping_add(1), ..Self::new() };
    }

    /// An attempt ended without a request to the endpoint, or was cancelled.
    pub(super) fn cancel(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// An attempt that started in `generation` ended.
    pub(super) fn finish(&mut self, observation: Observation, generation: u32, now: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        match observation {
            Observation::Failure if generation != self.generation => {}
            Observation::Success | Observation::ClientError => {
                self.consecutive_failures = 0;
                self.next_open_time = INITIAL_OPEN_TIME;
                self.breaker = BreakerState::Closed;
                if observation == Observation::Success {
                    self.limit = (self.limit + 1).min(MAX_LIMIT);
                }
            }
            Observation::Failure => {
                self.consecutive_failures = self.consecutive_failures.saturating_add(1);
                self.limit = (self.limit / 2).max(1);
                if self.breaker == BreakerState::HalfOpen || self.consecutive_failures >= FAILURES_TO_OPEN {
                    self.generation = self.generation.wrapping_add(1);
                    self.breaker = BreakerState::Open { until: now + self.next_open_time };
                    self.next_open_time = (self.next_open_time * 2).min(MAX_OPEN_TIME);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finish_one(health: &mut EndpointHealth, observation: Observation, now: Instant) {
        let generation = health.start();
        health.finish(observation, generation, now);
    }

    fn opened(now: Instant) -> EndpointHealth {
        let mut health = EndpointHealth::new();
        for _ in 0..FAILURES_TO_OPEN {
            finish_one(&mut health, Observation::Failure, now);
        }
        health
    }

    #[test]
    fn limit_grows_by_one_and_halves_within_its_bounds() {
        let (mut health, now) = (EndpointHealth::new(), Instant::now());
        assert_eq!(health.available(now), INITIAL_LIMIT);
        for _ in 0..200 {
            finish_one(&mut health, Observation::Success, now);
        }
        assert_eq!(health.available(now), MAX_LIMIT);
        finish_one(&mut health, Observation::Failure, now);
        assert_eq!(health.available(now), MAX_LIMIT / 2);
        for _ in 0..3 {
            finish_one(&mut health, Observation::Failure, now);
        }
        assert_eq!(health.available(now), MAX_LIMIT / 16);
    }

    #[test]
    fn one_failure_is_remembered_until_the_next_success() {
        let (mut health, now) = (EndpointHealth::new(), Instant::now());
        assert!(!health.is_impaired());
        finish_one(&mut health, Observation::Failure, now);
        assert!(health.is_impaired() && health.breaker() == BreakerState::Closed);
        finish_one(&mut health, Observation::Success, now);
        assert!(!health.is_impaired());
        assert!(opened(now).is_impaired());
    }

    #[test]
    fn breaker_opens_after_ten_failures_and_half_opens_with_one_attempt() {
        let (mut health, now) = (EndpointHealth::new(), Instant::now());
        for _ in 0..9 {
            finish_one(&mut health, Observation::Failure, now);
        }
        assert_eq!(health.breaker(), BreakerState::Closed);
        finish_one(&mut health, Observation::Failure, now);
        let until = now + INITIAL_OPEN_TIME;
        assert_eq!((health.breaker(), health.available(now)), (BreakerState::Open { until }, 0));
        assert_eq!((health.available(until), health.breaker()), (1, BreakerState::HalfOpen));
        let generation = health.start();
        assert_eq!(health.available(until), 0, "one probe at a time");
        health.finish(Observation::Failure, generation, until);
        let second = until + INITIAL_OPEN_TIME * 2;
        assert_eq!(health.breaker(), BreakerState::Open { until: second });
        assert_eq!(health.available(second), 1);
        finish_one(&mut health, Observation::Success, second);
        assert_eq!((health.breaker(), health.available(second)), (BreakerState::Closed, 2));
    }

    #[test]
    fn failures_of_an_earlier_generation_do_not_open_the_breaker_again() {
        let (mut health, now) = (EndpointHealth::new(), Instant::now());
        let generations = [health.start(), health.start()];
        for _ in 0..10 {
            finish_one(&mut health, Observation::Failure, now);
        }
        let open = health.breaker();
        health.finish(Observation::Failure, generations[0], now + Duration::from_secs(1));
        assert_eq!(health.breaker(), open);
        let until = now + INITIAL_OPEN_TIME;
        assert_eq!((health.available(until), health.in_flight()), (0, 1), "the probe waits for the last attempt");
        health.finish(Observation::Failure, generations[1], until);
        assert_eq!((health.available(until), health.breaker()), (1, BreakerState::HalfOpen));
    }

    #[test]
    fn open_time_doubles_up_to_its_maximum() {
        let mut now = Instant::now();
        let mut health = opened(now);
        for _ in 0..20 {
            now += MAX_OPEN_TIME;
            assert_eq!(health.available(now), 1);
            finish_one(&mut health, Observation::Failure, now);
        }
        assert_eq!(health.breaker(), BreakerState::Open { until: now + MAX_OPEN_TIME });
    }

    #[test]
    fn reset_closes_the_breaker_and_ignores_earlier_failures() {
        let (mut health, now) = (EndpointHealth::new(), Instant::now());
        let before = health.start();
        for _ in 0..10 {
            finish_one(&mut health, Observation::Failure, now);
        }
        health.reset();
        assert_eq!((health.breaker(), health.available(now)), (BreakerState::Closed, INITIAL_LIMIT - 1));
        health.finish(Observation::Failure, before, now);
        assert_eq!(health.available(now), INITIAL_LIMIT);
    }

    #[test]
    fn client_errors_neither_open_the_breaker_nor_change_the_limit() {
        let (mut health, now) = (EndpointHealth::new(), Instant::now());
        for _ in 0..100 {
            finish_one(&mut health, Observation::ClientError, now);
        }
        assert_eq!((health.breaker(), health.available(now)), (BreakerState::Closed, INITIAL_LIMIT));
    }
}
