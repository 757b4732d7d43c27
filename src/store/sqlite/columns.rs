//! How our values stand in columns. SQLite's integers have a sign; sequences and sizes here stay far below its end.

use std::error::Error;
use std::str::FromStr;

use bytes::Bytes;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row};
use uuid::Uuid;

use crate::domain::{DocumentId, Timestamp};
use crate::store::{RawRequest, StoreError};

/// A number as a column holds it; what does not fit becomes the largest.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A column's number as ours; negative ones, which we never write, become 0.
pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// The size of something in memory, as a column holds it.
pub(super) fn size(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// A text column parsed into one of our words or identifiers.
pub(super) fn word<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: FromStr,
    T::Err: Error + Send + Sync + 'static,
{
    let text = row.get_ref(column)?.as_str()?;
    text.parse().map_err(|e: T::Err| broken(column, Type::Text, e))
}

/// A document's UUID.
pub(super) fn document(row: &Row<'_>, column: usize) -> rusqlite::Result<DocumentId> {
    let blob = row.get_ref(column)?.as_blob()?;
    Ok(DocumentId::new(Uuid::from_slice(blob).map_err(|e| broken(column, Type::Blob, e))?))
}

/// A point in time.
pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    Ok(Timestamp::from_millis(row.get(column)?))
}

/// Bytes.
pub(super) fn blob(row: &Row<'_>, column: usize) -> rusqlite::Result<Bytes> {
    Ok(Bytes::copy_from_slice(row.get_ref(column)?.as_blob()?))
}

/// The four columns of a request, beginning with `method`.
pub(super) fn raw(row: &Row<'_>, first: usize) -> rusqlite::Result<RawRequest> {
    let headers = row.get_ref(first + 2)?.as_blob()?;
    Ok(RawRequest {
        method: row.get(first)?,
        query: row.get(first + 1)?,
        headers: serde_json::from_slice(headers).map_err(|e| broken(first + 2, Type::Blob, e))?,
        body: blob(row, first + 3)?,
    })
}

/// The headers of a request as their column holds them.
pub(super) fn headers(raw: &RawRequest) -> Vec<u8> {
    // Pairs of strings always have a JSON form.
    serde_json::to_vec(&raw.headers).unwrap_or_else(|_| b"[]".to_vec())
}

/// The head of the log, as of the connection's snapshot.
pub(super) fn head(db: &Connection) -> rusqlite::Result<u64> {
    let head = db.prepare_cached("SELECT head FROM state")?.query_row([], |row| row.get(0)).optional()?;
    Ok(unsigned(head.unwrap_or(0)))
}

/// What the callers hear of SQLite's refusal.
pub(super) fn unavailable(error: &rusqlite::Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

fn broken(column: usize, kind: Type, error: impl Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, kind, Box::new(error))
}
