//! The open-file limit, and the default connection limits that depend on it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files reserved for the database, the log, the listeners and the admin address.
const RESERVED_FILES: u64 = 256;

/// The default does not exceed this number because of memory: at 10 KiB each, these connections take 2 GB.
const MAX_DEFAULT_CONNECTIONS: u64 = 200_000;

/// More concurrent attempts would only compete for the processor.
const MAX_DEFAULT_DELIVERIES: usize = 1024;

/// The default limit of a client.
const FOLLOWERS_PER_CLIENT: usize = 10_000;

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
pub(super) fn connections(open_files: u64, deliveries: usize) -> usize {
    let deliveries = u64::try_from(deliveries).unwrap_or(u64::MAX).saturating_mul(2);
    let free = open_files.saturating_sub(RESERVED_FILES).saturating_sub(deliveries).max(open_files / 2);
    usize::try_from(free.clamp(2, MAX_DEFAULT_CONNECTIONS)).unwrap_or(usize::MAX)
}

/// The default of `delivery_concurrency`: at most an eighth of the open files.
pub(super) fn deliveries(open_files: u64) -> usize {
    usize::try_from(open_files / 8).unwrap_or(usize::MAX).clamp(1, MAX_DEFAULT_DELIVERIES)
}

/// The default of `max_followers`: a tenth of the connections remains for vendors and requests.
pub(super) fn followers(max_connections: usize) -> usize {
    (max_connections - max_connections.div_ceil(10)).max(1)
}

/// The default of `max_followers_per_client`.
pub(super) fn followers_per_client(max_followers: usize) -> usize {
    max_followers.min(FOLLOWERS_PER_CLIENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_limits_follow_from_open_file_limit() {
        assert_eq!(deliveries(1024), 128);
        assert_eq!(connections(1024, 128), 512);
        assert_eq!(followers(768), 691);
        assert_eq!(followers_per_client(691), 691);
        assert_eq!(deliveries(20_000), 1024);
        assert_eq!(connections(20_000, 1024), 17_696);
        assert_eq!(connections(u64::MAX, 1024), 200_000);
        assert_eq!(followers_per_client(followers(200_000)), 10_000);
    }

    #[test]
    fn tiny_open_file_limit_leaves_a_connection_for_vendors() {
        for open_files in 0..2_000 {
            let all = connections(open_files, deliveries(open_files));
            assert!(followers(all) >= 1 && followers(all) < all, "{open_files}");
            assert!(open_files < 4 || (all as u64) < open_files, "{open_files}");
        }
    }

    #[test]
    fn raise_open_files_never_lowers_the_limit() {
        let before = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        assert!(raise_open_files() >= before);
    }
}
