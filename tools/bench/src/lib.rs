//! What the load generators share: their options, HTTP/1.1 over a blocking socket, random ids and
//! quantiles. Knows nothing of docrelay.

pub mod http;
pub mod options;
pub mod quantile;
pub mod random;
