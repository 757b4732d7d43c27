//! A simulated hour of an endpoint that never responds, with the model of the store.

use std::time::Duration;

use proptest::test_runner::TestCaseResult;

use super::World;
use crate::delivery::scheduler::tests::steps::{ActionResult, QUEUES, Step};
use crate::delivery::scheduler::{SchedulerEvent, SchedulerLimits};

/// The queue whose endpoint is dead.
const DEAD: usize = 1;

/// The endpoint responds to nothing, and new events come faster than it is probed.
#[test]
fn dead_endpoint_gets_second_attempts_while_new_events_arrive() {
    let limits = SchedulerLimits { permits: 64, queues: 64, content_bytes: 1 << 30 };
    let mut is_down = [false; QUEUES.len()];
    is_down[DEAD] = true;
    let mut world = World::new(limits, is_down);
    let mut run = || -> TestCaseResult {
        world.handle(SchedulerEvent::Start)?;
        for second in 0..3_600_u32 {
            // Without a document in common, so that each delivery is the head of its FIFO.
            world.outbox.publish_alone(DEAD, second, world.now.wall);
            world.step(Step::Announce)?;
            while let Some(running) = world.running.pop() {
                world.complete(running, ActionResult::Ok)?;
            }
            world.wait(Duration::from_secs(1))?;
        }
        Ok(())
    };
    run().expect("the rules of the scheduler hold");
    let failures: Vec<u32> = world.outbox.rows.values().map(|row| row.failures).collect();
    let (attempts, first) = (failures.iter().sum::<u32>(), failures.iter().filter(|count| **count > 0).count());
    let retries = attempts - u32::try_from(first).expect("few");
    // One probe a minute.
    assert!(attempts >= 60 && retries * 3 >= attempts, "{retries} of {attempts} attempts are retries");
}
