//! The open-file limit, and the connection limits that follow from it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Kept free for the database, the log, the listeners and the admin address.
const RESERVE: u64 = 256;

/// More than this wants a decision of the operator, for memory's sake: at 10 KiB each they take 2 GB.
const MOST_CONNECTIONS: u64 = 200_000;

/// More would only wait for each other's processor time.
const MOST_DELIVERIES: usize = 1024;

/// What one client gets unless configured otherwise.
const FOLLOWERS_PER_CLIENT: usize = 10_000;

/// Raises the process's open-file limit as far as the system lets it, and returns it; [`u64::MAX`] for none.
///
/// The usual soft limit of 1024 is for programs that use `select`, which we do not.
pub fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised.current,
        Err(_) => limit.current,
    }
    .unwrap_or(u64::MAX)
}

/// How many connections so many files allow, beside so many deliveries: each of these may have a connection, and leave
/// one open for the next.
pub(super) fn connections(open_files: u64, deliveries: usize) -> usize {
    let deliveries = u64::try_from(deliveries).unwrap_or(u64::MAX).saturating_mul(2);
    let free = open_files.saturating_sub(RESERVE).saturating_sub(deliveries).max(open_files / 2);
    usize::try_from(free.clamp(2, MOST_CONNECTIONS)).unwrap_or(usize::MAX)
}

/// How many deliveries may be under way: an eighth of the files at most.
pub(super) fn deliveries(open_files: u64) -> usize {
    usize::try_from(open_files / 8).unwrap_or(usize::MAX).clamp(1, MOST_DELIVERIES)
}

/// How many of the connections may be streams: a tenth stays for vendors and everybody else.
pub(super) fn followers(max_connections: usize) -> usize {
    (max_connections - max_connections.div_ceil(10)).max(1)
}

/// How many of the streams may be one client's.
pub(super) fn followers_per_client(max_followers: usize) -> usize {
    max_followers.min(FOLLOWERS_PER_CLIENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_follow_from_the_open_files() {
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
    fn even_a_tiny_limit_leaves_room_for_a_vendor() {
        for open_files in 0..2_000 {
            let all = connections(open_files, deliveries(open_files));
            assert!(followers(all) >= 1 && followers(all) < all, "{open_files}");
            assert!(open_files < 4 || (all as u64) < open_files, "{open_files}");
        }
    }

    #[test]
    fn raising_the_limit_never_lowers_it() {
        let before = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        assert!(raise_open_files() >= before);
    }
}
