//! Whose database is right at one position, decided from the reports alone. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::report::Report;
use crate::cluster::records::NodeId;

/// The result of comparing the reports of one position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Further reports decide.
    Pending,
    /// This digest is right: a node with another one must rebuild its database.
    Right(String),
    /// The databases differ, without a majority, and the report of the node that has proposed the mark is missing or
    /// says that its database is damaged. The next comparison decides.
    Undecided,
}

/// Compares the reports of one position with this version of the tables. `members` are the nodes that are alive and
/// take part; others do not count, nor do those that have reported another version: during an upgrade each version is
/// compared by itself.
///
/// - The digest of more than half of the members is right, even before all have reported.
/// - When all have reported, the digest of more than half of the readable databases is right.
/// - Otherwise, also in a tie of two nodes, the digest of the node that has proposed the mark is right: the leader's.
pub(super) fn decide(reports: &BTreeMap<NodeId, Report>, members: &BTreeSet<NodeId>, schema: usize) -> Verdict {
    let reported: Vec<&Report> =
        reports.iter().filter(|(node, _)| members.contains(node)).map(|(_, report)| report).collect();
    let counted: Vec<&Report> = reported.iter().copied().filter(|report| report.schema == schema).collect();
    let members = members.len() - (reported.len() - counted.len());
    let readable: Vec<&String> = counted.iter().filter_map(|report| report.digest.as_ref()).collect();
    let mut votes: BTreeMap<&String, usize> = BTreeMap::new();
    readable.iter().for_each(|digest| *votes.entry(digest).or_default() += 1);
    let majority_of = |total: usize| votes.iter().find(|(_, count)| **count * 2 > total).map(|(digest, _)| *digest);
    let right = match majority_of(members) {
        Some(digest) => Some(digest),
        None if counted.is_empty() || counted.len() < members => return Verdict::Pending,
        None => {
            let proposer = || counted.iter().find(|report| report.is_proposer)?.digest.as_ref();
            majority_of(readable.len()).or_else(proposer)
        }
    };
    right.map_or(Verdict::Undecided, |digest| Verdict::Right(digest.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a=x b=y* c=- d:2=z`: the node `a` has the digest `x`, `b` has `y` and has proposed the mark, the database of
    /// `c` is damaged, that of `d` has version 2 of the tables and not 1.
    fn reports(text: &str) -> BTreeMap<NodeId, Report> {
        let parse = |word: &str| {
            let (node, digest) = word.split_once('=').unwrap();
            let is_proposer = digest.ends_with('*');
            let digest = Some(digest.trim_end_matches('*').to_owned()).filter(|digest| digest != "-");
            let (node, schema) = node.split_once(':').unwrap_or((node, "1"));
            (node.parse().unwrap(), Report { position: 7, schema: schema.parse().unwrap(), digest, is_proposer })
        };
        text.split_whitespace().map(parse).collect()
    }

    #[test]
    fn majority_is_right_and_leader_decides_without_one() {
        let table = [
            // All agree, or the majority is complete before the last report.
            ("a b c", "a=x b=x* c=x", "right x"),
            ("a b c", "a=x b=x*", "right x"),
            ("a b c", "a=x b=x* c=y", "right x"),
            ("a b c", "a=y* b=x c=x", "right x"),
            ("a b c d e", "a=x* b=y c=x d=x", "right x"),
            // Nothing is decided before.
            ("a b c", "", "pending"),
            ("a b c", "a=x*", "pending"),
            ("a b c", "a=x* b=y", "pending"),
            ("a b c d", "a=x* b=x c=y", "pending"),
            // A tie, also because the third node is lost.
            ("a b", "a=x* b=y", "right x"),
            ("a b", "a=x b=y*", "right y"),
            ("a b", "a=x b=y* c=x", "right y"),
            ("a b c d", "a=x b=x c=y* d=y", "right y"),
            ("a b c d e", "a=x b=x c=y d=y e=z*", "right z"),
            // All differ.
            ("a b c", "a=x b=y* c=z", "right y"),
            ("a b c", "a=x b=y c=z", "undecided"),
            ("a b", "a=x b=y", "undecided"),
            // A damaged database is never right.
            ("a b", "a=x b=-*", "right x"),
            ("a b c", "a=- b=- c=x", "right x"),
            ("a b c", "a=x b=y c=-*", "undecided"),
            ("a b", "a=- b=-*", "undecided"),
            // An upgrade of one node after the other.
            ("a b c", "a=x b=x c:2=y*", "right x"),
            ("a b c", "a=x b:2=y c:2=y*", "right x"),
            ("a b c", "b:2=y c:2=y*", "pending"),
            // One node alone agrees with itself.
            ("a", "a=x", "right x"),
        ];
        for (members, given, expected) in table {
            let members = members.split(' ').map(|node| node.parse().unwrap()).collect();
            let found = match decide(&reports(given), &members, 1) {
                Verdict::Pending => "pending".to_owned(),
                Verdict::Right(digest) => format!("right {digest}"),
                Verdict::Undecided => "undecided".to_owned(),
            };
            assert_eq!(found, expected, "{given} of {members:?}");
        }
        // A node that has just started knows no members yet.
        assert_eq!(decide(&reports("a=x b=y"), &BTreeSet::new(), 1), Verdict::Pending);
    }
}
