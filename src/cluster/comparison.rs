//! Compares the databases of the nodes while they run. The leader proposes comparison marks in the journal. Every node
//! computes the digest of its database at the mark's position and reports it in a record beside the journal. A node
//! whose digest is wrong says so; it must rebuild its database. Knows neither the store nor how it is rebuilt.

mod report;
mod schedule;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::BoxFuture;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use self::report::{Report, Reports};
use self::schedule::{Schedule, Situation};
use self::verdict::{Verdict, decide};
use super::records::NodeId;
use super::{ClusterNode, ClusterStatus};
use crate::journal::{Journal, JournalError};

/// How often the leader looks whether a mark is due, and a report that could not be written is repeated.
const TICK: Duration = Duration::from_secs(1);

/// The digest of this node's database at a comparison mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalDigest {
    /// The position of the mark.
    pub position: u64,
    /// The version of the tables: databases of different versions are not compared.
    pub schema: usize,
    /// `None` if the database is damaged.
    pub digest: Option<String>,
    /// Whether this node has proposed the mark.
    pub is_proposer: bool,
}

/// What a comparison needs of this node's store.
pub trait ComparedStore: Send {
    /// Waits for the next digest.
    fn next_digest(&mut self) -> BoxFuture<'_, LocalDigest>;
    /// Proposes a comparison mark with this fence. It may get lost.
    fn propose(&self, fence: u64);
}

/// This node's database differs from those of the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divergence {
    /// Position of the mark at which the digests differ.
    pub position: u64,
    /// The digest of this node; `None` if its database is damaged.
    pub digest: Option<String>,
    /// The digest that is right.
    pub expected: String,
    /// The nodes that have it.
    pub nodes: Vec<NodeId>,
}

/// The last comparison of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LastComparison {
    /// The position of the mark.
    pub position: u64,
    /// Whether its database was right; `None` while this is not decided.
    pub agrees: Option<bool>,
}

/// The last comparison of each node.
pub type LastComparisons = BTreeMap<NodeId, LastComparison>;

/// This node's part in comparisons: to be run by the caller.
pub struct Comparison {
    node: NodeId,
    journal: Arc<dyn Journal>,
    status: watch::Receiver<ClusterStatus>,
    leadership: watch::Receiver<Option<u64>>,
    reports: Reports,
    /// The fence of this node's leadership and its schedule; `None` while another node leads.
    schedule: Option<(u64, Schedule)>,
    results: watch::Sender<LastComparisons>,
    /// The latest position at which the databases differ and none is known to be right.
    undecided: u64,
    /// Whether the record on the broker is up to date.
    is_published: bool,
}

impl Comparison {
    /// A node begins without comparisons.
    pub fn new(node: &ClusterNode, journal: Arc<dyn Journal>) -> Self {
        let (status, leadership) = (node.status(), node.leadership());
        let node = status.borrow().node.clone();
        let (reports, results) = (Reports::new(node.clone()), watch::Sender::new(LastComparisons::new()));
        Self { node, journal, status, leadership, reports, schedule: None, results, undecided: 0, is_published: false }
    }

    /// The last comparisons of all nodes.
    pub fn results(&self) -> watch::Receiver<LastComparisons> {
        self.results.subscribe()
    }

    /// Takes part until this node's database is found to be wrong. To be called when the node has caught up.
    ///
    /// # Errors
    /// `Replaced`.
    pub async fn run(mut self, mut store: impl ComparedStore) -> Result<Divergence, JournalError> {
        let mut records = self.journal.records();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                record = records.next() => self.reports.observe(&record.unwrap_or(Err(JournalError::Replaced))?),
                digest = store.next_digest() => {
                    let LocalDigest { position, schema, digest, is_proposer } = digest;
                    self.reports.add_own(Report { position, schema, digest, is_proposer });
                    self.is_published = false;
                    self.publish().await;
                }
                _ = ticks.tick() => {
                    self.publish().await;
                    self.tend_schedule(&store);
                }
            }
            self.update_results();
            if let Some(divergence) = self.divergence() {
                return Ok(divergence);
            }
        }
    }

    async fn publish(&mut self) {
        if self.is_published {
            return;
        }
        let (key, value) = self.reports.own_record();
        match self.journal.put_record(key, value, None).await {
            Ok(_) => self.is_published = true,
            Err(error) => tracing::debug!(%error, "cannot report the digest of this node yet; retrying"),
        }
    }

    fn participants(&self) -> BTreeSet<NodeId> {
        let status = self.status.borrow();
        let alive = status.members.iter().filter(|member| member.is_alive).map(|member| member.name.clone()).collect();
        self.reports.participants(&alive)
    }

    /// Proposes a mark if this node leads and one is due.
    fn tend_schedule(&mut self, store: &impl ComparedStore) {
        let Some(fence) = *self.leadership.borrow() else {
            self.schedule = None;
            return;
        };
        let (participants, now) = (self.participants(), Instant::now());
        let own = self.status.borrow().members.iter().find(|member| member.name == self.node).map(|own| own.position);
        let Some(position) = own else { return };
        let (_, schedule) = match self.schedule.take() {
            Some(kept) if kept.0 == fence => self.schedule.insert(kept),
            _ => self.schedule.insert((fence, Schedule::new(position, now))),
        };
        let has_started = self.reports.lack_any(&participants);
        if schedule.is_due(Situation { position, participants: participants.len(), has_started }, now) {
            tracing::debug!(position, "comparing the databases of the nodes");
            store.propose(fence);
        }
    }

    /// Decides again about the last report of each node, and logs what has become known of other nodes.
    fn update_results(&mut self) {
        let members = self.participants();
        if !members.contains(&self.node) {
            // This node has just started, or sees nothing of the others.
            return;
        }
        let mut undecided = 0;
        let mut results = LastComparisons::new();
        for (node, report) in self.reports.latest() {
            let position = report.position;
            let agrees = match decide(&self.reports.at(position), &members, report.schema) {
                Verdict::Right(digest) => Some(report.digest.as_ref() == Some(&digest)),
                Verdict::Pending => None,
                Verdict::Undecided => {
                    undecided = position.max(undecided);
                    None
                }
            };
            results.insert(node.clone(), LastComparison { position, agrees });
        }
        if undecided > self.undecided {
            tracing::warn!(
                position = undecided,
                "databases of the nodes differ, and no majority tells which one is right"
            );
            self.undecided = undecided;
        }
        self.results.send_if_modified(|present| {
            for (node, result) in &results {
                if *node != self.node && result.agrees == Some(false) && present.get(node) != Some(result) {
                    tracing::warn!(%node, position = result.position, "database of another node differs: it must rebuild itself");
                }
            }
            std::mem::replace(present, results.clone()) != results
        });
    }

    /// Whether one of this node's reports is wrong.
    fn divergence(&self) -> Option<Divergence> {
        let members = self.participants();
        self.reports.own_positions().into_iter().filter(|_| members.contains(&self.node)).find_map(|position| {
            let reports = self.reports.at(position);
            let Report { schema, digest, .. } = reports.get(&self.node)?.clone();
            let Verdict::Right(expected) = decide(&reports, &members, schema) else { return None };
            let agree = |report: &Report| report.digest.as_ref() == Some(&expected);
            let nodes = reports.iter().filter(|(_, report)| agree(report)).map(|(node, _)| node.clone()).collect();
            (digest.as_ref() != Some(&expected)).then_some(Divergence { position, digest, expected, nodes })
        })
    }
}
