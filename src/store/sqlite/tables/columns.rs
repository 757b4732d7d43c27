//! Conversions between columns and values. SQLite's integers are signed; sequences and sizes stay far below 2^63.

use std::error::Error;
use std::str::FromStr;

use bytes::Bytes;
use rusqlite::types::Type;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row};
use uuid::Uuid;

use crate::domain::{DocumentId, Timestamp};
use crate::store::{RawRequest, StoreError};

/// A number for a column; saturates.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number from a column; negative ones, which are never written, become 0.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A size in memory for a column; saturates.
pub(crate) fn size(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// A text column parsed into a value.
pub(crate) fn parsed<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: FromStr,
    T::Err: Error + Send + Sync + 'static,
{
    let text = row.get_ref(column)?.as_str()?;
    text.parse().map_err(|e: T::Err| malformed(column, Type::Text, e))
}

pub(crate) fn document_id(row: &Row<'_>, column: usize) -> rusqlite::Result<DocumentId> {
    let blob = row.get_ref(column)?.as_blob()?;
    Ok(DocumentId::new(Uuid::from_slice(blob).map_err(|e| malformed(column, Type::Blob, e))?))
}

pub(crate) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    Ok(Timestamp::from_millis(row.get(column)?))
}

pub(crate) fn blob(row: &Row<'_>, column: usize) -> rusqlite::Result<Bytes> {
    Ok(Bytes::copy_from_slice(row.get_ref(column)?.as_blob()?))
}

/// The four columns of a request: `method, query, headers, body`, beginning with column `first`.
pub(crate) fn raw_request(row: &Row<'_>, first: usize) -> rusqlite::Result<RawRequest> {
    let headers = row.get_ref(first + 2)?.as_blob()?;
    Ok(RawRequest {
        method: row.get(first)?,
        query: row.get(first + 1)?,
        headers: serde_json::from_slice(headers).map_err(|e| malformed(first + 2, Type::Blob, e))?,
        body: blob(row, first + 3)?,
    })
}

/// The headers of a request for their column.
pub(crate) fn headers(raw: &RawRequest) -> Vec<u8> {
    // Pairs of strings always have a JSON form.
    serde_json::to_vec(&raw.headers).unwrap_or_else(|_| b"[]".to_vec())
}

/// The bytes that a request occupies, precise enough for the bounds of the retention.
pub(crate) fn request_bytes(raw: &RawRequest) -> i64 {
    let headers: usize = raw.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    size(raw.body.len() + headers + raw.query.as_ref().map_or(0, String::len))
}

/// The head of the log in the connection's snapshot.
pub(crate) fn head(db: &Connection) -> rusqlite::Result<u64> {
    let head = db.prepare_cached("SELECT head FROM state")?.query_row([], |row| row.get(0)).optional()?;
    Ok(unsigned(head.unwrap_or(0)))
}

/// The error that callers get when SQLite fails.
pub(crate) fn unavailable(error: &rusqlite::Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

/// The error that the sender of a change gets.
pub(crate) fn refused(error: &rusqlite::Error) -> StoreError {
    match is_inherent(error) {
        true => StoreError::Inapplicable(error.to_string()),
        false => unavailable(error),
    }
}

/// Whether a change has failed because of itself and the contents of the database: a repetition fails in the same way,
/// and so does every node of a cluster. All other errors, such as those of the disk, are this machine's and may end.
pub(crate) fn is_inherent(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => matches!(
            failure.code,
            ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch
                | ErrorCode::TooBig
                | ErrorCode::ParameterOutOfRange
        ),
        rusqlite::Error::ToSqlConversionFailure(_)
        | rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::QueryReturnedNoRows => true,
        _ => false,
    }
}

fn malformed(column: usize, kind: Type, error: impl Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, kind, Box::new(error))
}
