//! The open-file limit of the process, and the defaults that depend on it: connections, followers, delivery attempts.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files reserved for the database, the log, the listeners and the admin address.
const RESERVED_FILES: u64 = 256;

/// The default does not exceed this number because of memory: at 10 KiB each, these connections take 2 GB.
const MAX_DEFAULT_CONNECTIONS: u64 = 200_000;

/// The default limit of an address is not less, if `max_connections` allows: all followers that a client may have by
/// default, and a tenth of them for its requests.
const MIN_DEFAULT_CONNECTIONS_PER_ADDRESS: usize = 11_000;

/// With fewer connections, an address may have all of them by default.
const MIN_SHARED_CONNECTIONS: usize = 1_000;

/// More concurrent attempts would only compete for the processor.
const MAX_DEFAULT_DELIVERIES: usize = 1024;

/// The default limit of a client, if `max_followers` is not less.
const MAX_DEFAULT_FOLLOWERS_PER_CLIENT: usize = 10_000;

/// Raises the open-file limit of the process to the hard limit and returns it; [`u64::MAX`] if there is none.
///
/// The usual soft limit of 1024 protects programs that use `select`; docrelay does not.
pub fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised.current,
        Err(_) => limit.current,
    }
    .unwrap_or(u64::MAX)
}

/// The default of `max_connections`. Each delivery may use one connection and keep another one idle.
pub(super) fn default_connections(open_files: u64, deliveries: usize) -> usize {
    let deliveries = u64::try_from(deliveries).unwrap_or(u64::MAX).saturating_mul(2);
    let free = open_files.saturating_sub(RESERVED_FILES).saturating_sub(deliveries).max(open_files / 2);
    usize::try_from(free.clamp(2, MAX_DEFAULT_CONNECTIONS)).unwrap_or(usize::MAX)
}

/// The default of `max_connections_per_address`: half of the connections, but the followers of one client may all come
/// from one server or network. A tenth remains for other addresses, unless the connections are too few to be shared
/// out.
pub(super) fn default_connections_per_address(max_connections: usize) -> usize {
    if max_connections < MIN_SHARED_CONNECTIONS {
        return max_connections;
    }
    (max_connections / 2).max(MIN_DEFAULT_CONNECTIONS_PER_ADDRESS.min(max_connections - max_connections / 10))
}

/// The default of `delivery_concurrency`: at most an eighth of the open files.
pub(super) fn default_deliveries(open_files: u64) -> usize {
    usize::try_from(open_files / 8).unwrap_or(usize::MAX).clamp(1, MAX_DEFAULT_DELIVERIES)
}

/// The default of `max_followers`: a tenth of the connections remains for vendors and requests.
pub(super) fn default_followers(max_connections: usize) -> usize {
    (max_connections - max_connections.div_ceil(10)).max(1)
}

/// The default of `max_followers_per_client`.
pub(super) fn default_followers_per_client(max_followers: usize) -> usize {
    max_followers.min(MAX_DEFAULT_FOLLOWERS_PER_CLIENT)
}
