//! The records by which nodes coordinate, in their stored form: JSON, so that an operator can read them with the
//! broker's tools. Knows nothing of leases or time.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::formats::{FIRST_ENTRY_FORMAT, NodeFormats};
use crate::journal::{JournalError, Record};

/// Prefix of the keys of members.
const MEMBER_PREFIX: &str = "member/";
/// Key of the membership.
pub const MEMBERSHIP_KEY: &str = "membership";
const LEADER_KEY: &str = "leader";
const MAX_NODE_ID_BYTES: usize = 64;

/// The name of a node, unique in its cluster: letters, digits, `-` and `_`, at most 64.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId(String);

/// Not the name of a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the name of a node has 1 to {MAX_NODE_ID_BYTES} letters, digits, `-` and `_`")]
pub struct InvalidNodeId;

impl NodeId {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeId {
    type Err = InvalidNodeId;

    fn from_str(text: &str) -> Result<Self, InvalidNodeId> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let is_valid = (1..=MAX_NODE_ID_BYTES).contains(&text.len()) && text.chars().all(is_allowed);
        if is_valid { Ok(Self(text.to_owned())) } else { Err(InvalidNodeId) }
    }
}

impl TryFrom<String> for NodeId {
    type Error = InvalidNodeId;

    fn try_from(text: String) -> Result<Self, InvalidNodeId> {
        text.parse()
    }
}

impl From<NodeId> for String {
    fn from(id: NodeId) -> Self {
        id.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a node is reached, and which machine it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeAddress {
    /// The public base URL, which the nodes behind one proxy share.
    pub address: String,
    /// Name of the host.
    #[serde(default)]
    pub host: String,
    /// The public address on which it listens.
    #[serde(default)]
    pub listen: String,
}

/// The record of a node, which the node rewrites to keep its lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MemberRecord {
    /// Changes with each start, and when the node rejoins after an eviction. 0 marks a record that another node wrote
    /// to evict it.
    pub(super) incarnation: u64,
    /// Counts the writes of this incarnation.
    pub(super) beat: u64,
    /// Where the node is reached.
    #[serde(flatten)]
    pub(super) address: NodeAddress,
    /// Version of the program.
    pub(super) version: String,
    /// Position of the last entry that the node has applied.
    pub(super) position: u64,
    /// Revision of the membership that the node acts on; 0 for none.
    pub(super) adopted: u64,
    /// The attempts of queues that the node does not own under `adopted` have ended.
    pub(super) drained: bool,
    /// What the node reads.
    #[serde(flatten)]
    pub(super) formats: NodeFormats,
}

impl MemberRecord {
    /// The record that ends a member's lease: it makes the next write of that member fail.
    pub(super) fn eviction() -> Self {
        let (address, version) = (NodeAddress::default(), String::new());
        let formats = NodeFormats::default();
        Self { incarnation: 0, beat: 0, address, version, position: 0, adopted: 0, drained: true, formats }
    }
}

/// The nodes among which queues are distributed. It is one record, so that all nodes see the same sequence of
/// memberships; its revision identifies it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Membership {
    pub(super) members: BTreeMap<NodeId, Joined>,
    /// The format of the entries that members propose. Grows only.
    #[serde(default = "first_entry_format")]
    pub(super) entry_format: u8,
}

fn first_entry_format() -> u8 {
    FIRST_ENTRY_FORMAT
}

