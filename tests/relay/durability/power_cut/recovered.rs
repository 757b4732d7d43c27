//! A process is killed between a commit and its flush, and the power is cut during the next run. The next process finds
//! the commit in the cache of the kernel: it must flush it before it streams the event or acknowledges a duplicate.

use super::{Machine, WRITE_AHEAD_LOG};
use crate::durability::load::all_events;
use crate::harness::client::try_store_event;
use crate::harness::connection::Connection;
use crate::harness::request::Request;
use crate::harness::response::{stored_event_id, string_at};

/// Kills the relay at each write of the commit of one webhook, starts it again, lets `use_event` acknowledge events,
/// and cuts the power.
fn cut_after_recovery(use_event: impl Fn(&mut Machine, &str, &Request)) {
    let mut machine = Machine::start(&[]);
    for write in 1.. {
        let job = format!("job-{write}");
        let body = format!(r#"{{"documentId":"{job}","status":"COMPLETED"}}"#);
        let webhook = Request::post(&machine.hook).json(&body);
        machine.disk.kill_after_writes(write, WRITE_AHEAD_LOG);
        if try_store_event(&mut Connection::open(machine.relay.listen), &webhook).is_some() {
            assert!(write > 5, "a commit has {write} writes");
            return;
        }
        machine.relay.wait();
        machine.disk.kill_after_changes(0);
        machine.relay.restart();
        use_event(&mut machine, &job, &webhook);
        machine.relay.kill();
        machine.cut();
        machine.relay.restart();
        machine.check().unwrap_or_else(|error| panic!("killed at write {write}: {error}"));
    }
}

#[test]
fn duplicate_of_recovered_event_is_acknowledged_durably() {
    cut_after_recovery(|machine, job, webhook| {
        let id = stored_event_id(&machine.relay.send(webhook));
        machine.acknowledged.add(job.to_owned(), id).expect("one id");
    });
}

#[test]
fn recovered_event_is_streamed_durably() {
    cut_after_recovery(|machine, _, _| {
        for event in all_events(&machine.relay, &machine.token) {
            machine.acknowledged.add(string_at(&event.json(), "vendorId"), event.id).expect("one id");
        }
    });
}
