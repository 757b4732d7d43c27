//! What the nodes have reported of their databases, and the records in which they do: one per node, as JSON. A node
//! that has caught up after its start writes a record without reports.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::cluster::records::NodeId;
use crate::journal::Record;

/// Prefix of the keys of the records.
const PREFIX: &str = "digest/";

/// Reports of a node that are kept: a slow node finds those of the others.
const MAX_REPORTS: usize = 4;

/// The digest of a node's database at a comparison mark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    /// The position of the mark.
    pub(super) position: u64,
    /// The version of the tables.
    pub(super) schema: usize,
    /// `None` if the database is damaged.
    pub(super) digest: Option<String>,
    /// Whether this node has proposed the mark, as the leader.
    pub(super) is_proposer: bool,
}

/// The stored form of a node's reports, the latest last.
#[derive(Default, Serialize, Deserialize)]
struct ReportRecord {
    reports: VecDeque<Report>,
}

/// The reports of all nodes.
#[derive(Debug)]
pub(super) struct Reports {
    own: NodeId,
    nodes: BTreeMap<NodeId, VecDeque<Report>>,
}

impl Reports {
    /// No report of any node.
    pub(super) fn new(own: NodeId) -> Self {
        Self { nodes: BTreeMap::from([(own.clone(), VecDeque::new())]), own }
    }

    /// Takes note of a record; ignores those of this node, which may be of an earlier process, and other records.
    pub(super) fn observe(&mut self, record: &Record) {
        let Some(Ok(node)) = record.key.strip_prefix(PREFIX).map(str::parse::<NodeId>) else { return };
        if node == self.own {
            return;
        }
        match record.value.as_deref().and_then(|value| serde_json::from_slice::<ReportRecord>(value).ok()) {
            Some(ReportRecord { reports }) => drop(self.nodes.insert(node, reports)),
            None => drop(self.nodes.remove(&node)),
        }
    }

    pub(super) fn add_own(&mut self, report: Report) {
        let reports = self.nodes.entry(self.own.clone()).or_default();
        reports.push_back(report);
        while reports.len() > MAX_REPORTS {
            reports.pop_front();
        }
    }

    /// Key and value of this node's record. Serialization of plain structs does not fail.
    pub(super) fn own_record(&self) -> (String, Bytes) {
        let record = ReportRecord { reports: self.nodes.get(&self.own).cloned().unwrap_or_default() };
        (format!("{PREFIX}{}", self.own), serde_json::to_vec(&record).unwrap_or_default().into())
    }

    /// The positions that this node has reported, the latest first.
    pub(super) fn own_positions(&self) -> Vec<u64> {
        self.nodes.get(&self.own).into_iter().flatten().rev().map(|report| report.position).collect()
    }

    /// Which of these nodes take part in comparisons.
    pub(super) fn participants(&self, alive: &BTreeSet<NodeId>) -> BTreeSet<NodeId> {
        alive.iter().filter(|node| self.nodes.contains_key(node)).cloned().collect()
    }

    /// Whether one of these nodes has reported nothing since its start.
    pub(super) fn lack_any(&self, nodes: &BTreeSet<NodeId>) -> bool {
        nodes.iter().any(|node| self.nodes.get(node).is_some_and(VecDeque::is_empty))
    }

    /// The reports of one position.
    pub(super) fn at(&self, position: u64) -> BTreeMap<NodeId, Report> {
        let found = |(node, reports): (&NodeId, &VecDeque<Report>)| {
            let report = reports.iter().find(|report| report.position == position)?;
            Some((node.clone(), report.clone()))
        };
        self.nodes.iter().filter_map(found).collect()
    }

    /// The latest report of each node that has one.
    pub(super) fn latest(&self) -> impl Iterator<Item = (&NodeId, &Report)> {
        self.nodes.iter().filter_map(|(node, reports)| Some((node, reports.back()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_of_other_node_is_read_and_own_is_ignored() {
        let [own, other] = ["a", "b"].map(|name| name.parse::<NodeId>().unwrap());
        let mut writer = Reports::new(other.clone());
        for position in 1..=6 {
            writer.add_own(Report { position, schema: 1, digest: Some("d".to_owned()), is_proposer: position == 6 });
        }
        assert_eq!(writer.own_positions(), [6, 5, 4, 3]);
        let (key, value) = writer.own_record();
        let mut reader = Reports::new(own.clone());
        assert!(reader.participants(&BTreeSet::from([own.clone(), other.clone()])).len() == 1);
        let record = Record { key, value: Some(value), revision: 1 };
        reader.observe(&record);
        assert_eq!(reader.at(6), writer.at(6));
        let both = BTreeSet::from([own, other]);
        assert!(reader.participants(&both) == both && reader.lack_any(&both), "this node has reported nothing");
        writer.observe(&Record { value: None, ..record.clone() });
        assert_eq!(writer.own_positions().len(), 4);
        reader.observe(&Record { value: None, ..record });
        assert!(reader.at(6).is_empty());
    }
}
