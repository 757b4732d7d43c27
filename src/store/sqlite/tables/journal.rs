//! What the database knows about the journal: which one it belongs to, the position of the last applied entry, and the
//! last entry of each proposer, so that an entry which stands twice in the journal is applied once.

use rusqlite::{Connection, OptionalExtension, params};

use super::columns;
use crate::journal::EntryRef;

/// Proposers whose last entry lies further back are forgotten: the broker accepts no repeated entry after two minutes,
/// and a process that was stopped for longer gives its proposals up.
const PROPOSER_WINDOW: i64 = 1_000_000;

/// The row of the table `journal`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct JournalMark {
    /// Random; distinguishes the journal from others of the same name.
    pub(crate) journal: u64,
    /// Position of the last applied entry, 0 for none.
    pub(crate) position: u64,
    /// The highest revision of the leader's lease in an applied entry.
    pub(crate) fence: u64,
}

/// Identifies a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProposalKey {
    /// Random; another one for each start of a node.
    pub(crate) proposer: i64,
    /// Grows with each proposal of this proposer.
    pub(crate) counter: i64,
}

impl ProposalKey {
    /// The id with which the entry is published.
    pub(crate) fn entry_id(self) -> String {
        format!("{:x}.{}", self.proposer, self.counter)
    }
}

/// The journal that the database belongs to; `None` without a cluster.
pub(crate) fn load(db: &Connection) -> rusqlite::Result<Option<JournalMark>> {
    db.query_row("SELECT journal, position, fence FROM journal", [], |row| {
        let [position, fence] = [row.get(1)?, row.get(2)?].map(columns::unsigned);
        Ok(JournalMark { journal: id_from_column(row.get(0)?), position, fence })
    })
    .optional()
}

/// Makes the database belong to a journal.
pub(crate) fn attach(db: &Connection, mark: JournalMark) -> rusqlite::Result<()> {
    db.execute(
        "INSERT OR REPLACE INTO journal (id, journal, position, fence) VALUES (1, ?1, ?2, ?3)",
        [id_to_column(mark.journal), columns::signed(mark.position), columns::signed(mark.fence)],
    )?;
    Ok(())
}

/// An id has all 64 bits at random, so it is stored as the signed number of the same bits.
fn id_to_column(id: u64) -> i64 {
    i64::from_ne_bytes(id.to_ne_bytes())
}

fn id_from_column(number: i64) -> u64 {
    u64::from_ne_bytes(number.to_ne_bytes())
}

/// The number in a database that has left its cluster: it belongs to no journal, and must not join one that it has
/// belonged to.
const LEFT: u64 = 0;

impl JournalMark {
    /// Whether the database has left its cluster.
    pub(crate) fn has_left(&self) -> bool {
        self.journal == LEFT
    }
}

/// The position in a database that founds a cluster: the broker may not have the journal yet.
const FOUNDING: i64 = -1;

/// Makes the database belong to a journal that is about to be made.
pub(crate) fn begin_founding(db: &Connection, journal: u64) -> rusqlite::Result<()> {
    db.execute(
        "INSERT OR REPLACE INTO journal (id, journal, position, fence) VALUES (1, ?1, ?2, 0)",
        [id_to_column(journal), FOUNDING],
    )?;
    db.execute_batch("DELETE FROM proposer;")
}

/// Whether the database belongs to a journal that may not have been made.
pub(crate) fn is_founding(db: &Connection) -> rusqlite::Result<bool> {
    db.query_row("SELECT count(*) FROM journal WHERE position = ?1", [FOUNDING], |row| row.get::<_, i64>(0))
        .map(|count| count > 0)
}

/// Makes the database leave its cluster. What it stores from now on is in no journal.
pub(crate) fn leave(db: &Connection) -> rusqlite::Result<()> {
    attach(db, JournalMark { journal: LEFT, position: 0, fence: 0 })?;
    db.execute_batch("DELETE FROM proposer;")
}

/// Makes the database one that never was in a cluster, so that it can found one.
pub(crate) fn detach(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch("DELETE FROM journal; DELETE FROM proposer;")
}

/// Whether this entry, or a later one of its proposer, was applied: then it must not be applied again.
pub(crate) fn is_applied(db: &Connection, key: ProposalKey) -> rusqlite::Result<bool> {
    let last: Option<i64> = db
        .prepare_cached("SELECT counter FROM proposer WHERE id = ?1")?
        .query_row([key.proposer], |row| row.get(0))
        .optional()?;
    Ok(last.is_some_and(|last| key.counter <= last))
}

/// Takes note of an applied entry.
pub(crate) fn set_applied(db: &Connection, key: ProposalKey, position: u64) -> rusqlite::Result<()> {
    let position = columns::signed(position);
    db.prepare_cached("INSERT OR REPLACE INTO proposer (id, counter, position) VALUES (?1, ?2, ?3)")?.execute([
        key.proposer,
        key.counter,
        position,
    ])?;
    db.prepare_cached("DELETE FROM proposer WHERE position < ?1")?.execute([position - PROPOSER_WINDOW])?;
    Ok(())
}

/// The entry at this position, which was applied last. Its id is not known if the entry had been applied before at
/// another position.
pub(crate) fn last_entry(db: &Connection, position: u64) -> rusqlite::Result<EntryRef> {
    let key = db
        .query_row("SELECT id, counter FROM proposer WHERE position = ?1", [columns::signed(position)], |row| {
            Ok(ProposalKey { proposer: row.get(0)?, counter: row.get(1)? })
        })
        .optional()?;
    Ok(EntryRef { position, id: key.map(ProposalKey::entry_id) })
}

/// Saves the position and the fence.
pub(crate) fn save(db: &Connection, mark: JournalMark) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE journal SET position = ?1, fence = ?2")?
        .execute(params![columns::signed(mark.position), columns::signed(mark.fence)])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::schema;
    use super::*;

    #[test]
    fn journal_id_of_64_bits_survives_a_round_trip() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(schema::JOURNAL).unwrap();
        for journal in [1, u64::MAX / 2 + 7, u64::MAX] {
            let mark = JournalMark { journal, position: 3, fence: 5 };
            attach(&db, mark).unwrap();
            assert_eq!(load(&db).unwrap(), Some(mark));
        }
    }
}
