//! The rows of documents: look-ups by vendor's identifier, UUID and number, inserts and updates, and the listing.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::columns;
use super::identity::{self, DocumentIds};
use crate::domain::{DocumentId, Epoch, EventId, Status, Timestamp, Vendor, VendorId};
use crate::store::{Document, DocumentPage, DocumentQuery, MAX_LIST_BYTES};

/// Rows that one page reads, however few of them match its filters.
const MAX_ROWS_PER_PAGE: usize = 10_000;

// Statements that read a `DocumentRow` or a `Document`: all select the same columns.
const BY_NUMBER: &str = "SELECT id, uuid, status, title, last_seq, vendor, vendor_id, updated, routed FROM document
    WHERE client = ?1 AND id = ?2";
const BY_VENDOR: &str = "SELECT id, uuid, status, title, last_seq, vendor, vendor_id, updated, routed FROM document
    INDEXED BY document_lookup WHERE client = ?1 AND lookup = ?2 AND vendor = ?3";
const BY_UUID: &str = "SELECT id, uuid, status, title, last_seq, vendor, vendor_id, updated, routed FROM document
    INDEXED BY document_lookup WHERE client = ?1 AND lookup = ?2 AND uuid = ?3";
const NEWEST: &str = "SELECT id, uuid, status, title, last_seq, vendor, vendor_id, updated, routed FROM document
    WHERE client = ?1 AND id < ?2 ORDER BY id DESC";

/// A document after its latest event.
#[derive(Clone)]
pub(crate) struct DocumentRow {
    pub(crate) number: i64,
    pub(crate) uuid: DocumentId,
    pub(crate) status: Status,
    pub(crate) title: Option<String>,
    /// Sequence of the latest event.
    pub(crate) last_seq: i64,
    /// Whether it has destinations of its own; otherwise none are looked up.
    pub(crate) has_destinations: bool,
}

impl DocumentRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            number: row.get(0)?,
            uuid: columns::document_id(row, 1)?,
            status: columns::parsed(row, 2)?,
            title: row.get(3)?,
            last_seq: row.get(4)?,
            has_destinations: row.get(8)?,
        })
    }
}

/// The document with this vendor's identifier; the case of a UUID does not matter. An older file may hold both
/// spellings of a UUID as two documents: each is found by its own. Without `INDEXED BY` SQLite would choose the primary
/// key and read all documents of the client.
pub(crate) fn by_vendor(
    db: &Connection,
    client: i64,
    vendor: Vendor,
    vendor_id: &VendorId,
) -> rusqlite::Result<Option<DocumentRow>> {
    let uuid = vendor_id.as_str().parse::<DocumentId>().ok();
    let mut statement = db.prepare_cached(BY_VENDOR)?;
    let mut rows = statement.query(params![client, identity::lookup(vendor, vendor_id), vendor.as_str()])?;
    let mut other_spelling = None;
    while let Some(row) = rows.next()? {
        let name = row.get_ref(6)?.as_str()?;
        if name == vendor_id.as_str() {
            return DocumentRow::read(row).map(Some);
        }
        if other_spelling.is_none() && uuid.is_some() && name.parse().ok() == uuid {
            other_spelling = Some(DocumentRow::read(row)?);
        }
    }
    Ok(other_spelling)
}

/// The document with this number.
pub(crate) fn by_number(db: &Connection, client: i64, number: i64) -> rusqlite::Result<Option<DocumentRow>> {
    db.prepare_cached(BY_NUMBER)?.query_row([client, number], DocumentRow::read).optional()
}

/// The document with this UUID: by its number if this store has assigned the UUID, otherwise by the vendor's
/// identifier.
pub(crate) fn by_uuid(
    db: &Connection,
    ids: DocumentIds,
    client: i64,
    uuid: DocumentId,
) -> rusqlite::Result<Option<DocumentRow>> {
    if let Some(number) = ids.number(uuid)
        && let Some(known) = by_number(db, client, number)?.filter(|known| known.uuid == uuid)
    {
        return Ok(Some(known));
    }
    db.prepare_cached(BY_UUID)?
        .query_row(params![client, identity::lookup_uuid(uuid), uuid.uuid().as_bytes()], DocumentRow::read)
        .optional()
}

/// What an event changes in the row of its document.
pub(crate) struct DocumentUpdate<'a> {
    pub(crate) number: i64,
    pub(crate) status: Status,
    pub(crate) title: Option<&'a str>,
    pub(crate) time: Timestamp,
    /// Sequence of the event.
    pub(crate) last_seq: i64,
}

/// About what a document occupies besides its texts, in its row and in the index.
pub(crate) const ROW_BYTES: i64 = 200;

/// The bytes of a document without its destinations, which count in the bounds of the history. `DOCUMENT_ROWS` in
/// `schema` and the statement of pruning compute the same.
pub(crate) fn stored_bytes(title: Option<&str>, vendor_id: &VendorId) -> i64 {
    ROW_BYTES + columns::size(title.map_or(0, str::len) + vendor_id.as_str().len())
}

