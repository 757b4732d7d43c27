//! Runs the coordinator of a node: watches the records, executes the coordinator's actions over the journal, and
//! publishes what it decides. Decides nothing itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::contact::BrokerContact;
use super::coordinator::{ClusterAction, ClusterEvent, Coordinator, RecordOutcome};
use super::ownership::OwnedQueues;
use super::records::RecordValue;
use super::{ClusterStatus, LocalStore, NodeFormats, NodeOptions, Timing};
use crate::journal::{Journal, JournalError};

/// Much shorter than the margin of a lease: the end of a lease is noticed within this time.
const TICK: Duration = Duration::from_millis(100);

/// This node of a cluster: to be run by the caller.
pub struct ClusterNode {
    coordinator: Coordinator,
    timing: Timing,
    formats: NodeFormats,
    journal: Arc<dyn Journal>,
    store: Arc<dyn LocalStore>,
    queues: OwnedQueues,
    leadership: watch::Sender<Option<u64>>,
    status: watch::Sender<ClusterStatus>,
    confirmed: watch::Sender<Option<Instant>>,
    /// Writes, and the store that catches up. All run on the task of [`ClusterNode::run`].
    work: FuturesUnordered<BoxFuture<'static, ClusterEvent>>,
    has_left: bool,
}

impl ClusterNode {
    /// A node that has not joined yet.
    pub fn new(options: NodeOptions, journal: Arc<dyn Journal>, store: Arc<dyn LocalStore>) -> Self {
        let (timing, formats, queues) = (options.timing, options.formats, OwnedQueues::new(options.id.clone()));
        let coordinator = Coordinator::new(options);
        let status = watch::Sender::new(coordinator.status(Instant::now()));
        let (leadership, confirmed) = (watch::Sender::new(None), watch::Sender::new(None));
        let work = FuturesUnordered::new();
        Self {
            coordinator,
            timing,
            formats,
            journal,
            store,
            queues,
            leadership,
            status,
            confirmed,
            work,
            has_left: false,
        }
    }

    /// The queues that this node owns.
    pub fn queues(&self) -> OwnedQueues {
        self.queues.clone()
    }

    /// The fence while this node leads the cluster. It grows from leader to leader.
    pub fn leadership(&self) -> watch::Receiver<Option<u64>> {
        self.leadership.subscribe()
    }

    /// The state of the cluster, at most one tick old.
    pub fn status(&self) -> watch::Receiver<ClusterStatus> {
        self.status.subscribe()
    }

    /// Whether the broker stores what this node writes.
    pub fn contact(&self) -> BrokerContact {
        BrokerContact::new(self.confirmed.subscribe(), self.timing.lease)
    }

    /// Takes part in the cluster until `stop` is cancelled. Then it waits until the attempts have ended, and leaves.
    /// When the future is dropped instead, the other nodes wait for the end of the lease.
    ///
    /// # Errors
    /// `Replaced`: the journal was deleted or re-created. `Unreadable`: the other nodes propose entries in a format
    /// that this program does not read. This node then owns nothing and does not lead.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), JournalError> {
        let result = self.take_part(&stop).await;
        self.queues.extend(None);
        self.leadership.send_replace(None);
        result
    }

    async fn take_part(&mut self, stop: &CancellationToken) -> Result<(), JournalError> {
        let mut records = self.journal.records();
        let mut released = self.queues.released();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let limit = self.timing.leave;
        let leaving = async move {
            stop.cancelled().await;
            sleep(limit).await;
        };
        let mut leaving = std::pin::pin!(leaving);
        let mut is_stopped = false;
        while !self.has_left {
            let event = tokio::select! {
                () = stop.cancelled(), if !is_stopped => {
                    is_stopped = true;
                    ClusterEvent::Stop
                }
                () = &mut leaving => {
                    tracing::warn!("cannot leave the cluster in time: the other nodes wait for the end of the lease");
                    return Ok(());
                }
                record = records.next() => {
                    let record = record.unwrap_or(Err(JournalError::Replaced))?;
                    match RecordValue::parse(&record) {
                        Some(value) => ClusterEvent::Observed { value, revision: record.revision },
                        None => continue,
                    }
                }
                Some(event) = self.work.next(), if !self.work.is_empty() => event,
                Ok(()) = released.changed() => ClusterEvent::Released { generation: *released.borrow_and_update() },
                _ = ticks.tick() => ClusterEvent::Tick {
                    position: self.store.position(),
                    is_failing: self.store.is_failing(),
                    abstains: self.store.abstains(),
                },
            };
            self.handle(event)?;
        }
        Ok(())
    }

    fn handle(&mut self, event: ClusterEvent) -> Result<(), JournalError> {
        let is_tick = matches!(event, ClusterEvent::Tick { .. });
        let now = Instant::now();
        for action in self.coordinator.handle(event, now) {
            self.execute(action)?;
        }
        let confirmed = self.coordinator.confirmed_at();
        self.confirmed.send_if_modified(|present| std::mem::replace(present, confirmed) != confirmed);
        if is_tick {
            let status = self.coordinator.status(now);
            self.status.send_if_modified(|present| std::mem::replace(present, status.clone()) != status);
        }
        Ok(())
    }

    fn execute(&mut self, action: ClusterAction) -> Result<(), JournalError> {
        match action {
            ClusterAction::Write { value, expected, beat } => self.write(&value, expected, beat),
            ClusterAction::Extend { lease_end } => self.queues.extend(lease_end),
            ClusterAction::Own { holding, version } => self.queues.change(holding, version),
            ClusterAction::CatchUp { generation } => {
                let catching_up = self.store.catch_up();
                self.work.push(Box::pin(async move {
                    let result = catching_up.await;
                    if let Err(error) = &result {
                        tracing::warn!(error, "cannot take over delivery queues yet; retrying");
                    }
                    ClusterEvent::CaughtUp { generation, is_complete: result.is_ok() }
                }));
            }
            ClusterAction::Lead(fence) => {
                self.leadership.send_replace(fence);
            }
            ClusterAction::UseFormat(format) => {
                tracing::info!(format, "entries of the journal are proposed in this format");
                self.store.use_format(format);
            }
            ClusterAction::Outdated(format) => return Err(self.formats.outdated(format)),
            ClusterAction::Finished => self.has_left = true,
        }
        Ok(())
    }

    fn write(&mut self, value: &RecordValue, expected: u64, beat: u64) {
        let (key, limit) = (value.key(), self.timing.write_timeout);
        let writing: BoxFuture<'static, Result<u64, JournalError>> = match value.to_bytes() {
            Some(bytes) => self.journal.put_record(key.clone(), bytes, Some(expected)),
            None => {
                let deleting = self.journal.delete_record(key.clone(), Some(expected));
                Box::pin(async move { deleting.await.map(|()| expected) })
            }
        };
        self.work.push(Box::pin(async move {
            let outcome = match timeout(limit, writing).await {
                Ok(Ok(revision)) => RecordOutcome::Stored(revision),
                Ok(Err(JournalError::Conflict)) => RecordOutcome::Conflict,
                Ok(Err(error)) => {
                    tracing::debug!(%error, key, "cannot write a record of the cluster; retrying");
                    RecordOutcome::Unknown
                }
                Err(_) => RecordOutcome::Unknown,
            };
            ClusterEvent::Written { key, beat, outcome }
        }));
    }
}
