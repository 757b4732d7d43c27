//! Brokers that every byte reaches, and leaves, late.

use std::time::{Duration, Instant};

use crate::harness::TestCluster;
use crate::load::{Load, LoadOptions};

/// In each direction.
const DELAY: Duration = Duration::from_millis(300);

/// Longer than a lease: a node that lost its lease would say so.
const WATCHED: Duration = Duration::from_secs(8);

#[test]
fn slow_network_to_brokers_loses_nothing_and_ends_no_lease() {
    let Some((mut cluster, links)) = TestCluster::start_with_links() else { return };
    cluster.wait_until_active();
    let options = LoadOptions { publishers: 6, followers: 3, ..LoadOptions::with_seed(3) };
    let load = Load::start(&cluster, options);
    load.wait_for_acknowledged(30);
    links.iter().for_each(|links| links.delay(DELAY));
    let until = Instant::now() + WATCHED;
    while Instant::now() < until {
        assert!((0..3).all(|node| cluster.is_ready(node)), "a slow broker stores all the same");
    }
    load.wait_for_acknowledged(30);
    links.iter().for_each(|links| links.delay(Duration::ZERO));
    load.assert_complete();
    for node in &cluster.nodes {
        assert!(!node.output().contains("lost the lease"), "{}", node.output());
    }
    cluster.assert_equal_digests();
}