/// The constant part of a new document.
pub(crate) struct NewDocumentRow<'a> {
    pub(crate) uuid: DocumentId,
    pub(crate) vendor: Vendor,
    pub(crate) vendor_id: &'a VendorId,
}

pub(crate) fn insert(
    db: &Connection,
    client: i64,
    new: &NewDocumentRow<'_>,
    update: &DocumentUpdate<'_>,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO document (client, id, lookup, vendor, vendor_id, uuid, status, title, updated, last_seq)
         VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)",
    )?
    .execute(params![
        client,
        update.number,
        identity::lookup(new.vendor, new.vendor_id),
        new.vendor.as_str(),
        new.vendor_id.as_str(),
        new.uuid.uuid().as_bytes(),
        update.status.as_str(),
        update.title,
        update.time.millis(),
        update.last_seq,
    ])?;
    Ok(())
}

pub(crate) fn update(db: &Connection, client: i64, update: &DocumentUpdate<'_>) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE document SET status = ?3, title = ?4, updated = ?5, last_seq = ?6 WHERE client = ?1 AND id = ?2",
    )?
    .execute(params![
        client,
        update.number,
        update.status.as_str(),
        update.title,
        update.time.millis(),
        update.last_seq
    ])?;
    Ok(())
}

/// The document with this number as the port shows it.
pub(crate) fn get(db: &Connection, epoch: Epoch, client: i64, number: i64) -> rusqlite::Result<Option<Document>> {
    db.prepare_cached(BY_NUMBER)?.query_row([client, number], |row| document(db, epoch, client, row)).optional()
}

/// A page of documents, the latest created first. The cursor is the number of the last row read.
pub(crate) fn list(
    db: &Connection,
    epoch: Epoch,
    client: i64,
    query: &DocumentQuery,
) -> rusqlite::Result<DocumentPage> {
    let head = EventId { epoch, sequence: columns::head(db)? };
    let mut page = DocumentPage { documents: Vec::new(), next: None, head };
    if query.vendor_id.is_some() {
        page.documents = with_vendor_id(db, epoch, client, query)?;
        return Ok(page);
    }
    let before = query.cursor.map_or(i64::MAX, columns::signed);
    let mut statement = db.prepare_cached(NEWEST)?;
    let mut rows = statement.query([client, before])?;
    let (mut last, mut rows_read, mut bytes) = (0, 0, 0);
    while let Some(row) = rows.next()? {
        let is_full = page.documents.len() >= query.limit.max(1) || bytes > MAX_LIST_BYTES;
        if is_full || rows_read >= MAX_ROWS_PER_PAGE {
            page.next = Some(columns::unsigned(last));
            break;
        }
        rows_read += 1;
        last = row.get(0)?;
        if matches(query, columns::parsed(row, 5)?, columns::parsed(row, 2)?) {
            let document = document(db, epoch, client, row)?;
            bytes += document.json.as_ref().map_or(0, |json| json.len());
            bytes += document.title.as_ref().map_or(0, String::len);
            page.documents.push(document);
        }
    }
    Ok(page)
}

/// The documents of any vendor with the identifier of the query: at most one per vendor, hence a single page.
fn with_vendor_id(
    db: &Connection,
    epoch: Epoch,
    client: i64,
    query: &DocumentQuery,
) -> rusqlite::Result<Vec<Document>> {
    // A malformed identifier matches no document.
    let Some(Ok(vendor_id)) = query.vendor_id.as_ref().map(|text| text.parse::<VendorId>()) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for vendor in Vendor::ALL {
        if let Some(known) = by_vendor(db, client, vendor, &vendor_id)?
            && matches(query, vendor, known.status)
            && query.cursor.is_none_or(|cursor| known.number < columns::signed(cursor))
        {
            found.push(known.number);
        }
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    let documents: rusqlite::Result<Vec<_>> = found.into_iter().map(|number| get(db, epoch, client, number)).collect();
    Ok(documents?.into_iter().flatten().collect())
}

fn matches(query: &DocumentQuery, vendor: Vendor, status: Status) -> bool {
    query.vendor.is_none_or(|wanted| wanted == vendor) && query.status.is_none_or(|wanted| wanted == status)
}

fn document(db: &Connection, epoch: Epoch, client: i64, row: &Row<'_>) -> rusqlite::Result<Document> {
    let last_seq: i64 = row.get(4)?;
    let json = db
        .prepare_cached("SELECT json FROM event WHERE client = ?1 AND seq = ?2")?
        .query_row([client, last_seq], |row| columns::blob(row, 0))
        .optional()?;
    Ok(Document {
        id: columns::document_id(row, 1)?,
        vendor: columns::parsed(row, 5)?,
        vendor_id: columns::parsed(row, 6)?,
        status: columns::parsed(row, 2)?,
        title: row.get(3)?,
        updated: columns::time(row, 7)?,
        event: EventId { epoch, sequence: columns::unsigned(last_seq) },
        json,
    })
}
