//! Random commands of every kind that changes the store, through the ports.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::json;

use crate::domain::{
    Callback, Client, ClientLimits, ClientRef, Credential, Destinations, Disposition, Format, Hook, Notification,
    NotificationState, QueueKey, QueueTarget, RetiredSecret, Secret, Status, Timestamp, Update, Vendor, VendorError,
    Verify,
};
use crate::store::{
    Attempt, AttemptRecord, DeliveryQuery, DuplicateRule, NewEvent, RawRequest, Reject, SchedulePosition, Store,
    StoreError,
};

/// A generator of pseudo-random numbers (SplitMix64): the same numbers for the same seed.
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(super) fn one_of<T: Clone>(&mut self, items: &[T]) -> T {
        let index = usize::try_from(self.below(items.len() as u64)).expect("an index");
        items[index].clone()
    }

    fn flip(&mut self) -> bool {
        self.below(2) == 0
    }

    fn maybe<T>(&mut self, value: T) -> Option<T> {
        self.flip().then_some(value)
    }
}

/// A command that runs when its future is polled.
pub(super) type Running = BoxFuture<'static, ()>;

/// Makes commands. The clock advances with them.
pub(super) struct RandomCommands {
    pub(super) rng: Rng,
    pub(super) now: Timestamp,
    numbers: u64,
}

