//! Hostile peers beside a load: slow and stalled ones, malformed requests, forged tokens, abrupt disconnects, floods of
//! resets.
//!
//!     hostile --address HOST:PORT --seconds N --token TOKEN --hook PATH [--ca FILE]
//!
//! The address uses TLS if `--ca` is given. The token and the hook are those of a client of these peers. Each peer
//! comes from an address of its own, so that limits of addresses do not end the attack. Prints one line of JSON: the
//! statuses of the responses by kind of attack.

mod attacks;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use docrelay_bench::client::{Client, Io, Kind};
use docrelay_bench::options::Options;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep, sleep_until};

/// What every attack needs.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) tls: bool,
    pub(crate) client: Client,
    pub(crate) token: String,
    pub(crate) hook: String,
    /// How often a response of a status, or another end, was seen by each kind of attack.
    outcomes: RefCell<BTreeMap<(&'static str, String), u64>>,
}

impl Target {
    pub(crate) fn count(&self, attack: &'static str, outcome: impl ToString) {
        *self.outcomes.borrow_mut().entry((attack, outcome.to_string())).or_default() += 1;
    }

    pub(crate) async fn connect(&self, kind: Kind, source: Ipv4Addr) -> std::io::Result<Box<dyn Io>> {
        let kind = match (kind, self.tls) {
            (Kind::Http1 | Kind::Http1Tls, true) => Kind::Http1Tls,
            (Kind::Http1 | Kind::Http1Tls, false) => Kind::Http1,
            (_, true) => Kind::Http2Tls,
            (_, false) => Kind::Http2,
        };
        self.client.connect(kind, self.address, source).await
    }
}

/// A source address of an attack: `127.<kind>.x.y`.
pub(crate) fn source(kind: u8, number: u64) -> Ipv4Addr {
    Ipv4Addr::new(127, kind, (number / 250 % 250) as u8, (number % 250) as u8 + 1)
}

fn main() {
    let options = Options::from_args();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let ca: Option<String> = options.optional("ca");
        let target = Rc::new(Target {
            address: options.required("address"),
            tls: ca.is_some(),
            client: Client::new(ca.as_deref()),
            token: options.required("token"),
            hook: options.required("hook"),
            outcomes: RefCell::default(),
        });
        start(&target);
        sleep(Duration::from_secs(options.required("seconds"))).await;
        report(&target);
    });
    std::process::exit(0);
}

fn start(target: &Rc<Target>) {
    // These hold their connections; each opens the next one when it is closed.
    for number in 0..300 {
        spawn_local(attacks::slow_head(target.clone(), number));
    }
    for number in 0..100 {
        spawn_local(attacks::slow_body(target.clone(), number));
        spawn_local(attacks::stalled_handshake(target.clone(), number));
        spawn_local(attacks::reader_that_stops(target.clone(), number));
    }
    // These come at a rate per second.
    spawn_local(at_rate(target.clone(), 50, attacks::malformed));
    spawn_local(at_rate(target.clone(), 200, attacks::bad_token));
    spawn_local(at_rate(target.clone(), 30, attacks::abrupt_end));
    spawn_local(at_rate(target.clone(), 2, attacks::rapid_reset));
}

/// Begins an attack this often, whether or not the earlier ones have ended.
async fn at_rate<F: Future<Output = ()> + 'static>(
    target: Rc<Target>,
    per_second: u64,
    attack: impl Fn(Rc<Target>, u64) -> F,
) {
    let begin = Instant::now();
    for number in 0.. {
        sleep_until(begin + Duration::from_millis(number * 1000 / per_second)).await;
        spawn_local(attack(target.clone(), number));
    }
}

fn report(target: &Target) {
    let mut json = String::from("{");
    let mut previous = "";
    for ((attack, outcome), count) in target.outcomes.borrow().iter() {
        let begin = match *attack == previous {
            true => ",".to_owned(),
            false => format!("{}\"{attack}\":{{", if previous.is_empty() { "" } else { "}," }),
        };
        // Writing to a string does not fail.
        let _ = write!(json, "{begin}\"{outcome}\":{count}");
        previous = attack;
    }
    println!("{json}{}}}", if previous.is_empty() { "" } else { "}" });
}
