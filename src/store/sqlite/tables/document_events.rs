//! The events of single documents, found by the links between the events of a document. The cost depends on the number
//! of these documents' events, not on the length of the client's history.

use std::collections::VecDeque;

use rusqlite::{Connection, OptionalExtension, params};

use super::columns;
use super::documents::{self, DocumentRow};
use super::events::{self, EventReader, pruned_through};
use super::identity::DocumentIds;
use crate::domain::{DocumentId, SharedEvent};
use crate::store::{ListPage, LogPage, MAX_LIST_BYTES, PageLimit};

/// Links that one read follows. With more events to send, a scan of the log costs about as much as they do.
const MAX_LINKS: usize = 10_000;

/// Rows of one scan. It moves on by more rows than the links that were followed before, so a long replay costs at most
/// about twice as much as without them.
const MAX_SCANNED_ROWS: usize = 20_000;

impl EventReader {
    /// The events of some documents after a sequence, in order. All reads use the one snapshot of `db`, as in
    /// [`after`](EventReader::after).
    pub(crate) fn after_of_documents(
        &self,
        db: &Connection,
        ids: DocumentIds,
        documents: &[DocumentId],
        sequence: u64,
        limit: PageLimit,
    ) -> rusqlite::Result<LogPage> {
        let Some(sequences) = self.sequences_after(db, ids, documents, sequence)? else {
            return self.scan_for_documents(db, documents, sequence, limit);
        };
        let mut page = self.empty_page(db)?;
        let mut bytes: usize = 0;
        for sequence in sequences {
            let Some(event) = self.get(db, sequence)? else { continue };
            bytes = bytes.saturating_add(event.json.len());
            page.events.push(event);
            if page.events.len() >= limit.events.max(1) || bytes > limit.bytes {
                page.through = columns::unsigned(sequence);
                break;
            }
        }
        Ok(page)
    }

    /// The sequences of the documents' retained events after a position, in order; `None` when there are more than
    /// [`MAX_LINKS`].
    fn sequences_after(
        &self,
        db: &Connection,
        ids: DocumentIds,
        documents: &[DocumentId],
        position: u64,
    ) -> rusqlite::Result<Option<Vec<i64>>> {
        let position = columns::signed(position);
        let mut found = Vec::new();
        let mut statement = db.prepare_cached("SELECT prev FROM event WHERE client = ?1 AND seq = ?2")?;
        for document in documents {
            let Some(known) = documents::by_uuid(db, ids, self.number, *document)? else { continue };
            let mut next = known.last_seq;
            while next > position {
                let previous = statement.query_row([self.number, next], |row| row.get::<_, i64>(0)).optional()?;
                let Some(previous) = previous else { break };
                if found.len() == MAX_LINKS {
                    return Ok(None);
                }
                found.push(next);
                // Always earlier: a damaged file must not cause an endless loop.
                next = previous.min(next - 1);
            }
        }
        found.sort_unstable();
        Ok(Some(found))
    }

    /// The same page by reading the log in order, for documents with very many events.
    fn scan_for_documents(
        &self,
        db: &Connection,
        documents: &[DocumentId],
        position: u64,
        limit: PageLimit,
    ) -> rusqlite::Result<LogPage> {
        let mut page = self.empty_page(db)?;
        let mut statement = db.prepare_cached(
            "SELECT seq, document, status, json FROM event WHERE client = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
        )?;
        let max_rows = columns::size(MAX_SCANNED_ROWS);
        let mut rows = statement.query(params![self.number, columns::signed(position), max_rows])?;
        let (mut rows_read, mut bytes): (usize, usize) = (0, 0);
        while let Some(row) = rows.next()? {
            rows_read += 1;
            if documents.contains(&columns::document_id(row, 1)?) {
                let event = self.event(row)?;
                bytes = bytes.saturating_add(event.json.len());
                page.events.push(event);
            }
            if rows_read == MAX_SCANNED_ROWS || page.events.len() >= limit.events.max(1) || bytes > limit.bytes {
                page.through = columns::unsigned(row.get(0)?);
                break;
            }
        }
        Ok(page)
    }

    /// A page of a document's retained events, oldest first, read backwards from its latest one. The cursor is the
    /// sequence of the latest event of the next page.
    pub(crate) fn history(
        &self,
        db: &Connection,
        document: &DocumentRow,
        limit: usize,
        cursor: Option<u64>,
    ) -> rusqlite::Result<ListPage<SharedEvent>> {
        let mut events = VecDeque::new();
        let mut next = cursor.map_or(document.last_seq, columns::signed);
        let mut bytes: usize = 0;
        let mut statement =
            db.prepare_cached("SELECT seq, document, status, json, prev FROM event WHERE client = ?1 AND seq = ?2")?;
        while next > 0 && events.len() < limit.max(1) && bytes <= MAX_LIST_BYTES {
            let found = statement
                .query_row([self.number, next], |row| Ok((self.event(row)?, row.get::<_, i64>(4)?)))
                .optional()?;
            // A cursor is the caller's: it may name an event of another document.
            let Some((event, previous)) = found.filter(|(event, _)| event.document == document.uuid) else {
                next = 0;
                break;
            };
            // Always earlier: a damaged file must not cause an endless loop.
            next = previous.min(next - 1);
            bytes = bytes.saturating_add(event.json.len());
            events.push_front(event);
        }
        let is_retained = next > 0 && events::size(db, self.number, next)?.is_some();
        Ok(ListPage { items: events.into(), next: is_retained.then(|| columns::unsigned(next)) })
    }

    /// A page without events that reaches the head.
    fn empty_page(&self, db: &Connection) -> rusqlite::Result<LogPage> {
        let pruned_through = columns::unsigned(pruned_through(db, self.number)?);
        Ok(LogPage { events: Vec::new(), through: columns::head(db)?, pruned_through })
    }
}
