//! The parameters of a PPJ request: those of the query, and those of a form. Each name that means something occurs
//! once, or the request could be read in two ways.

use http::Method;

use crate::vendor::{WebhookError, WebhookRequest, malformed};

/// Names and values, percent-decoded, in the order of the request.
#[derive(Debug)]
pub(super) struct Params(Vec<(String, String)>);

/// A parameter that should occur once occurs more often.
#[derive(Debug)]
pub(super) struct Twice;

impl Params {
    /// All parameters, those in the hook's own address included. A GET has no form.
    pub(super) fn of(request: &WebhookRequest<'_>) -> Self {
        let query = request.query.unwrap_or_default().as_bytes();
        let form = if request.method == Method::POST { request.body } else { &[] };
        Self(form_urlencoded::parse(query).chain(form_urlencoded::parse(form)).map(own).collect())
    }

    /// From pairs that are about to be sent.
    pub(super) fn from_pairs(pairs: impl Iterator<Item = (String, String)>) -> Self {
        Self(pairs.collect())
    }

    /// The value of `name`, if it is there, and there once.
    pub(super) fn once(&self, name: &str) -> Result<Option<&str>, Twice> {
        let mut values = self.0.iter().filter(|(n, _)| n == name);
        match (values.next(), values.next()) {
            (first, None) => Ok(first.map(|(_, value)| value.as_str())),
            _ => Err(Twice),
        }
    }

    /// Like [`Params::once`], for reading. A replacement character means that the bytes were not UTF-8.
    pub(super) fn optional(&self, name: &str) -> Result<Option<&str>, WebhookError> {
        match self.once(name) {
            Ok(Some(value)) if value.contains(char::REPLACEMENT_CHARACTER) => {
                Err(malformed(format!("{name} is not UTF-8")))
            }
            Ok(value) => Ok(value),
            Err(Twice) => Err(malformed(format!("{name} occurs more than once"))),
        }
    }

    /// Like [`Params::optional`], for what must be there.
    pub(super) fn required(&self, name: &str) -> Result<&str, WebhookError> {
        self.optional(name)?.ok_or_else(|| malformed(format!("{name} is missing")))
    }

    /// What edition B signs: `k=v` joined by `&`, sorted by name, not encoded, without `_…` and `file_source`.
    pub(super) fn signed(&self) -> String {
        let mut pairs: Vec<_> =
            self.0.iter().filter(|(name, _)| !name.starts_with('_') && name != "file_source").collect();
        // A stable sort by name alone: values of one name keep the order of the request.
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("&")
    }
}

fn own((name, value): (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)) -> (String, String) {
    (name.into_owned(), value.into_owned())
}
