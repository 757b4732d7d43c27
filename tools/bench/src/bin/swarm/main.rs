//! Load generator: thousands of followers that check every event, over HTTP/1.1 and HTTP/2, with and without TLS, and
//! webhooks at a fixed rate.
//!
//!     swarm --followers FILE --hooks FILE --webhooks KIND:HOST:PORT --rate N --seconds N [--senders N] [--opening N]
//!           [--ca FILE]
//!
//! A line of `--followers` is one follower: kind (`h1`, `h1-tls`, `h2`, `h2-tls`), address, source address, number of
//! the client, token. A line of `--hooks` is the number of a client and the path of its hook. At most `--opening`
//! followers connect at once. Webhooks begin when all followers are open; there are none with a rate of 0. Prints
//! `open` when all followers are, and at the end one line of JSON. A follower checks that ids grow, and at the end that
//! it has received the events that were stored for its client, by number and sum.

mod follower;
mod stream;
mod tally;
mod webhooks;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use docrelay_bench::client::{Client, Kind};
use docrelay_bench::options::Options;
use tokio::sync::Semaphore;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

use follower::{Follower, Plan, Shared};
use tally::{EventSet, Tally, object, summary};
use webhooks::Webhooks;

/// For all followers to be open.
const OPENING_TIMEOUT: Duration = Duration::from_secs(180);

/// For the last events, after the last webhook.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

const POLL: Duration = Duration::from_millis(5);

fn main() {
    let options = Options::from_args();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, run(&options));
}

async fn run(options: &Options) {
    let plans = read_followers(&options.required::<String>("followers"));
    let hooks = read_hooks(&options.required::<String>("hooks"));
    let clients = plans.iter().map(|plan| plan.client).chain(hooks.iter().map(|(client, _)| *client));
    let clients = clients.max().map_or(0, |most| most + 1);
    let webhooks: String = options.required("webhooks");
    let (kind, address) = webhooks.split_once(':').expect("KIND:HOST:PORT");
    let (kind, address): (Kind, SocketAddr) = (kind.parse().expect("a kind"), address.parse().expect("an address"));
    let ca: Option<String> = options.optional("ca");
    let shared = Rc::new(Shared {
        client: Client::new(ca.as_deref()),
        tally: Tally::new(clients),
        opening: Semaphore::new(options.optional("opening").unwrap_or(200)),
        origin: Instant::now(),
        stopping: Cell::new(false),
    });
    let begin = Instant::now();
    let followers: Vec<Rc<Follower>> = plans.into_iter().map(Follower::new).collect();
    for follower in &followers {
        spawn_local(follower.clone().run(shared.clone()));
    }
    let all_open = async {
        while shared.tally.open.get() < followers.len() {
            sleep(POLL).await;
        }
    };
    let are_all_open = timeout(OPENING_TIMEOUT, all_open).await.is_ok();
    let open_seconds = begin.elapsed().as_secs_f64();
    println!("open");
    let rate = options.required("rate");
    let webhooks = Rc::new(Webhooks {
        kind,
        address,
        hooks,
        rate,
        begin: tokio::time::Instant::now(),
        next: Cell::new(0),
        stopping: Cell::new(rate == 0),
        micros: RefCell::default(),
    });
    for number in 0..options.optional("senders").unwrap_or(32) {
        spawn_local(webhooks.clone().send(number, shared.clone()));
    }
    sleep(Duration::from_secs(options.required("seconds"))).await;
    webhooks.stopping.set(true);
    let is_complete = drain(&shared.tally, &followers).await;
    shared.stopping.set(true);
    let outcome = Outcome { open_seconds, is_complete: are_all_open && is_complete, webhooks: webhooks.micros.take() };
    report(&shared.tally, &followers, outcome);
    std::process::exit(0);
}

/// Waits until every follower has what was stored for its client, and whether that is so.
async fn drain(tally: &Tally, followers: &[Rc<Follower>]) -> bool {
    let end = Instant::now() + DRAIN_TIMEOUT;
    // The webhooks that are in flight.
    sleep(Duration::from_secs(1)).await;
    while Instant::now() < end {
        if followers.iter().all(|follower| lacks(tally, follower) == EventSet::default()) {
            return true;
        }
        sleep(POLL * 20).await;
    }
    false
}

/// The difference between what was stored and what a follower has received.
fn lacks(tally: &Tally, follower: &Follower) -> EventSet {
    let (stored, seen) = (tally.stored.borrow()[follower.plan.client], follower.seen.get());
    EventSet { count: stored.count.wrapping_sub(seen.count), sum: stored.sum.wrapping_sub(seen.sum) }
}

/// What a run has shown apart from the tally.
struct Outcome {
    /// Until all followers were open.
    open_seconds: f64,
    /// Whether all were, and have got everything.
    is_complete: bool,
    /// The times of the webhooks in microseconds.
    webhooks: Vec<u32>,
}

fn report(tally: &Tally, followers: &[Rc<Follower>], mut outcome: Outcome) {
    let (mut lost, mut surplus, mut different) = (0, 0, 0);
    for follower in followers {
        let lacking = lacks(tally, follower);
        let count = lacking.count.cast_signed();
        lost += count.max(0);
        surplus += (-count).max(0);
        different += u64::from(lacking != EventSet::default());
    }
    let stored: u64 = tally.stored.borrow().iter().map(|set| set.count).sum();
    println!(
        "{{\"followers\":{},\"open\":{},\"most_open\":{},\"open_seconds\":{:.2},\"complete\":{},\"reconnects\":{},\
         \"stored\":{stored},\"lost\":{lost},\"surplus\":{surplus},\"different\":{different},\"repeated\":{},\
         \"unknown\":{},\"connects\":{},\"deliveries\":{},\"webhooks\":{},\"statuses\":{},\"faults\":{}}}",
        followers.len(),
        tally.open.get(),
        tally.most_open.get(),
        outcome.open_seconds,
        outcome.is_complete,
        tally.reconnects.get(),
        tally.repeated.get(),
        tally.unknown.get(),
        summary(&mut tally.connects_micros.borrow_mut()),
        summary(&mut tally.deliveries_micros.borrow_mut()),
        summary(&mut outcome.webhooks),
        object(&tally.statuses.borrow()),
        object(&tally.faults.borrow()),
    );
}

fn read_followers(path: &str) -> Vec<Plan> {
    let text = std::fs::read_to_string(path).expect("a file of followers");
    let plan = |line: &str| {
        let [kind, address, source, client, token] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}: a line has five words")
        };
        Plan {
            kind: kind.parse().expect("a kind"),
            address: address.parse().expect("an address"),
            source: source.parse().expect("a source address"),
            client: client.parse().expect("a number"),
            token: token.to_owned(),
        }
    };
    text.lines().map(plan).collect()
}

fn read_hooks(path: &str) -> Vec<(usize, String)> {
    let text = std::fs::read_to_string(path).expect("a file of hooks");
    let hook = |line: &str| {
        let (client, path) = line.split_once(' ').expect("two words");
        (client.parse().expect("a number"), path.to_owned())
    };
    text.lines().map(hook).collect()
}
