//! The same entries lead to the same contents: however they are grouped, with restarts in between, when each of them
//! stands twice in the journal, and with other local settings.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;

use super::memory_journal::MemoryJournal;
use super::node::{Node, OpenSeal, digest_of, directories, dump, options, small_bounds, usage_differences};
use super::random_commands::{RandomCommands, Rng};
use crate::store::Retention;
use crate::store::sqlite::check::check;
use crate::store::sqlite::retention::excess::ExcessSlice;
use crate::store::sqlite::writer::bulk_update::BulkUpdate;
use crate::store::sqlite::writer::command::BatchCommand;
use crate::store::sqlite::writer::command::codec::Codec;
use crate::store::sqlite::writer::command::entry::EntryBody;
use crate::store::sqlite::writer::command::entry_format::ENTRY_FORMATS;
use crate::store::sqlite::writer::notification_edit::NotificationEdit;
use crate::store::sqlite::writer::registry_change::RegistryChange;
use crate::store::sqlite::writer::slice::Slice;

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
        node.comparisons.propose(revision);
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

/// What the entries do.
fn kinds(entries: &[Bytes]) -> BTreeSet<&'static str> {
    let codec = Codec { seal: Arc::new(OpenSeal), journal: 7, formats: ENTRY_FORMATS };
    let bodies =
        (1..).zip(entries).map(|(position, entry)| codec.decode(position, entry).expect("an entry").entry.body);
    bodies.flat_map(|body| kinds_of(&body)).collect()
}

fn kinds_of(body: &EntryBody) -> Vec<&'static str> {
    let command = |command: &BatchCommand| match command {
        BatchCommand::Append(_) => "append",
        BatchCommand::AddReject { .. } => "add reject",
        BatchCommand::RemoveReject { .. } => "remove reject",
        BatchCommand::RecordAttempt(_) => "record attempt",
        BatchCommand::RetryDelivery { .. } => "retry delivery",
        BatchCommand::Probe => "probe",
    };
    let slice = |slice: &Slice| match slice {
        Slice::Bulk(BulkUpdate::FailPending(_)) => "fail pending",
        Slice::Bulk(BulkUpdate::MakeDue(_)) => "make due",
        Slice::Bulk(BulkUpdate::RetryFailed(_)) => "retry failed",
        Slice::Bulk(BulkUpdate::Expire(_)) => "expire",
        Slice::Bulk(BulkUpdate::EnforceLimit(_)) => "enforce limit",
        Slice::Excess(ExcessSlice::Client(_)) => "excess events",
        Slice::Excess(ExcessSlice::Deliveries(_)) => "excess deliveries",
        Slice::Excess(ExcessSlice::DuplicateKeys(_)) => "excess deduplication keys",
        Slice::Excess(ExcessSlice::Documents { .. }) => "excess documents",
        Slice::Excess(ExcessSlice::Total { .. }) => "excess of all clients",
        Slice::Erase(_) => "erase",
        Slice::Prune(_) => "prune",
    };
    match body {
        EntryBody::Batch { commands, .. } => commands.iter().map(command).collect(),
        EntryBody::Slice(entry) => vec![slice(&entry.slice)],
        EntryBody::Comparison { .. } => vec!["comparison"],
        EntryBody::Registry(change) => vec![match &**change {
            RegistryChange::AddClient { .. } => "add client",
            RegistryChange::UpdateClient { .. } => "update client",
            RegistryChange::RemoveClient { .. } => "remove client",
            RegistryChange::AddHook { .. } => "add hook",
            RegistryChange::UpdateHook { .. } => "update hook",
            RegistryChange::RemoveHook { .. } => "remove hook",
            RegistryChange::SetLimits { .. } => "set limits",
            RegistryChange::Notifications { change, .. } => match **change {
                NotificationEdit::Add(_) => "add notification",
                NotificationEdit::Update { .. } => "update notification",
                NotificationEdit::SetState { .. } => "set state",
                NotificationEdit::Remove { .. } => "remove notification",
            },
        }],
    }
}

/// All of them but the probe, which changes nothing and is no entry.
const KINDS: usize = 29;

/// Each entry twice: the second time directly after the first, or a few entries later.
fn doubled(entries: &[Bytes]) -> Vec<Bytes> {
    let directly = entries.chunks(3).flat_map(|chunk| chunk.iter().chain(chunk));
    directly.flat_map(|entry| [entry.clone(), entry.clone()]).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn same_entries_make_equal_databases_in_any_grouping() {
    let mut found = BTreeSet::new();
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
        found.extend(kinds(&entries));
        println!("seed {seed}: {} entries, digest {expected}", entries.len());
        assert_eq!([first, second], [expected.clone(), expected], "seed {seed}");
        let path = directories[1].path().join("docrelay.db");
        let report = check(&path, &OpenSeal).expect("a sound database");
        assert_eq!((report.position, report.digest), (entries.len() as u64, digest_of(&path)), "seed {seed}");
        assert_eq!(usage_differences(&path), [""; 0], "seed {seed}");
    }
    assert_eq!(found.len(), KINDS, "the commands were {found:?}");
}

fn show_differences(expected: &Path, found: &Path) {
    let [expected, found] = [expected, found].map(|directory| dump(&directory.join("docrelay.db")));
    for (sign, lines, others) in [('-', &expected, &found), ('+', &found, &expected)] {
        for line in lines.iter().filter(|line| !others.contains(line)).take(20) {
            println!("{sign} {}", line.chars().take(600).collect::<String>());
        }
    }
}
