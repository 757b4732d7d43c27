//! Load generator for hubs of server-sent events: many subscribers of one channel or of many, and publishers.
//!
//!     ssebench --address HOST:PORT --subscribers N --events N [--publishers N] [--rate N] [--idle-ms N] [--pids PID,…]
//!              [--subscribe-address HOST:PORT] [--kind h1|h1-tls|h2-tls] [--ca FILE] [--channels FILE]
//!              [--replayed N] --subscribe REQUEST --publish-head HEAD --publish-body BODY
//!
//! Events are published to `--address`, and followed there or at `--subscribe-address`. `--kind` is how: publishers use
//! HTTP/1.1 in any case, with TLS if the subscribers do. `--subscribe` is a whole request, `--publish-head` a head in
//! which `{len}` stands for the length of the body, and `--publish-body` a body in which `{mark}` stands for the marker
//! by which deliveries are found, and `{n}` for a number of 12 digits. With `--channels`, each line of the file is a
//! channel, of two words: the first one replaces `{channel}` in `--subscribe`, the second one in `--publish-head`.
//! Subscribers and events go to the channels in turn. `--replayed` is the number of events that each subscriber gets by
//! its request alone. CPU time and memory of `--pids` and their
//! descendants are read from /proc, so a figure per delivery does not count the generator itself. Prints one line of
//! JSON.

mod channels;
mod http2;
mod publishers;
mod subscribers;
mod usage;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use docrelay_bench::client::{Client, Kind};
use docrelay_bench::options::Options;
use docrelay_bench::quantile;

use channels::Channels;
use publishers::{Plan, Progress};
use subscribers::Subscribers;

/// Ends the run when nothing has been delivered for this long.
const STALL_TIMEOUT: Duration = Duration::from_secs(15);

/// The server's CPU time after the last delivery belongs to the run, too.
const SETTLE_TIME: Duration = Duration::from_millis(50);

fn main() {
    let options = Options::from_args();
    let subscriber_count: usize = options.required("subscribers");
    let pids: String = options.optional("pids").unwrap_or_default();
    let pids: Vec<u32> =
        pids.split(',').filter(|pid| !pid.is_empty()).map(|pid| pid.parse().expect("a process id")).collect();
    let address = options.required("address");
    let kind = options.optional("kind").unwrap_or(Kind::Http1);
    let ca: Option<String> = options.optional("ca");
    let client = Client::new(ca.as_deref());
    let publishing = if client.tls(kind).is_some() { Kind::Http1Tls } else { Kind::Http1 };
    let channels = match options.optional::<String>("channels") {
        Some(path) => Channels::read(&path),
        None => Channels::one(),
    };
    let plan = Plan {
        address,
        tls: client.tls(publishing).cloned(),
        heads: channels.publish_heads(&options.required::<String>("publish-head")),
        body: options.required("publish-body"),
        events: options.required("events"),
        publishers: options.optional("publishers").unwrap_or(1),
        rate: options.optional("rate").unwrap_or(0),
        origin: Instant::now(),
    };

    let before = usage::of(&pids);
    let connecting = Instant::now();
    let subscribe: String = options.required("subscribe");
    let subscribe_address = options.optional("subscribe-address").unwrap_or(address);
    let requests: Vec<Vec<u8>> = channels
        .subscribe_requests(&subscribe)
        .map(|request| match kind {
            Kind::Http1 | Kind::Http1Tls => request.into_bytes(),
            Kind::Http2 | Kind::Http2Tls => http2::opening(&request),
        })
        .collect();
    let mut subscribers = Subscribers::connect(subscribe_address, client.tls(kind), &requests, subscriber_count);
    let connect_seconds = connecting.elapsed().as_secs_f64();
    subscribers.wait_for_replayed(options.optional("replayed").unwrap_or(0) * subscriber_count as u64);
    let replay_seconds = connecting.elapsed().as_secs_f64();
    std::thread::sleep(Duration::from_millis(options.optional("idle-ms").unwrap_or(500)));
    let idle = usage::of(&pids);

    let expected = channels.deliveries(plan.events, subscriber_count as u64);
    let mut latencies_micros: Vec<u32> = Vec::with_capacity(expected as usize);
    let progress = Progress::default();
    let start = plan.origin.elapsed();
    let mut last = start;
    std::thread::scope(|scope| {
        for publisher in 0..plan.publishers {
            let (plan, progress) = (&plan, &progress);
            scope.spawn(move || publishers::run(plan, publisher, progress));
        }
        while (latencies_micros.len() as u64) < expected && plan.origin.elapsed() - last < STALL_TIMEOUT {
            subscribers.deliveries(|now, published_nanos| {
                last = now - plan.origin;
                let nanos = (last.as_nanos() as u64).saturating_sub(published_nanos);
                latencies_micros.push(u32::try_from(nanos / 1000).unwrap_or(u32::MAX));
            });
        }
        progress.stop.store(true, Ordering::Relaxed);
    });
    std::thread::sleep(SETTLE_TIME);
    let after = usage::of(&pids);

    let delivered = latencies_micros.len();
    latencies_micros.sort_unstable();
    let millis = |share: f64| f64::from(quantile::of_sorted(&latencies_micros, share)) / 1000.0;
    let publish_seconds = progress.ended_nanos.into_inner() as f64 / 1e9 - start.as_secs_f64();
    let per = |amount: f64, count: f64| if count > 0.0 { amount / count } else { 0.0 };
    let subscribers_f = subscriber_count as f64;
    println!(
        "{{\"delivered\":{delivered},\"expected\":{expected},\"closed\":{},\"refused\":{},\
         \"connects_per_second\":{:.0},\"replay_seconds\":{replay_seconds:.3},\
         \"cpu_us_per_connect\":{:.1},\"memory_kib_per_subscriber\":{:.2},\
         \"deliveries_per_second\":{:.0},\"cpu_us_per_delivery\":{:.3},\"published_per_second\":{:.0},\
         \"p50_ms\":{:.2},\"p99_ms\":{:.2},\"p999_ms\":{:.2},\"max_ms\":{:.2}}}",
        subscribers.closed,
        progress.refused.into_inner(),
        per(subscribers_f, connect_seconds),
        per((idle.cpu_ms - before.cpu_ms) as f64 * 1000.0, subscribers_f),
        per(idle.memory_kib as f64 - before.memory_kib as f64, subscribers_f),
        per(delivered as f64, (last - start).as_secs_f64()),
        per((after.cpu_ms - idle.cpu_ms) as f64 * 1000.0, delivered as f64),
        per(plan.events as f64, publish_seconds),
        millis(0.5),
        millis(0.99),
        millis(0.999),
        millis(1.0),
    );
}
