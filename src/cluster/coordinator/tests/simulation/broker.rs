//! The broker of the simulation: it stores records by their revision, and its messages are late, lost or repeated.

use super::{Message, NODES, Simulation};
use crate::cluster::coordinator::{ClusterEvent, RecordOutcome};
use crate::cluster::records::RecordValue;

impl Simulation {
    /// Every member reads the format of a stored membership.
    pub(super) fn assert_readable(&self, value: &RecordValue) {
        let RecordValue::Membership(Some(membership)) = value else { return };
        for (number, node) in self.nodes.iter().enumerate() {
            let name = format!("n{number}").parse().unwrap();
            let joined = membership.members.get(&name).map(|joined| joined.incarnation);
            let reads = node.as_ref().filter(|node| Some(node.coordinator.incarnation) == joined);
            let reads = reads.map_or(u8::MAX, |node| node.coordinator.options.formats.entry_format);
            assert!(reads >= membership.entry_format, "node {number} is a member and reads {reads}: {membership:?}");
        }
    }

    pub(in crate::cluster::coordinator::tests) fn store(
        &mut self,
        value: RecordValue,
        expected: u64,
        acknowledge: Option<(usize, u64, u64)>,
    ) {
        let key = value.key();
        let present = self.records.get(&key);
        let is_expected = match present {
            Some((revision, stored)) => *revision == expected || (expected == 0 && stored.to_bytes().is_none()),
            None => expected == 0,
        };
        let outcome = if is_expected {
            self.assert_readable(&value);
            self.revision += 1;
            self.records.insert(key.clone(), (self.revision, value.clone()));
            for number in 0..NODES {
                self.notify(number, value.clone(), self.revision);
            }
            RecordOutcome::Stored(self.revision)
        } else {
            RecordOutcome::Conflict
        };
        if let Some((node, process, beat)) = acknowledge {
            let event = ClusterEvent::Written { key, beat, outcome };
            let delay = self.latency_ms + self.random.u64(0..100);
            self.send(delay, Message::ToNode { node, process, event });
        }
    }

    /// Reports a record to a node, perhaps late, perhaps twice.
    pub(super) fn notify(&mut self, number: usize, value: RecordValue, revision: u64) {
        let Some(process) = self.nodes[number].as_ref().map(|node| node.process) else { return };
        let (copies, limit) = match self.random.u8(..40) {
            _ if self.calm => (1, 100),
            0 => (1, 10_000),
            1..4 => (2, 2_000),
            _ => (1, 200),
        };
        for _ in 0..copies {
            let delay = self.latency_ms + self.random.u64(0..limit);
            let event = ClusterEvent::Observed { value: value.clone(), revision };
            self.send(delay, Message::ToNode { node: number, process, event });
        }
    }

    pub(super) fn send(&mut self, delay_ms: u64, message: Message) {
        self.messages.entry(self.now_ms + delay_ms).or_default().push(message);
    }
}
