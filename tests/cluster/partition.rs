//! A node that is cut off from the brokers without a closed connection: it refuses and delivers nothing, the others
//! take its deliveries, and it continues when the network is whole again.

use std::time::Duration;

use crate::harness::attempt::try_send;
use crate::harness::client::TestClient;
use crate::harness::cluster::{document, webhook};
use crate::harness::follower::Next;
use crate::harness::queues::Queues;
use crate::harness::request::Request;
use crate::harness::response::{assert_problem, stored_event_id};
use crate::harness::{TestCluster, wait_until};

/// The node that is cut off.
const CUT: usize = 2;

/// A webhook whose outcome is unknown is answered after 10 s and one time-out of the broker.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(20);

/// By then the lease of the node has ended, and with it every attempt.
const LEASE: Duration = Duration::from_secs(5);

#[test]
fn partitioned_node_refuses_is_replaced_and_continues_after_healing() {
    let Some((mut cluster, links)) = TestCluster::start_with_links() else { return };
    cluster.wait_until_active();
    let mut queues = Queues::create(&cluster);
    let client = TestClient::new(&cluster.nodes[0], "acme");
    let (token, hook) = (client.token.clone(), client.add_unverified_hook("gini").path);
    cluster.wait_until_caught_up();
    let post =
        |node: usize, number: usize| stored_event_id(&cluster.nodes[node].send(&webhook(&hook, &document(0, number))));
    let mut ids: Vec<String> = (0..3).map(|number| post(number, number)).collect();
    let mut followers: Vec<_> = cluster.nodes.iter().map(|node| node.follow_from(&token, "earliest")).collect();
    queues.post(&cluster.nodes[0], 0..8);

    links[CUT].cut();
    let cut_at = queues.elapsed();
    let refused = webhook(&hook, &document(0, 1_000_000));
    std::thread::scope(|scope| {
        let (listen, request) = (cluster.nodes[CUT].listen, &refused);
        let answer = scope.spawn(move || try_send(listen, request, REFUSAL_TIMEOUT));
        wait_until("the node is not ready", || !cluster.is_ready(CUT));
        eprintln!("partition: not ready after {:?}", queues.elapsed() - cut_at);
        let response = answer.join().unwrap().expect("an answer in time");
        assert_problem(&response, 503);
        assert!(response.header("retry-after").is_some(), "{response:?}");
    });
    let node = &cluster.nodes[CUT];
    assert_eq!(node.send_admin(&Request::get("/livez")).status, 200);
    assert_eq!(node.send(&Request::get("/documents").bearer(&token)).status, 200);
    assert_problem(&node.send(&webhook(&hook, &document(0, 1_000_001))), 503);

    // The others go on, and deliver what it owned.
    assert!(cluster.is_ready(0) && cluster.is_ready(1));
    ids.extend((3..9).map(|number| post(number % CUT, number)));
    queues.post(&cluster.nodes[1], 8..10);
    let attempts = queues.wait_until_delivered(Duration::from_secs(30));
    eprintln!("partition: everything is delivered after {:?}", queues.elapsed() - cut_at);
    let repeated: Vec<_> = attempts.values().filter(|times| times.len() > 1).collect();
    eprintln!("partition: {} of {} deliveries were attempted twice", repeated.len(), attempts.len());
    for times in repeated {
        // Only what was under way, or not recorded, when its owner was cut off.
        assert!(times.len() == 2 && times[0] < cut_at + LEASE && times[1] > cut_at, "{times:?}, cut off at {cut_at:?}");
    }
    assert_eq!(followers[CUT].event_ids(3), ids[..3]);
    let next = followers[CUT].next(Duration::from_millis(100));
    assert!(!matches!(next, Next::End), "its streams stay open");

    links[CUT].restore();
    wait_until("the node is ready", || cluster.is_ready(CUT));
    eprintln!("partition: ready again {:?} after the cut", queues.elapsed() - cut_at);
    // The refused event may have been stored by now: what the vendor repeats is not a second one.
    let repeated = stored_event_id(&cluster.nodes[CUT].send(&refused));
    ids.push(post(CUT, 9));
    let order = followers[0].event_ids(ids.len() + 1);
    assert_eq!(order.iter().filter(|id| **id != repeated).cloned().collect::<Vec<_>>(), ids);
    assert_eq!(followers[1].event_ids(order.len()), order);
    assert_eq!(followers[CUT].event_ids(order.len() - 3), order[3..], "on the stream that was open all the time");
    drop(followers);
    cluster.assert_streams(&token, &order);
    cluster.wait_until_active();
    cluster.assert_equal_digests();
}
