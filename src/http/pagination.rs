//! Pagination of lists with `limit`, `cursor` and `next`, and the other query parameters of lists.

use std::fmt::Display;
use std::str::FromStr;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::request::Request;
use super::response::Problem;
use crate::store::MAX_LIST_BYTES;

/// How many items a page has.
#[derive(Clone, Copy)]
pub(super) struct PageSize {
    /// Items of a page without the parameter `limit`.
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

/// Items of a list that is in memory, cut as a page of the store is.
pub(super) struct MemoryPage<T> {
    /// The items as JSON.
    pub(super) items: Vec<Box<RawValue>>,
    /// The last item if others follow.
    pub(super) last: Option<T>,
}

impl<T> MemoryPage<T> {
    /// The first `limit` items, or fewer if they have more bytes than a page. `json` makes the JSON of an item.
    pub(super) fn cut<J: Serialize>(items: impl Iterator<Item = T>, limit: usize, json: impl Fn(&T) -> J) -> Self {
        let (mut page, mut bytes) = (Self { items: Vec::new(), last: None }, 0);
        let mut last = None;
        for item in items {
            if page.items.len() >= limit.max(1) || bytes > MAX_LIST_BYTES {
                page.last = last;
                break;
            }
            let value = to_raw_value(&json(&item)).unwrap_or_else(|_| RawValue::NULL.to_owned());
            bytes += value.get().len();
            page.items.push(value);
            last = Some(item);
        }
        page
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
