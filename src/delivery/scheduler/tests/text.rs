//! The scheduler with events and actions as text.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::delivery::scheduler::{
    AttemptKind, BreakerState, DueSpan, LoadedPage, Now, Observation, Parallelism, Prefetched, Scheduler,
    SchedulerAction, SchedulerCommand, SchedulerEvent, SchedulerLimits, StoreFailure,
};
use crate::domain::{Disposition, QueueKey, QueueTarget, Timestamp};

/// A scheduler that reads events and writes actions as text.
///
/// Events: `ready Q`, `lost Q`, `ready-failed`, `woken [next=30s]`, `wake-failed`, `page Q [size=1000] D… [cut]
/// [next=30s] [single]`, `load-unavailable Q`, `load-rejected Q`, `ok D`, `4xx D`, `fail D`, `dead D`, `panic D`,
/// `cancel D`, `postpone D`, `stored D`, `superseded D`, `store-unavailable D`, `store-rejected D`, `reset Q`, `retry
/// Q`, `remove Q`, `remove-client C`, `wait 30s`, `stop`. A failed attempt is retried after 30 s. Q is
/// `client/notification` or `client/@host`. D is `f1` or `r1` on a page (first attempt or retry), else `1`; `f1-4` are
/// four deliveries, and an event of `1-4` four events.
pub(super) struct Text {
    pub(super) scheduler: Scheduler,
    now: Now,
    names: HashMap<QueueKey, String>,
    dispositions: HashMap<u64, Disposition>,
}

impl Text {
    pub(super) fn new(permits: usize) -> Self {
        Self::with_limits(SchedulerLimits { permits, queues: 4_096, content_bytes: 1 << 40 })
    }

    pub(super) fn with_limits(limits: SchedulerLimits) -> Self {
        let now = Now { instant: Instant::now(), wall: Timestamp::from_seconds(1_700_000_000) };
        let scheduler = Scheduler::new(limits);
        let mut text = Self { scheduler, now, names: HashMap::new(), dispositions: HashMap::new() };
        assert_eq!(text.handle(SchedulerEvent::Start), ["wake"]);
        text.run("woken");
        text
    }

    /// Handles the events, separated by `;`, and returns the actions in the same form.
    pub(super) fn run(&mut self, events: &str) -> String {
        let events = events.split(';').map(str::trim).filter(|event| !event.is_empty());
        let actions: Vec<String> = events.flat_map(|event| self.event(event)).collect();
        actions.join("; ")
    }

    fn event(&mut self, event: &str) -> Vec<String> {
        let (name, rest) = event.split_once(' ').unwrap_or((event, ""));
        let words: Vec<&str> = rest.split(' ').collect();
        if name == "wait" {
            return self.wait(duration(words[0]));
        }
        if let "ready" | "lost" | "page" | "load-unavailable" | "load-rejected" | "reset" | "retry" | "remove" = name {
            let event = self.queue_event(name, words[0], &words[1..]);
            return self.handle(event);
        }
        if name == "remove-client" {
            let client = words[0].parse().expect("client id");
            return self.handle(SchedulerEvent::Command(SchedulerCommand::ClientRemoved(client)));
        }
        let next = words[0].strip_prefix("next=").map(|time| self.now.wall.plus(duration(time)));
        let event = match name {
            "stop" => Some(SchedulerEvent::Stop),
            "ready-failed" => Some(SchedulerEvent::ReadyFailed),
            "woken" => Some(SchedulerEvent::DueWoken(next)),
            "wake-failed" => Some(SchedulerEvent::WakeFailed(DueSpan { after: self.now.wall, through: self.now.wall })),
            _ => None,
        };
        if let Some(event) = event {
            return self.handle(event);
        }
        range(words[0]).flat_map(|delivery| self.delivery_event(name, delivery)).collect()
    }

    fn queue_event(&mut self, event: &str, name: &str, words: &[&str]) -> SchedulerEvent {
        let queue = queue_key(name);
        self.names.insert(queue.clone(), name.to_owned());
        match event {
            "ready" => SchedulerEvent::QueueReady(queue),
            "lost" => SchedulerEvent::QueueLost(queue),
            "page" => SchedulerEvent::PageLoaded { queue, page: self.page(words) },
            "load-unavailable" => SchedulerEvent::LoadFailed { queue, failure: StoreFailure::Unavailable },
            "load-rejected" => SchedulerEvent::LoadFailed { queue, failure: StoreFailure::Rejected },
            "reset" => SchedulerEvent::Command(SchedulerCommand::Reset(queue)),
            "retry" => SchedulerEvent::Command(SchedulerCommand::RetryNow(queue)),
            _ => SchedulerEvent::Command(SchedulerCommand::QueueRemoved(queue)),
        }
    }

