//! Documents and their identifiers. Identifiers are parsed at the edge: their text can be written into a header, an
//! event stream or a log line without escaping.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use uuid::Uuid;

/// An identifier is malformed; the message states its form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidId(pub &'static str);

/// The id of a document: the vendor's id if that is a UUID, otherwise a UUID version 1 that the relay generates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocumentId(Uuid);

impl DocumentId {
    pub fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }

    pub fn uuid(self) -> Uuid {
        self.0
    }
}

impl FromStr for DocumentId {
    type Err = InvalidId;

    /// Only the hyphenated form of 36 characters, in any case: all other forms are vendor ids.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match (text.len(), Uuid::try_parse(text)) {
            (36, Ok(uuid)) => Ok(Self(uuid)),
            _ => Err(InvalidId("a document id is a UUID of the form 626626a0-749f-11e2-bfd6-000000000000")),
        }
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// The vendor's id of a job or document: 1 to 256 characters without control characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VendorId(Arc<str>);

impl VendorId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VendorId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if text.is_empty() || text.chars().count() > 256 || text.chars().any(char::is_control) {
            return Err(InvalidId("a vendor's identifier is 1 to 256 characters without control characters"));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for VendorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The vendor that converts documents and calls hooks; the last two are vendor-neutral formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vendor {
    /// PPJ: GET query or POST form, with a verification handshake.
    Ppj,
    /// Baidu DOC: POST JSON with JSON inside a string.
    Baidu,
    /// zOffice: POST JSON, sent once, with a timeout of 5 seconds.
    Zoffice,
    /// Gini: `documentId` and `status`.
    Gini,
    /// Standard Webhooks and CloudEvents.
    Standard,
    /// Any JSON, mapped by JSON Pointers.
    Generic,
}

impl Vendor {
    /// Every vendor, in the order of the contract.
    pub const ALL: [Vendor; 6] =
        [Vendor::Ppj, Vendor::Baidu, Vendor::Zoffice, Vendor::Gini, Vendor::Standard, Vendor::Generic];

    /// The name used in paths, JSON, flags and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Vendor::Ppj => "ppj",
            Vendor::Baidu => "baidu",
            Vendor::Zoffice => "zoffice",
            Vendor::Gini => "gini",
            Vendor::Standard => "standard",
            Vendor::Generic => "generic",
        }
    }
}

/// The status of a document, in Gini's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Submitted or in conversion.
    Pending,
    /// Converted.
    Completed,
    /// Failed permanently.
    Error,
}

impl Status {
    /// Every status.
    pub const ALL: [Status; 3] = [Status::Pending, Status::Completed, Status::Error];

    /// The name used in JSON and queries.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "PENDING",
            Status::Completed => "COMPLETED",
            Status::Error => "ERROR",
        }
    }
}

/// A word that is not one of a closed set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be one of {expected}")]
pub struct UnknownName {
    expected: String,
}

macro_rules! parse_by_name {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, UnknownName> {
                $name::ALL
                    .into_iter()
                    .find(|value| value.as_str() == text)
                    .ok_or_else(|| UnknownName { expected: $name::ALL.map($name::as_str).join(", ") })
            }
        }
    };
}
parse_by_name!(Vendor);
parse_by_name!(Status);

macro_rules! serialize_as_text {
    ($($name:ident),*) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
    )*};
}
serialize_as_text!(DocumentId, VendorId);

macro_rules! deserialize_from_text {
    ($($name:ident),*) => {$(
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
deserialize_from_text!(DocumentId, VendorId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_document_and_vendor_ids_are_refused() {
        assert!("a\u{0}b".parse::<VendorId>().is_err());
        assert!("é".repeat(256).parse::<VendorId>().is_ok());
        assert!("é".repeat(257).parse::<VendorId>().is_err());
        assert!("{626626a0-749f-11e2-bfd6-00000000000}".parse::<DocumentId>().is_err());
    }
}
