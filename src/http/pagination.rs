//! Pagination of lists with `limit`, `cursor` and `next`, and the other query parameters of lists.

use std::fmt::Display;
use std::str::FromStr;

use super::request::Request;
use super::response::Problem;

/// How many items a page has.
#[derive(Clone, Copy)]
pub(super) struct PageSize {
    /// Without `limit`.
    pub(super) default: usize,
    /// A larger `limit` counts as this.
    pub(super) max: usize,
}

impl PageSize {
    /// The number of items that a request asks for.
    pub(super) fn requested(self, request: &Request) -> Result<usize, Problem> {
        match optional_number(request, "limit")? {
            None => Ok(self.default),
            Some(0) => Err(Problem::bad_request("limit: at least 1")),
            Some(limit) => Ok(usize::try_from(limit).unwrap_or(self.max).min(self.max)),
        }
    }
}

/// The page that a request asks for.
#[derive(Clone, Copy)]
pub(super) struct PageRequest {
    pub(super) limit: usize,
    /// `next` of the previous page.
    pub(super) cursor: Option<u64>,
}

impl PageRequest {
    pub(super) fn parse(request: &Request, size: PageSize) -> Result<Self, Problem> {
        Ok(Self { limit: size.requested(request)?, cursor: optional_number(request, "cursor")? })
    }
}

/// The value of `next`: text, because a number of 64 bits does not survive JavaScript.
pub(super) fn next_text(cursor: Option<u64>) -> Option<String> {
    cursor.map(|cursor| cursor.to_string())
}

/// A parameter that may be missing. An empty one counts as missing.
pub(super) fn optional_parameter<T: FromStr<Err: Display>>(
    request: &Request,
    name: &str,
) -> Result<Option<T>, Problem> {
    let value = request.parameter(name).filter(|value| !value.is_empty());
    value.map(|value| value.parse().map_err(|e| Problem::bad_request(format!("{name}: {e}")))).transpose()
}

fn optional_number(request: &Request, name: &str) -> Result<Option<u64>, Problem> {
    let value = request.parameter(name).filter(|value| !value.is_empty());
    let parse = |text: String| text.parse().map_err(|_| Problem::bad_request(format!("{name}: a whole number")));
    value.map(parse).transpose()
}
