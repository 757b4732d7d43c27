//! Floods of HTTP/2 frames on one connection delay no client of another.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::second_client::SetOnDrop;
use super::{Memory, SecondClient, assert_in_some_attempt};
use crate::harness::TestRelay;
use crate::harness::connection::Connection;
use crate::harness::http2::frames;

#[test]
fn rapid_resets_delay_no_second_client() {
    assert_in_some_attempt(|| {
        let relay = TestRelay::allowing_loopback_endpoints();
        let second = SecondClient::new(&relay);
        let before = second.measure_before();
        let (is_over, connections) = (AtomicBool::new(false), AtomicUsize::new(0));
        let flood = [frames::opening(), frames::rapid_resets(5000)].concat();
        let during = thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let mut connection = Connection::open(relay.listen);
                    connection.try_write(&flood).ok();
                    assert!(connection.is_closed_by_peer());
                    connections.fetch_add(1, Ordering::Relaxed);
                }
            });
            let _end = SetOnDrop(&is_over);
            second.measure_during()
        });
        assert!(connections.load(Ordering::Relaxed) > 10, "the relay ends connections");
        second.assert_undisturbed(&before, &during, Memory { peak: 32 << 20, after: 16 << 20 });
    });
}
