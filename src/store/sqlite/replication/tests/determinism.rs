//! The same entries lead to the same contents: however they are grouped, with restarts in between, when each of them stands
//! twice in the journal, and with other local settings.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;

use super::memory_journal::MemoryJournal;
use super::node::{Node, directories, dump, options, small_bounds};
use super::random_commands::{RandomCommands, Rng};
use crate::store::Retention;

const SEEDS: u64 = 3;
const ROUNDS: usize = 60;

/// Runs random commands on a leading node, which is restarted once; returns its digest.
async fn lead(directory: &Path, journal: &MemoryJournal, seed: u64) -> String {
    let mut commands = RandomCommands::new(seed);
    for revision in 1..3 {
        let node = Node::open(options(directory, small_bounds()), journal);
        node.catch_up().await;
        node.leadership.set(Some(revision)).await;
        for _ in 0..ROUNDS {
            let count = commands.rng.below(8);
            join_all((0..=count).map(|_| commands.next(&node.store)).collect::<Vec<_>>()).await;
        }
        // Waits for the background work.
        node.store.maintenance.prune(commands.now).await.expect("pruned");
        node.close().await;
    }
    Node::open(options(directory, small_bounds()), journal).digest().await
}

/// Applies the entries in random portions, with restarts between them; returns the digest.
async fn follow(directory: &Path, epoch: u64, entries: Vec<Bytes>, mut rng: Rng, bounds: &Retention) -> String {
    let journal = MemoryJournal::new(epoch);
    let mut entries = entries.into_iter();
    let mut node = Node::open(options(directory, bounds.clone()), &journal);
    while entries.len() > 0 {
        let count = rng.one_of(&[1, 2, 5, 40, 200]);
        entries.by_ref().take(count).for_each(|entry| journal.append(entry));
        if rng.below(4) == 0 {
            // Whether or not everything is applied.
            node.close().await;
            node = Node::open(options(directory, bounds.clone()), &journal);
        }
        if rng.below(3) > 0 {
            node.catch_up().await;
        }
    }
    node.digest().await
}

/// Each entry twice: the second time directly after the first, or a few entries later.
fn doubled(entries: &[Bytes]) -> Vec<Bytes> {
    let directly = entries.chunks(3).flat_map(|chunk| chunk.iter().chain(chunk));
    directly.flat_map(|entry| [entry.clone(), entry.clone()]).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn same_entries_make_equal_databases_in_any_grouping() {
    for seed in 0..SEEDS {
        let (directories, epoch) = directories(3).await;
        let journal = MemoryJournal::new(epoch);
        let expected = lead(directories[0].path(), &journal, seed).await;
        let entries = journal.payloads();
        let tight = Retention { max_events: 1, max_rejects: 1, max_pending: 1, max_total_bytes: 1, ..small_bounds() };
        let loose = Retention { max_events: 1 << 40, max_event_age: Duration::MAX, ..small_bounds() };
        let first = follow(directories[1].path(), epoch, entries.clone(), Rng::new(seed), &tight).await;
        let second = follow(directories[2].path(), epoch, doubled(&entries), Rng::new(seed + 1), &loose).await;
        for (directory, digest) in [(&directories[1], &first), (&directories[2], &second)] {
            if *digest != expected {
                show_differences(directories[0].path(), directory.path());
            }
        }
        println!("seed {seed}: {} entries, digest {expected}", entries.len());
        assert_eq!([first, second], [expected.clone(), expected], "seed {seed}");
    }
}

fn show_differences(expected: &Path, found: &Path) {
    let [expected, found] = [expected, found].map(|directory| dump(&directory.join("docrelay.db")));
    for (sign, lines, others) in [('-', &expected, &found), ('+', &found, &expected)] {
        for line in lines.iter().filter(|line| !others.contains(line)).take(20) {
            println!("{sign} {}", line.chars().take(600).collect::<String>());
        }
    }
}
