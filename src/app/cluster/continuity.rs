//! Whether the journal goes on where the database of a starting node ends.

use std::time::Duration;

use anyhow::bail;
use futures::StreamExt;
use tokio::time::{Instant, timeout};

use crate::journal::{EntryRef, Journal, JournalError, JournalRange};

/// A new leader of the brokers may need a moment until it has applied all that was acknowledged. A journal that ends
/// before the database for longer has lost entries. As long as a running node waits.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(10);

const INTERVAL: Duration = Duration::from_millis(250);

/// How long to wait for an entry that the journal holds.
const ENTRY_TIMEOUT: Duration = Duration::from_secs(5);

const REMEDY: &str = "restore the data of the NATS servers, or found the cluster again as docs/CLUSTER.md says";

/// What the journal is to a database that has applied it up to a position.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Continuity {
    Continued,
    /// The next entries were trimmed; the journal has this range.
    Trimmed(JournalRange),
}

/// Compares the journal with a database that has applied it up to the entry `last`. Waits for a journal that ends
/// before it.
///
/// # Errors
/// The journal has lost entries that the database has. A snapshot would not help: the ids of events that are lost would
/// be assigned again in the same epoch. Also when the journal cannot be read.
pub(super) async fn compare(journal: &impl Journal, last: &EntryRef) -> anyhow::Result<Continuity> {
    compare_with(async || journal.range().await, async |position| id_at(journal, position).await, last).await
}

/// The id of the entry at a position that the journal holds; `None` if the entry has none, or was trimmed meanwhile.
async fn id_at(journal: &impl Journal, position: u64) -> Result<Option<String>, JournalError> {
    let mut entries = journal.entries(EntryRef::at(position.saturating_sub(1)));
    match timeout(ENTRY_TIMEOUT, entries.next()).await {
        Ok(Some(Ok(entry))) => Ok(entry.id),
        Ok(Some(Err(JournalError::Trimmed(_)))) => Ok(None),
        Ok(Some(Err(error))) => Err(error),
        Ok(None) => Err(JournalError::Replaced),
        Err(_) => Err(JournalError::Unknown(format!("entry {position} has not come"))),
    }
}

async fn compare_with(
    range: impl AsyncFn() -> Result<JournalRange, JournalError>,
    id_at: impl AsyncFn(u64) -> Result<Option<String>, JournalError>,
    last: &EntryRef,
) -> anyhow::Result<Continuity> {
    let position = last.position;
    let deadline = Instant::now() + CATCH_UP_TIMEOUT;
    loop {
        let present = range().await?;
        if position + 1 < present.first {
            return Ok(Continuity::Trimmed(present));
        }
        if position <= present.end {
            // Without the entry only the positions can be compared.
            let is_comparable = last.id.is_some() && present.first <= position;
            let found = if is_comparable { id_at(position).await? } else { None };
            if found.is_some() && found != last.id {
                bail!(
                    "the cluster's journal has lost its last entries, and holds others in their place: its entry at position \
                     {position} is not the one that the database of this node has applied: {REMEDY}"
                );
            }
            return Ok(Continuity::Continued);
        }
        if Instant::now() >= deadline {
            bail!(
                "the cluster's journal was deleted or re-created, or has lost its last entries: it ends at position {}, and the \
                 database of this node has position {position}: {REMEDY}",
                present.end
            );
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn range(first: u64, end: u64) -> JournalRange {
        JournalRange { first, end }
    }

    /// Every position of the journal has an entry with the id `own`.
    async fn own(_: u64) -> Result<Option<String>, JournalError> {
        Ok(Some("own".to_owned()))
    }

    fn last(position: u64, id: &str) -> EntryRef {
        EntryRef { position, id: Some(id.to_owned()) }
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_database_behind_the_trimmed_journal_is_to_be_replaced() {
        let journal = range(10, 20);
        for position in [9, 10, 20] {
            let result = compare_with(async || Ok(journal), own, &last(position, "own")).await.expect("an answer");
            assert_eq!(result, Continuity::Continued, "at position {position}");
        }
        let result = compare_with(async || Ok(journal), own, &last(8, "own")).await.expect("an answer");
        assert_eq!(result, Continuity::Trimmed(journal));
        let empty = range(21, 20);
        let result = compare_with(async || Ok(empty), own, &last(20, "own")).await.expect("an answer");
        assert_eq!(result, Continuity::Continued);
    }

    #[tokio::test(start_paused = true)]
    async fn journal_with_another_entry_at_the_last_position_is_refused() {
        for position in [10, 20] {
            let compared = compare_with(async || Ok(range(10, 20)), own, &last(position, "lost")).await;
            let refused = compared.expect_err("refused").to_string();
            assert!(refused.contains(&format!("its entry at position {position} is not the one")), "{refused}");
        }
        let trimmed = compare_with(async || Ok(range(10, 20)), own, &last(9, "lost")).await.expect("an answer");
        assert_eq!(trimmed, Continuity::Continued, "the entry is not there any more");
        let vanished = compare_with(async || Ok(range(10, 20)), async |_| Ok(None), &last(10, "own")).await;
        assert_eq!(vanished.expect("an answer"), Continuity::Continued, "it was trimmed meanwhile");
        let unknown = compare_with(async || Ok(range(10, 20)), own, &EntryRef::at(12)).await;
        assert_eq!(unknown.expect("an answer"), Continuity::Continued);
    }

    #[tokio::test(start_paused = true)]
    async fn journal_that_has_lost_its_end_is_refused_after_ten_seconds() {
        let began = Instant::now();
        let refused =
            compare_with(async || Ok(range(1, 5)), own, &last(6, "own")).await.expect_err("refused").to_string();
        assert!(refused.contains("lost its last entries: it ends at position 5"), "{refused}");
        assert!(began.elapsed() >= CATCH_UP_TIMEOUT, "after {:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn journal_whose_new_leader_catches_up_is_accepted() {
        let calls = Cell::new(0);
        let catching_up = async || {
            calls.set(calls.get() + 1);
            Ok(range(1, if calls.get() > 20 { 6 } else { 5 }))
        };
        let result = compare_with(catching_up, own, &last(6, "own")).await.expect("an answer");
        assert_eq!(result, Continuity::Continued);
    }
}
