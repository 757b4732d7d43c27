//! The documents' rows: found by what vendors call them, by UUID, by number; and the listing of a client's documents.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::columns;
use super::identity::{self, Mint};
use crate::domain::{DocumentId, Epoch, EventId, Status, Vendor, VendorId};
use crate::store::{Document, DocumentPage, DocumentQuery};

/// Rows that one page looks at, however few of them pass its filters: a page may be short and have a next one.
const BUDGET: usize = 10_000;

/// Statements that read [`Known`] or [`Document`]: all begin with the same columns.
const BY_NUMBER: &str = "SELECT id, uuid, status, title, last_seq, vendor, vendor_id, updated, routed FROM document
    WHERE client = ?1 AND id = ?2";
const BY_VENDOR: &str = "SELECT id, uuid, status, title, last_seq, vendor, vendor_id, updated, routed FROM document
    INDEXED BY document_lookup WHERE client = ?1 AND lookup = ?2 AND vendor = ?3";
const BY_UUID: &str = "SELECT id, uuid, status, title, last_seq, vendor, vendor_id, updated, routed FROM document
    INDEXED BY document_lookup WHERE client = ?1 AND lookup = ?2 AND uuid = ?3";
const NEWEST: &str = "SELECT id, uuid, status, title, last_seq, vendor, vendor_id, updated, routed FROM document
    WHERE client = ?1 AND id < ?2 ORDER BY id DESC";

/// What the writer needs to know of a document.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) number: i64,
    pub(super) uuid: DocumentId,
    pub(super) status: Status,
    pub(super) title: Option<String>,
    pub(super) last_seq: i64,
    /// Whether it has a route.
    pub(super) routed: bool,
}

impl Known {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            number: row.get(0)?,
            uuid: columns::document(row, 1)?,
            status: columns::word(row, 2)?,
            title: row.get(3)?,
            last_seq: row.get(4)?,
            routed: row.get(8)?,
        })
    }
}

/// The document that this vendor calls so; a UUID in any case, as `identity::lookup` has it. Should a file of before
/// hold both spellings as two documents, each is found by its own. Without `INDEXED BY` SQLite takes the primary key for good enough and walks
/// through all documents of the client.
pub(super) fn by_vendor(
    db: &Connection,
    client: i64,
    vendor: Vendor,
    vendor_id: &VendorId,
) -> rusqlite::Result<Option<Known>> {
    let uuid = vendor_id.as_str().parse::<DocumentId>().ok();
    let mut statement = db.prepare_cached(BY_VENDOR)?;
    let mut rows = statement.query(params![client, identity::lookup(vendor, vendor_id), vendor.as_str()])?;
    let mut other_spelling = None;
    while let Some(row) = rows.next()? {
        let name = row.get_ref(6)?.as_str()?;
        if name == vendor_id.as_str() {
            return Known::read(row).map(Some);
        }
        if other_spelling.is_none() && uuid.is_some() && name.parse().ok() == uuid {
            other_spelling = Some(Known::read(row)?);
        }
    }
    Ok(other_spelling)
}

/// The document with this number.
pub(super) fn by_number(db: &Connection, client: i64, number: i64) -> rusqlite::Result<Option<Known>> {
    db.prepare_cached(BY_NUMBER)?.query_row([client, number], Known::read).optional()
}

/// The document with this UUID: by its number when it was minted here, otherwise by what its vendor calls it.
pub(super) fn by_uuid(db: &Connection, mint: Mint, client: i64, uuid: DocumentId) -> rusqlite::Result<Option<Known>> {
    if let Some(number) = mint.number(uuid)
        && let Some(known) = by_number(db, client, number)?.filter(|known| known.uuid == uuid)
    {
        return Ok(Some(known));
    }
    db.prepare_cached(BY_UUID)?
        .query_row(params![client, identity::lookup_uuid(uuid), uuid.uuid().as_bytes()], Known::read)
        .optional()
}

/// The document with this number, as its owner sees it.
pub(super) fn get(db: &Connection, epoch: Epoch, client: i64, number: i64) -> rusqlite::Result<Option<Document>> {
    db.prepare_cached(BY_NUMBER)?.query_row([client, number], |row| document(db, epoch, client, row)).optional()
}

/// A page of documents, the latest made first. The cursor is the number of the last document looked at.
pub(super) fn list(
    db: &Connection,
    epoch: Epoch,
    client: i64,
    query: &DocumentQuery,
) -> rusqlite::Result<DocumentPage> {
    let head = EventId { epoch, sequence: columns::head(db)? };
    let mut page = DocumentPage { documents: Vec::new(), next: None, head };
    if query.vendor_id.is_some() {
        page.documents = named(db, epoch, client, query)?;
        return Ok(page);
    }
    let before = query.cursor.map_or(i64::MAX, columns::signed);
    let mut statement = db.prepare_cached(NEWEST)?;
    let mut rows = statement.query([client, before])?;
    let (mut last, mut looked_at) = (0, 0);
    while let Some(row) = rows.next()? {
        if page.documents.len() >= query.limit.max(1) || looked_at >= BUDGET {
            page.next = Some(columns::unsigned(last));
            break;
        }
        looked_at += 1;
        last = row.get(0)?;
        if passes(query, columns::word(row, 5)?, columns::word(row, 2)?) {
            page.documents.push(document(db, epoch, client, row)?);
        }
    }
    Ok(page)
}

/// The documents that a vendor, or any vendor, calls so: at most one of each, hence never a second page.
fn named(db: &Connection, epoch: Epoch, client: i64, query: &DocumentQuery) -> rusqlite::Result<Vec<Document>> {
    // What is not a good identifier names no document.
    let Some(Ok(vendor_id)) = query.vendor_id.as_ref().map(|text| text.parse::<VendorId>()) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for vendor in Vendor::ALL {
        if let Some(known) = by_vendor(db, client, vendor, &vendor_id)?
            && passes(query, vendor, known.status)
            && query.cursor.is_none_or(|cursor| known.number < columns::signed(cursor))
        {
            found.push(known.number);
        }
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    let documents: rusqlite::Result<Vec<_>> = found.into_iter().map(|number| get(db, epoch, client, number)).collect();
    Ok(documents?.into_iter().flatten().collect())
}

fn passes(query: &DocumentQuery, vendor: Vendor, status: Status) -> bool {
    query.vendor.is_none_or(|wanted| wanted == vendor) && query.status.is_none_or(|wanted| wanted == status)
}

fn document(db: &Connection, epoch: Epoch, client: i64, row: &Row<'_>) -> rusqlite::Result<Document> {
    let last_seq: i64 = row.get(4)?;
    let json = db
        .prepare_cached("SELECT json FROM event WHERE client = ?1 AND seq = ?2")?
        .query_row([client, last_seq], |row| columns::blob(row, 0))
        .optional()?;
    Ok(Document {
        id: columns::document(row, 1)?,
        vendor: columns::word(row, 5)?,
        vendor_id: columns::word(row, 6)?,
        status: columns::word(row, 2)?,
        title: row.get(3)?,
        updated: columns::time(row, 7)?,
        event: EventId { epoch, sequence: columns::unsigned(last_seq) },
        json,
    })
}
