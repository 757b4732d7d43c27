//! Comparison marks: every node computes the digest of exactly the contents at the mark, however the entries arrive.

use bytes::Bytes;
use futures::future::join_all;
use tokio::sync::watch;
use tokio::time::{Duration, timeout};

use super::memory_journal::MemoryJournal;
use super::node::{Node, directories, options, small_bounds};
use super::random_commands::{RandomCommands, Rng};
use crate::store::sqlite::comparison::StateDigest;

const MARKS: u64 = 6;

/// Upper bound of every wait; only a failing test reaches it.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Waits for the digest of a position, or of any if that is 0.
async fn digest_at(digests: &mut watch::Receiver<Option<StateDigest>>, position: u64) -> StateDigest {
    let is_wanted = |digest: &StateDigest| position == 0 || digest.position == position;
    let found = timeout(TIMEOUT, digests.wait_for(|digest| digest.as_ref().is_some_and(is_wanted))).await;
    let digest = found.expect("a digest in time").expect("an open store").clone().expect("a digest");
    digests.mark_unchanged();
    digest
}

/// Random commands with marks between them; returns the digests of the marks.
async fn lead(node: &Node) -> Vec<StateDigest> {
    node.catch_up().await;
    node.comparisons.enable();
    node.leadership.set(Some(1)).await;
    let (mut commands, mut digests) = (RandomCommands::new(11), node.comparisons.digests());
    let mut found: Vec<StateDigest> = Vec::new();
    for _ in 0..MARKS {
        for _ in 0..8 {
            let count = commands.rng.below(8);
            join_all((0..=count).map(|_| commands.next(&node.store)).collect::<Vec<_>>()).await;
        }
        node.comparisons.propose(1);
        timeout(TIMEOUT, digests.changed()).await.expect("a digest in time").expect("an open store");
        found.push(digest_at(&mut digests, 0).await);
    }
    node.store.maintenance.prune(commands.now).await.expect("pruned");
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn digest_at_mark_is_equal_although_later_entries_are_applied() {
    let (directories, epoch) = directories(2).await;
    let journal = MemoryJournal::new(epoch);
    let leader = Node::open(options(directories[0].path(), small_bounds()), &journal);
    let expected = lead(&leader).await;
    leader.close().await;
    assert!(expected.iter().all(|digest| digest.is_proposer && digest.digest.is_some()), "{expected:?}");
    assert!(expected.windows(2).all(|pair| pair[0].digest != pair[1].digest), "{expected:?}");

    let entries: Vec<Bytes> = journal.payloads();
    let (copy, mut rng) = (MemoryJournal::new(epoch), Rng::new(3));
    let follower = Node::open(options(directories[1].path(), small_bounds()), &copy);
    follower.comparisons.enable();
    let mut digests = follower.comparisons.digests();
    let mut appended = 0;
    for (number, mark) in expected.iter().enumerate() {
        // Beyond this mark, but not the next one: a node that is busy skips marks.
        let next = expected.get(number + 1).map_or(entries.len() as u64, |next| next.position - 1);
        let until = mark.position + rng.below(next - mark.position + 1);
        for entry in &entries[appended as usize..until as usize] {
            copy.append(entry.clone());
        }
        appended = until;
        let found = digest_at(&mut digests, mark.position).await;
        assert_eq!(found, StateDigest { is_proposer: false, ..mark.clone() });
    }
    follower.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mark_of_earlier_leader_and_marks_before_catching_up_are_skipped() {
    let (directories, epoch) = directories(1).await;
    let journal = MemoryJournal::new(epoch);
    let node = Node::open(options(directories[0].path(), small_bounds()), &journal);
    let mut digests = node.comparisons.digests();
    node.comparisons.propose(5);
    // Until the mark is in the journal.
    timeout(TIMEOUT, journal.entries_are(1)).await.expect("a mark in time");
    node.catch_up().await;
    assert!(digests.borrow_and_update().is_none(), "the node was not told that it has caught up");
    node.comparisons.enable();
    node.comparisons.propose(4);
    timeout(TIMEOUT, journal.entries_are(2)).await.expect("a mark in time");
    node.comparisons.propose(5);
    let digest = digest_at(&mut digests, 0).await;
    assert_eq!(digest.position, 3, "the mark of the earlier leader changes nothing");
    node.close().await;
}
