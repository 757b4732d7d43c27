//! A stream that is ended while its follower is about to wait ends at once, not at the next keepalive. Symptom of the
//! bug: a stop that sometimes took fifteen seconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use docrelay::domain::Timestamp;
use docrelay::metrics::{Disconnect, Metrics};
use docrelay::stream::hub::{Fields, Filter, Framing, Hub, HubOptions};
use docrelay::stream::{FollowRequest, Follower, StartPosition, StreamAction, StreamOptions, Streams};
use tokio::time::timeout;

use crate::fixture::{CLIENTS, Fixture, client_ref};

fn follow(relay: &Streams, revoked: &Arc<AtomicBool>) -> Follower {
    let request = FollowRequest {
        client: client_ref(CLIENTS[0]),
        start: StartPosition::Live,
        filter: Filter::default(),
        fields: Fields::All,
        framing: Framing::Chunked,
        expires: Timestamp::now().plus(Duration::from_secs(3600)),
        revoked: revoked.clone(),
        now: Timestamp::now(),
    };
    relay.follow(request).expect("room")
}

#[test]
fn stream_end_between_poll_and_wait_is_noticed() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let fixture = Fixture::open(8).await;
        for round in 0..3_000 {
            let hub = Hub::new(HubOptions::default(), fixture.store.log.head());
            let metrics = Metrics::new("test");
            let relay = Streams::new(fixture.store.clone(), hub.clone(), StreamOptions::default(), metrics);
            let revoked = Arc::default();
            let mut follower = follow(&relay, &revoked);
            let number = hub.list()[0].number;
            let following = tokio::spawn(async move {
                match follower.next_action().await {
                    StreamAction::End { reason, .. } => reason,
                    StreamAction::Write(_) => panic!("no event was appended"),
                }
            });
            for _ in 0..fastrand::u32(..3_000) {
                std::hint::spin_loop();
            }
            let expected = match round % 4 {
                0 => {
                    hub.stop();
                    Disconnect::Stopping
                }
                1 => {
                    hub.revoke(&client_ref(CLIENTS[0]));
                    Disconnect::Revoked
                }
                2 => {
                    // The key of its token is retired.
                    revoked.store(true, Ordering::Relaxed);
                    hub.wake();
                    Disconnect::Revoked
                }
                _ => {
                    assert!(hub.disconnect(number));
                    Disconnect::Removed
                }
            };
            let why = timeout(Duration::from_secs(5), following).await;
            assert_eq!(why.expect("ends at once").expect("a follower"), expected, "round {round}");
        }
    });
}