    fn page(&self, words: &[&str]) -> LoadedPage {
        let mut page = LoadedPage { deliveries: Vec::new(), next_due: None, parallelism: Parallelism::Adaptive };
        let mut bytes = 0;
        for word in words {
            match *word {
                "cut" => page.next_due = Some(self.now.wall),
                "single" => page.parallelism = Parallelism::Single,
                _ if word.starts_with("size=") => bytes = word[5..].parse().expect("bytes"),
                _ if word.starts_with("next=") => page.next_due = Some(self.now.wall.plus(duration(&word[5..]))),
                _ => {
                    let kind = if word.starts_with('f') { AttemptKind::First } else { AttemptKind::Retry };
                    page.deliveries.extend(range(&word[1..]).map(|id| Prefetched { id, bytes, kind }));
                }
            }
        }
        page
    }

    fn delivery_event(&mut self, event: &str, delivery: u64) -> Vec<String> {
        let retry = Disposition::Retry(self.now.wall.plus(Duration::from_secs(30)));
        let (observation, disposition) = match event {
            "ok" => (Some(Observation::Success), Some(Disposition::Delivered)),
            "4xx" => (Some(Observation::ClientError), Some(retry)),
            "fail" => (Some(Observation::Failure), Some(retry)),
            "dead" => (None, Some(Disposition::Dead)),
            "panic" => (None, Some(retry)),
            "cancel" => (None, None),
            "postpone" => return self.handle(SchedulerEvent::AttemptPostponed { delivery }),
            "stored" => return self.handle(SchedulerEvent::OutcomeStored { delivery }),
            "superseded" => return self.handle(SchedulerEvent::OutcomeSuperseded { delivery }),
            "store-unavailable" => {
                return self.handle(SchedulerEvent::StoreFailed { delivery, failure: StoreFailure::Unavailable });
            }
            "store-rejected" => {
                return self.handle(SchedulerEvent::StoreFailed { delivery, failure: StoreFailure::Rejected });
            }
            _ => panic!("unknown event {event}"),
        };
        self.dispositions.extend(disposition.map(|disposition| (delivery, disposition)));
        self.handle(SchedulerEvent::AttemptFinished { delivery, observation, disposition })
    }

    /// Advances the time from alarm to alarm.
    fn wait(&mut self, time: Duration) -> Vec<String> {
        let end = self.now.instant + time;
        let mut actions = Vec::new();
        while let Some(at) = self.scheduler.next_alarm().filter(|at| *at <= end) {
            self.advance(at);
            actions.extend(self.handle(SchedulerEvent::AlarmReached));
        }
        self.advance(end);
        actions
    }

    fn advance(&mut self, to: Instant) {
        self.now.wall = self.now.wall.plus(to.saturating_duration_since(self.now.instant));
        self.now.instant = to.max(self.now.instant);
    }

    fn handle(&mut self, event: SchedulerEvent) -> Vec<String> {
        let actions = self.scheduler.handle(event, self.now);
        actions.iter().map(|action| self.action(action)).collect()
    }

    fn action(&self, action: &SchedulerAction) -> String {
        let name = |queue| &self.names[queue];
        match action {
            SchedulerAction::LoadPage { queue, limit, exclude } if exclude.is_empty() => {
                format!("load {} {limit}", name(queue))
            }
            SchedulerAction::LoadPage { queue, limit, exclude } => {
                format!("load {} {limit} without {}", name(queue), ids(exclude))
            }
            SchedulerAction::WakeDue(_) => "wake".to_owned(),
            SchedulerAction::Rescan => "rescan".to_owned(),
            SchedulerAction::StartAttempt { queue, delivery } => format!("start {} {delivery}", name(queue)),
            SchedulerAction::StoreOutcome { delivery } => format!("store {delivery}"),
            SchedulerAction::Requeue { queue, delivery } => format!("requeue {} {delivery}", name(queue)),
            SchedulerAction::ReportBreaker { queue, state: BreakerState::Closed } => format!("closed {}", name(queue)),
            SchedulerAction::ReportBreaker { queue, state: BreakerState::HalfOpen } => {
                format!("half-open {}", name(queue))
            }
            SchedulerAction::ReportBreaker { queue, state: BreakerState::Open { until } } => {
                format!("open {} {}s", name(queue), until.saturating_duration_since(self.now.instant).as_secs())
            }
        }
    }
}

/// Parses `client/notification` or `client/@host`.
pub(super) fn queue_key(name: &str) -> QueueKey {
    let (client, target) = name.split_once('/').expect("client/target");
    let target = match target.strip_prefix('@') {
        Some(host) => QueueTarget::Origin(format!("https://{host}.example").into()),
        None => QueueTarget::from_key(target).expect("target key"),
    };
    QueueKey { client: client.parse().expect("client id"), target }
}

fn duration(text: &str) -> Duration {
    let seconds = text.strip_suffix('s').expect("seconds");
    Duration::from_secs_f64(seconds.parse().expect("a number"))
}

fn range(text: &str) -> std::ops::RangeInclusive<u64> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    first.parse().expect("delivery")..=last.parse().expect("delivery")
}

/// `1,2,5-8`
fn ids(ids: &[u64]) -> String {
    let mut sorted = ids.to_vec();
    sorted.sort_unstable();
    let runs = sorted.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [one] => one.to_string(),
        [first, .., last] => format!("{first}-{last}"),
        [] => String::new(),
    });
    runs.collect::<Vec<_>>().join(",")
}
