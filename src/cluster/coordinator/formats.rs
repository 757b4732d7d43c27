//! The format in which entries are proposed, and whether this node may lead beside nodes with an earlier program. See
//! [`crate::cluster`] for why every node can read every entry.

use std::time::Instant;

use super::{ClusterAction, Coordinator, Observed};
use crate::cluster::formats::{FIRST_ENTRY_FORMAT, NodeFormats};
use crate::cluster::records::{MemberRecord, Membership, NodeId};

impl Coordinator {
    /// The format of the entries that the members propose, as far as this node knows.
    pub(super) fn entry_format(&self) -> u8 {
        self.membership.value.as_ref().map_or(FIRST_ENTRY_FORMAT, |membership| membership.entry_format)
    }

    /// Tells the driver a format that is new to it.
    pub(super) fn publish_format(&mut self) {
        let format = self.entry_format();
        if self.published.entry_format == format {
            return;
        }
        self.published.entry_format = format;
        self.actions.push(match self.is_outdated() {
            false => ClusterAction::UseFormat(format),
            true => ClusterAction::Outdated(format),
        });
    }

    /// Whether the members propose entries that this program does not read.
    pub(super) fn is_outdated(&self) -> bool {
        self.entry_format() > self.options.formats.entry_format
    }

    /// The latest format that these members, and the live nodes that have not joined yet, can read. Never earlier than
    /// the one in use.
    pub(super) fn agreed_entry_format(&self, wanted: &Membership, now: Instant) -> u8 {
        let others = self.others(wanted.members.keys(), now);
        let readable = others.map(|record| record.map_or(FIRST_ENTRY_FORMAT, |record| record.formats.entry_format));
        readable.fold(self.options.formats.entry_format, u8::min).max(wanted.entry_format)
    }

    /// Whether another node has an earlier schema, so that it could not open a snapshot of this node.
    pub(super) fn has_older_peer(&self, now: Instant) -> bool {
        let members = self.membership.value.iter().flat_map(|membership| membership.members.keys());
        let mut formats =
            self.others(members, now).map(|record| record.map_or(NodeFormats::default(), |record| record.formats));
        formats.any(|formats| formats.schema < self.options.formats.schema)
    }

    /// The records of these members but this node, `None` for one that is not known, and of other live nodes.
    fn others<'a>(
        &'a self,
        members: impl Iterator<Item = &'a NodeId>,
        now: Instant,
    ) -> impl Iterator<Item = Option<&'a MemberRecord>> {
        let members = members.filter(|node| **node != self.options.id);
        let members = members.map(|node| self.members.get(node).and_then(|seen| seen.value.as_ref()));
        // The record of an eviction says nothing of the node.
        let members = members.filter(|record| record.is_none_or(|record| record.incarnation != 0));
        members.chain(self.live_peers(now).map(Some))
    }

    /// The records of other live nodes.
    pub(super) fn live_peers(&self, now: Instant) -> impl Iterator<Item = &MemberRecord> {
        let is_alive = move |seen: &Observed<MemberRecord>| !seen.is_stale(&self.options.timing, None, now);
        let others = self.members.iter().filter(|(node, _)| **node != self.options.id);
        let live = others.filter(move |(_, seen)| is_alive(seen)).filter_map(|(_, seen)| seen.value.as_ref());
        live.filter(|record| record.incarnation != 0)
    }
}