impl Default for Membership {
    fn default() -> Self {
        Self { members: BTreeMap::new(), entry_format: FIRST_ENTRY_FORMAT }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Joined {
    pub(super) incarnation: u64,
    /// A revision of the member's record with this incarnation. A later revision with another one ends its membership.
    pub(super) since: u64,
}

impl NodeFormats {
    /// Checks whether a node with this program may join the cluster with this record of the membership.
    ///
    /// # Errors
    /// `Unreadable`: the members propose entries in a format that this program does not read.
    pub fn check(&self, membership: &Record) -> Result<(), JournalError> {
        match RecordValue::parse(membership) {
            Some(RecordValue::Membership(Some(found))) if found.entry_format > self.entry_format => {
                Err(self.outdated(found.entry_format))
            }
            _ => Ok(()),
        }
    }
}

/// The record of the leader, which the leader rewrites to keep its lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LeaderRecord {
    pub(super) node: NodeId,
    pub(super) incarnation: u64,
    /// Counts the writes of this incarnation.
    pub(super) beat: u64,
    /// The revision with which it became leader, for operators; `None` in that revision itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) fence: Option<u64>,
}

/// A change of a record, parsed. A value that cannot be read counts as none.
#[derive(Debug, Clone)]
pub(super) enum RecordValue {
    Member(NodeId, Option<MemberRecord>),
    Membership(Option<Membership>),
    Leader(Option<LeaderRecord>),
}

impl RecordValue {
    /// `None` for a record that does not belong to the coordination.
    pub(super) fn parse(record: &Record) -> Option<Self> {
        let value = record.value.as_deref();
        if let Some(node) = record.key.strip_prefix(MEMBER_PREFIX) {
            return Some(RecordValue::Member(node.parse().ok()?, value.and_then(from_json)));
        }
        match record.key.as_str() {
            MEMBERSHIP_KEY => Some(RecordValue::Membership(value.and_then(from_json))),
            LEADER_KEY => Some(RecordValue::Leader(value.and_then(from_json))),
            _ => None,
        }
    }

    pub(super) fn key(&self) -> String {
        match self {
            RecordValue::Member(node, _) => format!("{MEMBER_PREFIX}{node}"),
            RecordValue::Membership(_) => MEMBERSHIP_KEY.to_owned(),
            RecordValue::Leader(_) => LEADER_KEY.to_owned(),
        }
    }

    /// The stored form; `None` to delete the record.
    pub(super) fn to_bytes(&self) -> Option<Bytes> {
        match self {
            RecordValue::Member(_, value) => value.as_ref().and_then(to_json),
            RecordValue::Membership(value) => value.as_ref().and_then(to_json),
            RecordValue::Leader(value) => value.as_ref().and_then(to_json),
        }
    }
}

fn from_json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok()
}

/// Serialization of plain structs with text keys does not fail.
fn to_json<T: Serialize>(value: &T) -> Option<Bytes> {
    serde_json::to_vec(value).ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_survive_a_round_trip_through_their_stored_form() {
        let node: NodeId = "node-1".parse().unwrap();
        let joined = Joined { incarnation: u64::MAX, since: 7 };
        let values = [
            RecordValue::Member(node.clone(), Some(MemberRecord { incarnation: 5, ..MemberRecord::eviction() })),
            RecordValue::Membership(Some(Membership {
                members: BTreeMap::from([(node.clone(), joined)]),
                entry_format: 3,
            })),
            RecordValue::Leader(Some(LeaderRecord { node, incarnation: 5, beat: 9, fence: Some(4) })),
        ];
        for value in values {
            let record = Record { key: value.key(), value: value.to_bytes(), revision: 1 };
            let parsed = RecordValue::parse(&record).unwrap();
            assert_eq!(format!("{parsed:?}"), format!("{value:?}"));
        }
    }

    #[test]
    fn records_without_formats_have_the_first_ones() {
        let parsed = |key: &str, text: &'static str| {
            let record = Record { key: key.to_owned(), value: Some(Bytes::from_static(text.as_bytes())), revision: 1 };
            RecordValue::parse(&record)
        };
        let member =
            r#"{"incarnation":5,"beat":1,"address":"","version":"0.1.0","position":9,"adopted":0,"drained":true}"#;
        let Some(RecordValue::Member(_, Some(member))) = parsed("member/n1", member) else { panic!("not a member") };
        assert_eq!(member.formats, NodeFormats { entry_format: 1, schema: 4 });
        assert_eq!(member.address, NodeAddress::default());
        let membership = r#"{"members":{"n1":{"incarnation":5,"since":3}}}"#;
        let Some(RecordValue::Membership(Some(membership))) = parsed("membership", membership) else {
            panic!("not a membership")
        };
        assert_eq!(membership.entry_format, 1);
    }

    #[test]
    fn node_id_that_cannot_be_a_key_is_refused() {
        for bad in ["", "a b", "a/b", "a.b", "ä", &"x".repeat(65)] {
            assert_eq!(bad.parse::<NodeId>(), Err(InvalidNodeId), "{bad}");
        }
    }
}
