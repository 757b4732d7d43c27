//! How much one endpoint is given at a time: a window that grows while it answers and shrinks when it does not, and a
//! breaker that leaves it alone for a while once it has failed time after time. Pure: time comes in from outside.

use std::time::Duration;

use tokio::time::Instant;

/// Attempts at the same time to an endpoint of which nothing is known. Small, so that a hundred endpoints that hang from
/// the first request on cannot take all the places there are.
const BEGIN: usize = 4;

/// And to one that answers well.
const MOST: usize = 64;

/// Failures in a row that open the breaker.
const PATIENCE: u32 = 10;

/// For how long it is open at first; doubled at each failure after that.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// And at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What an attempt says about the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    /// It answers, with success.
    Well,
    /// It answers, and does not like what it got: nothing against the endpoint.
    Picky,
    /// It does not answer, or says that it cannot.
    Unwell,
}

/// Where the breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Breaker {
    /// As many as the window allows.
    Closed,
    /// None until then.
    Open(Instant),
    /// One, to see.
    HalfOpen,
}

/// The window of one endpoint.
#[derive(Debug)]
pub(super) struct Window {
    size: usize,
    running: usize,
    failures: u32,
    pause: Duration,
    breaker: Breaker,
    /// Grows each time the breaker opens.
    era: u32,
}

impl Window {
    pub(super) fn new() -> Self {
        Self { size: BEGIN, running: 0, failures: 0, pause: FIRST_PAUSE, breaker: Breaker::Closed, era: 0 }
    }

    /// How many more may begin now. A breaker whose pause is over becomes half open.
    pub(super) fn room(&mut self, now: Instant) -> usize {
        if matches!(self.breaker, Breaker::Open(until) if until <= now) {
            self.breaker = Breaker::HalfOpen;
        }
        match self.breaker {
            Breaker::Closed => self.size.saturating_sub(self.running),
            Breaker::Open(_) => 0,
            Breaker::HalfOpen => usize::from(self.running == 0),
        }
    }

    /// An attempt begins; it ends in the era that this returns.
    pub(super) fn begin(&mut self) -> u32 {
        self.running += 1;
        self.era
    }

    /// How many have begun and not ended.
    pub(super) fn running(&self) -> usize {
        self.running
    }

    /// Forgets how the endpoint did: it is another one now, or its owner says that it works.
    pub(super) fn renew(&mut self) {
        *self = Self { running: self.running, era: self.era.wrapping_add(1), ..Self::new() };
    }

    /// An attempt has ended without saying anything: it was called off, or came to no request.
    pub(super) fn cancel(&mut self) {
        self.running = self.running.saturating_sub(1);
    }

    /// An attempt of this era has ended. What was under way when the breaker opened, or when the endpoint was renewed,
    /// says nothing bad about it any more.
    pub(super) fn end(&mut self, health: Health, era: u32, now: Instant) {
        self.running = self.running.saturating_sub(1);
        match health {
            Health::Unwell if era != self.era => {}
            Health::Well | Health::Picky => {
                self.failures = 0;
                self.pause = FIRST_PAUSE;
                self.breaker = Breaker::Closed;
                if health == Health::Well {
                    self.size = (self.size + 1).min(MOST);
                }
            }
            Health::Unwell => {
                self.failures = self.failures.saturating_add(1);
                self.size = (self.size / 2).max(1);
                if self.breaker == Breaker::HalfOpen || self.failures >= PATIENCE {
                    self.era = self.era.wrapping_add(1);
                    self.breaker = Breaker::Open(now + self.pause);
                    self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Where the breaker stands.
    pub(super) fn breaker(&self) -> Breaker {
        self.breaker
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(window: &mut Window, now: Instant) {
        let era = window.begin();
        window.end(Health::Unwell, era, now);
    }

    #[test]
    fn it_grows_with_success_and_shrinks_with_failure_within_its_bounds() {
        let (mut window, now) = (Window::new(), Instant::now());
        assert_eq!(window.room(now), BEGIN);
        for _ in 0..200 {
            let era = window.begin();
            window.end(Health::Well, era, now);
        }
        assert_eq!(window.room(now), MOST);
        fail(&mut window, now);
        assert_eq!(window.room(now), MOST / 2);
        for _ in 0..3 {
            fail(&mut window, now);
        }
        assert_eq!(window.room(now), MOST / 16);
    }

    #[test]
    fn ten_failures_in_a_row_open_the_breaker_and_one_attempt_tries_it() {
        let (mut window, now) = (Window::new(), Instant::now());
        for _ in 0..9 {
            fail(&mut window, now);
        }
        assert_eq!(window.breaker(), Breaker::Closed);
        fail(&mut window, now);
        assert_eq!((window.breaker(), window.room(now)), (Breaker::Open(now + FIRST_PAUSE), 0));
        let later = now + FIRST_PAUSE;
        assert_eq!((window.room(later), window.breaker()), (1, Breaker::HalfOpen));
        let era = window.begin();
        assert_eq!(window.room(later), 0, "one, to see");
        window.end(Health::Unwell, era, later);
        assert_eq!(window.breaker(), Breaker::Open(later + FIRST_PAUSE * 2));
        let after = later + FIRST_PAUSE * 2;
        assert_eq!(window.room(after), 1);
        let era = window.begin();
        window.end(Health::Well, era, after);
        assert_eq!((window.breaker(), window.room(after)), (Breaker::Closed, 2));
    }

    #[test]
    fn what_was_under_way_when_it_opened_does_not_open_it_again() {
        let (mut window, now) = (Window::new(), Instant::now());
        let eras = [window.begin(), window.begin()];
        for _ in 0..10 {
            fail(&mut window, now);
        }
        let open = window.breaker();
        window.end(Health::Unwell, eras[0], now + Duration::from_secs(1));
        assert_eq!(window.breaker(), open);
        let later = now + FIRST_PAUSE;
        assert_eq!((window.room(later), window.running()), (0, 1), "not before the last of them has ended");
        window.end(Health::Unwell, eras[1], later);
        assert_eq!((window.room(later), window.breaker()), (1, Breaker::HalfOpen));
    }

    #[test]
    fn the_pause_has_an_end() {
        let (mut window, mut now) = (Window::new(), Instant::now());
        for _ in 0..10 {
            fail(&mut window, now);
        }
        for _ in 0..20 {
            now += LONGEST_PAUSE;
            assert_eq!(window.room(now), 1);
            fail(&mut window, now);
        }
        assert_eq!(window.breaker(), Breaker::Open(now + LONGEST_PAUSE));
    }

    #[test]
    fn an_endpoint_that_is_another_one_begins_anew() {
        let (mut window, now) = (Window::new(), Instant::now());
        let old = window.begin();
        for _ in 0..10 {
            fail(&mut window, now);
        }
        window.renew();
        assert_eq!((window.breaker(), window.room(now)), (Breaker::Closed, BEGIN - 1));
        window.end(Health::Unwell, old, now);
        assert_eq!(window.room(now), BEGIN, "the old one's failure is not the new one's");
    }

    #[test]
    fn an_endpoint_that_refuses_single_messages_is_well() {
        let (mut window, now) = (Window::new(), Instant::now());
        for _ in 0..100 {
            let era = window.begin();
            window.end(Health::Picky, era, now);
        }
        assert_eq!((window.breaker(), window.room(now)), (Breaker::Closed, BEGIN));
    }
}
