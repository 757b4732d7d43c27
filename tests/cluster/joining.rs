//! A node that joins a cluster that has data and traffic.

use std::time::Duration;

use crate::harness::TestCluster;
use crate::load::{Load, LoadOptions};

#[test]
fn fourth_node_joins_under_load_with_equal_digest() {
    let Some(mut cluster) = TestCluster::start() else { return };
    let options = LoadOptions { publishers: 4, followers: 2, pause: Duration::from_millis(20), seed: 4 };
    let load = Load::start(&cluster, options);
    load.wait_for_acknowledged(200);
    cluster.add_node();
    load.add_node(cluster.nodes[3].listen);
    load.wait_for_acknowledged(200);
    load.assert_complete();
    assert_eq!(cluster.status(3)["members"].as_array().map(Vec::len), Some(4));
    cluster.assert_equal_digests();
}
