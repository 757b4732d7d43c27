//! What the load generators share: their options, HTTP/1.1 over a blocking socket, connections of clients with and
//! without TLS, markers of events, random ids and quantiles. Knows nothing of docrelay.

pub mod client;
pub mod http;
pub mod marker;
pub mod options;
pub mod quantile;
pub mod random;
pub mod tls;
