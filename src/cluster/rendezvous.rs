//! Which of several nodes a delivery queue belongs to: the one with the highest rendezvous hash. When a node joins or
//! leaves, only the queues that move to it or away from it change their owner. All nodes of a cluster must agree on the
//! hash, so it is never changed.

use super::records::NodeId;
use crate::domain::QueueKey;

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// The owner of a queue among these nodes; `None` if there are none. The order of the nodes has no influence.
pub(super) fn owner<'a>(queue: &QueueKey, nodes: impl IntoIterator<Item = &'a NodeId>) -> Option<&'a NodeId> {
    let (client, target) = (queue.client.to_string(), queue.target.key());
    nodes.into_iter().max_by_key(|node| (score(node.as_str(), &client, &target), *node))
}

/// FNV-1a (64 bit) over the node, the client and the target's key, each ended by a zero byte, and then the finalizer of
/// MurmurHash3, without which similar names have similar values.
fn score(node: &str, client: &str, target: &str) -> u64 {
    let mut hash = FNV_OFFSET;
    for byte in [node, client, target].iter().flat_map(|text| text.bytes().chain([0])) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::QueueTarget;

    fn queue(number: usize) -> QueueKey {
        let target = QueueTarget::Notification(format!("n{}", number % 7).parse().unwrap());
        QueueKey { client: format!("client-{number}").parse().unwrap(), target }
    }

    fn nodes(names: &[&str]) -> Vec<NodeId> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn hash_has_its_documented_value() {
        assert_eq!(score("n1", "acme", "main"), 18_334_834_152_131_965_313, "nodes of different versions must agree");
    }

    #[test]
    fn queues_are_spread_evenly() {
        let nodes = nodes(&["n1", "n2", "n3"]);
        let mut counts: BTreeMap<&NodeId, usize> = BTreeMap::new();
        for number in 0..3_000 {
            *counts.entry(owner(&queue(number), &nodes).unwrap()).or_default() += 1;
        }
        assert!(counts.values().all(|count| (850..1_150).contains(count)), "{counts:?}");
    }

    #[test]
    fn leaving_node_moves_only_its_own_queues() {
        let (all, rest) = (nodes(&["n1", "n2", "n3"]), nodes(&["n3", "n1"]));
        for number in 0..1_000 {
            let before = owner(&queue(number), &all).unwrap();
            if before.as_str() != "n2" {
                assert_eq!(owner(&queue(number), &rest), Some(before));
            }
        }
        assert_eq!(owner(&queue(0), &[]), None);
    }
}
