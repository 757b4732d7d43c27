//! Whether the journal goes on where the database of a starting node ends.

use std::time::Duration;

use anyhow::bail;
use tokio::time::Instant;

use crate::journal::{JournalError, JournalRange};

/// A new leader of the brokers may need a moment until it has applied all that was acknowledged. A journal that ends before the
/// database for longer has lost entries. As long as a running node waits.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(10);

const INTERVAL: Duration = Duration::from_millis(250);

/// What the journal is to a database that has applied it up to a position.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Continuity {
    Continued,
    /// The next entries were trimmed; the journal has this range.
    Trimmed(JournalRange),
}

/// Compares the journal's range with the position of a database. Waits for a journal that ends before the position.
///
/// # Errors
/// The journal has lost entries that the database has. A snapshot would not help: the ids of events that are lost would be
/// assigned again in the same epoch. Also when the range cannot be read.
pub(super) async fn compare(
    range: impl AsyncFn() -> Result<JournalRange, JournalError>,
    position: u64,
) -> anyhow::Result<Continuity> {
    let deadline = Instant::now() + CATCH_UP_TIMEOUT;
    loop {
        let present = range().await?;
        if position + 1 < present.first {
            return Ok(Continuity::Trimmed(present));
        }
        if position <= present.end {
            return Ok(Continuity::Continued);
        }
        if Instant::now() >= deadline {
            bail!(
                "the cluster's journal was deleted or re-created, or has lost its last entries: it ends at position {}, and the \
                 database of this node has position {position}: restore the data of the NATS servers, or found the cluster \
                 again as docs/CLUSTER.md says",
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

    #[tokio::test(start_paused = true)]
    async fn only_a_database_behind_the_trimmed_journal_is_to_be_replaced() {
        let journal = range(10, 20);
        for position in [9, 10, 20] {
            let result = compare(async || Ok(journal), position).await.expect("an answer");
            assert_eq!(result, Continuity::Continued, "at position {position}");
        }
        let result = compare(async || Ok(journal), 8).await.expect("an answer");
        assert_eq!(result, Continuity::Trimmed(journal));
        let empty = range(21, 20);
        assert_eq!(compare(async || Ok(empty), 20).await.expect("an answer"), Continuity::Continued);
    }

    #[tokio::test(start_paused = true)]
    async fn journal_that_has_lost_its_end_is_refused_after_ten_seconds() {
        let began = Instant::now();
        let refused = compare(async || Ok(range(1, 5)), 6).await.expect_err("refused").to_string();
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
        assert_eq!(compare(catching_up, 6).await.expect("an answer"), Continuity::Continued);
    }
}