impl RandomCommands {
    pub(super) fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed), now: Timestamp::from_millis(1_800_000_000_000), numbers: 0 }
    }

    /// A different number with each call.
    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(super) fn next(&mut self, store: &Store) -> Running {
        let step = self.rng.one_of(&[5, 5, 200, 60_000, 3_600_000, 20 * 3_600_000]);
        self.now = self.now.plus(Duration::from_millis(self.rng.below(step)));
        if self.rng.below(40) == 0 {
            // A clock that is set back.
            self.now = self.now.minus(Duration::from_secs(self.rng.below(100_000)));
        }
        let store = store.clone();
        match self.rng.below(33) {
            0..10 => self.append(store),
            10 => self.add_reject(store),
            11 => self.remove_reject(store),
            12..17 => self.record_attempt(store),
            17 => self.retry(store),
            18 => self.bulk(store),
            19 => {
                let now = self.now;
                Box::pin(async move { check(store.maintenance.prune(now).await) })
            }
            20..24 => self.change_client(store),
            24..27 => self.change_hook(store),
            27..31 => self.change_notification(store),
            31 => self.change_limits(store),
            _ => Box::pin(async move { check(store.maintenance.probe().await) }),
        }
    }

    /// One of the clients, or one that does not exist.
    fn client(&mut self, store: &Store) -> ClientRef {
        let all: Vec<ClientRef> = store.registry.clients().iter().map(|client| client.reference()).collect();
        let unknown = ClientRef { id: "a".parse().expect("an id"), created: Timestamp::from_millis(1) };
        if all.is_empty() || self.rng.below(20) == 0 { unknown } else { self.rng.one_of(&all) }
    }

    fn raw(&mut self) -> RawRequest {
        let length = usize::try_from(self.rng.below(3_000)).expect("a length");
        RawRequest {
            method: self.rng.one_of(&["GET", "POST"]).to_owned(),
            query: self.rng.maybe("a=1&b=%00".to_owned()),
            headers: vec![("x-odd".into(), "\"quoted\" \u{e9}".into()), ("a".into(), String::new())],
            body: vec![u8::try_from(self.rng.below(256)).expect("a byte"); length].into(),
        }
    }

    fn credential(&mut self) -> Option<Credential> {
        let secret = Secret::new(&format!("secret {}", self.number()));
        self.rng.one_of(&[None, Some(Credential::Cookie(secret.clone())), Some(Credential::Header(secret))])
    }

    fn destinations(&mut self) -> Destinations {
        let name = self.rng.one_of(&["main", "other", "missing"]).parse().expect("a name");
        let (host, path) = (self.rng.below(3), self.rng.below(3));
        let callback = Callback {
            url: format!("https://host{host}.example.com/{path}"),
            format: self.rng.one_of(&[Format::Baidu, Format::Gini, Format::Standard]),
            credential: self.credential(),
        };
        Destinations { notification: self.rng.maybe(name), callback: self.rng.maybe(callback) }
    }

    fn append(&mut self, store: Store) -> Running {
        let number = self.rng.below(12);
        let id = self.rng.one_of(&[
            format!("job-{number}"),
            format!("626626A0-749F-11E2-BFD6-0000000000{number:02}"),
            format!("626626a0-749f-11e2-bfd6-0000000000{number:02}"),
        ]);
        let mut update = Update::new(id.parse().expect("an identifier"), self.rng.one_of(&Status::ALL));
        let title = format!("title {}", self.rng.below(9));
        update.title = self.rng.maybe(title);
        let result = json!({"z": 1.5e300, "a": [null, true, -7, u64::MAX, 0.1], "o": {"b": 2, "a": i64::MIN}});
        update.result = self.rng.maybe(result).and_then(|result| result.as_object().cloned());
        update.error = self.rng.maybe(VendorError { code: "7".into(), message: "line\nbreak".into() });
        update.vendor_time = self.rng.maybe(Timestamp::from_millis(1));
        let key = format!("key {}", self.rng.below(20));
        let rules = [DuplicateRule::SameKey(key), DuplicateRule::SameStatus, DuplicateRule::KnownDocument];
        let event = NewEvent {
            client: self.client(&store),
            vendor: self.rng.one_of(&[Vendor::Ppj, Vendor::Gini]),
            update,
            labels: [("label".to_owned(), self.number().to_string())].into(),
            raw: self.rng.flip().then(|| self.raw()),
            duplicate_rule: self.rng.one_of(&rules),
            destinations: self.rng.flip().then(|| self.destinations()),
            now: self.now,
        };
        Box::pin(async move { check(store.log.append(event).await) })
    }

    fn add_reject(&mut self, store: Store) -> Running {
        let client = self.client(&store);
        let reject = Reject {
            id: 0,
            hook: "h".into(),
            time: self.now,
            verified: self.rng.flip(),
            reason: "not JSON".into(),
            raw: self.raw(),
        };
        Box::pin(async move { check(store.rejects.add(&client, reject).await) })
    }

    fn remove_reject(&mut self, store: Store) -> Running {
        let client = self.client(&store);
        Box::pin(async move {
            if let Ok(page) = store.rejects.list(&client, 3, None).await
                && let Some(reject) = page.items.last()
            {
                check(store.rejects.remove(&client, reject.id).await);
            }
        })
    }

    fn record_attempt(&mut self, store: Store) -> Running {
        let (client, now, choice) = (self.client(&store), self.now, self.rng.below(9));
        let later = now.plus(Duration::from_millis(self.rng.below(100_000_000)));
        let disposition = self.rng.one_of(&[Disposition::Delivered, Disposition::Dead, Disposition::Retry(later)]);
        let attempt = Attempt {
            time: now,
            duration: Duration::from_micros(self.rng.below(9_000_000)),
            status: self.rng.maybe(500),
            response_body: vec![b'x'; 2_000].into(),
            error: self.rng.maybe("refused".to_owned()),
        };
        let attempt = self.rng.maybe(attempt);
        // Sometimes of an earlier attempt, and sometimes recorded twice.
        let (lag, count) = (self.rng.one_of(&[0, 0, 1]), self.rng.one_of(&[1, 1, 2]));
        Box::pin(async move {
            let Some((delivery, queue)) = delivery(&store, &client, choice).await else { return };
            let content = store.outbox.content(&queue, delivery).await.ok().flatten();
            let read = content.map_or(SchedulePosition { failures: 0, queued: now }, |content| content.schedule);
            let schedule = SchedulePosition { failures: read.failures + lag, ..read };
            let record = AttemptRecord { queue, delivery, schedule, attempt, disposition, now };
            for _ in 0..count {
                check(store.outbox.record_attempt(record.clone()).await);
            }
        })
    }

    fn retry(&mut self, store: Store) -> Running {
        let (client, now, choice) = (self.client(&store), self.now, self.rng.below(30));
        Box::pin(async move {
            let Some((delivery, _)) = delivery(&store, &client, choice).await else { return };
            check(store.outbox.retry(&client, delivery, now).await);
        })
    }

    fn bulk(&mut self, store: Store) -> Running {
        let (client, now, since) = (self.client(&store), self.now, self.now.minus(Duration::from_secs(100_000)));
        if self.rng.flip() {
            let name = "main".parse().expect("a name");
            return Box::pin(async move { check(store.outbox.retry_failed(&client, &name, since, now).await) });
        }
        let choice = self.rng.below(9);
        Box::pin(async move {
            let Some((_, queue)) = delivery(&store, &client, choice).await else { return };
            check(store.outbox.make_due(&queue, now).await);
        })
    }

    fn change_client(&mut self, store: Store) -> Running {
        let name = self.rng.one_of(&["a", "b", "c"]).parse().expect("an id");
        let secret = Secret::new(&format!("secret {}", self.number()));
        let created = Timestamp::from_millis(self.now.millis() + i64::try_from(self.number()).expect("a number"));
        let added = Client { id: name, created, secret: secret.clone(), previous: None };
        let (kind, until) = (self.rng.below(8), self.now.plus(Duration::from_secs(9)));
        Box::pin(async move {
            match (store.registry.client(&added.id), kind) {
                (None, _) => check(store.registry.add_client(added).await),
                (Some(_), 0) => check(store.registry.remove_client(&added.id).await),
                (Some(before), 1..4) => {
                    let previous = Some((before.secret.clone(), until));
                    let after = Client { secret, previous, ..(*before).clone() };
                    check(store.registry.update_client(&before, after).await);
                }
                (Some(_), _) => check(store.registry.add_client(added).await),
            }
        })
    }

    fn change_limits(&mut self, store: Store) -> Running {
        let client = self.client(&store);
        let after = ClientLimits {
            events_per_second: self.rng.maybe(NonZeroU32::MIN),
            followers: self.rng.maybe(NonZeroU32::MAX),
            stored_bytes: self.rng.one_of(&[None, NonZeroU64::new(5_000), NonZeroU64::new(80_000)]),
            notifications: self.rng.one_of(&[None, NonZeroU32::new(1), NonZeroU32::new(9)]),
        };
        Box::pin(async move {
            let before = store.registry.client_limits(&client);
            check(store.registry.set_client_limits(&client, before, after).await);
        })
    }

    fn change_hook(&mut self, store: Store) -> Running {
        let client = self.client(&store);
        let verify = [Verify::None {}, Verify::Standard { secrets: vec![Secret::new("whsec_1"), Secret::new("2")] }];
        let hook = Hook {
            id: format!("hook {}", self.rng.below(3)),
            key: Secret::new(&format!("key {}", self.number())),
            vendor: Vendor::Standard,
            name: self.rng.maybe("name".to_owned()),
            labels: [("b".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())].into(),
            label_cookies: vec!["c".to_owned()],
            verify: self.rng.one_of(&verify),
            mapping: None,
            created: self.now,
        };
        let kind = self.rng.below(3);
        Box::pin(async move {
            let before = store.registry.hooks(&client).into_iter().find(|known| known.id == hook.id);
            match (before, kind) {
                (Some(before), 0) => check(store.registry.update_hook(&client, &before, hook).await),
                (Some(_), 1) => check(store.registry.remove_hook(&client, &hook.id).await),
                _ => check(store.registry.add_hook(&client, hook).await),
            }
        })
    }

    fn change_notification(&mut self, store: Store) -> Running {
        let client = self.client(&store);
        let name = self.rng.one_of(&["main", "other", "third"]);
        let secret = Secret::new(&format!("secret {}", self.number()));
        let new = Notification {
            // A later one may have the id of a removed one whose deliveries are not dead yet.
            id: format!("{name} {}", self.rng.below(4)),
            name: name.parse().expect("a name"),
            endpoint: "https://example.com/".to_owned(),
            format: self.rng.one_of(&[Format::Gini, Format::Baidu]),
            is_default: self.rng.flip(),
            secrets: vec![secret.clone()],
            previous: self.rng.maybe(RetiredSecret { secret, until: self.now }),
            credential: self.credential(),
            state: NotificationState::Active,
            created: self.now,
        };
        let kind = self.rng.below(6);
        Box::pin(async move {
            let present = store.registry.notifications(&client);
            let before = present.into_iter().find(|known| known.name == new.name);
            let state = NotificationState::Disabled;
            match (before, kind) {
                (Some(before), 0..2) => check(store.registry.update_notification(&client, &before, new).await),
                (Some(before), 2) => check(store.registry.set_notification_state(&client, &before, state).await),
                (Some(_), 3) => check(store.registry.remove_notification(&client, name).await),
                _ => check(store.registry.add_notification(&client, new).await),
            }
        })
    }
}

/// One of a client's deliveries, with its queue.
pub(super) async fn delivery(store: &Store, client: &ClientRef, choice: u64) -> Option<(u64, QueueKey)> {
    let query = DeliveryQuery { limit: 30, ..DeliveryQuery::default() };
    let items = store.outbox.deliveries(client, query).await.ok()?.items;
    let index = choice.checked_rem(items.len() as u64).and_then(|index| usize::try_from(index).ok())?;
    let found = &items[index];
    let target: QueueTarget = found.target.queue_target();
    Some((found.id, QueueKey { client: client.id.clone(), target }))
}

/// A command may be refused; the store must be available.
fn check<T>(result: Result<T, StoreError>) {
    if let Err(error @ (StoreError::Unavailable(_) | StoreError::Stopped)) = result {
        panic!("{error}");
    }
}
