//! Publishers: threads that post events over keep-alive connections and wait for each response.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use docrelay_bench::http::read_response;
use docrelay_bench::marker;
use docrelay_bench::tls::Socket;
use tokio_rustls::rustls::ClientConfig;

/// What is published, and how fast.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// The head of the request to each channel; `{len}` stands for the length of the body.
    pub(crate) heads: Vec<String>,
    /// The body; `{mark}` stands for the marker, `{n}` for the number of the event with 12 digits.
    pub(crate) body: String,
    pub(crate) events: u64,
    pub(crate) publishers: u64,
    /// Events a second of all publishers together; 0 for as fast as responses come.
    pub(crate) rate: u64,
    /// The origin of the markers' times.
    pub(crate) origin: Instant,
}

/// What the publishers share with the main thread.
#[derive(Default)]
pub(crate) struct Progress {
    /// Set by the main thread when nothing is delivered any more.
    pub(crate) stop: AtomicBool,
    /// Responses with a status outside 2xx.
    pub(crate) refused: AtomicU64,
    /// When the last publisher ended, in nanoseconds after the origin.
    pub(crate) ended_nanos: AtomicU64,
}

/// Publishes the events whose number leaves the remainder `publisher`.
pub(crate) fn run(plan: &Plan, publisher: u64, progress: &Progress) {
    let mut stream = Socket::connect(plan.address, plan.tls.as_ref()).expect("a connection to publish on");
    let mut response = Vec::new();
    let begin = Instant::now();
    for number in (publisher..plan.events).step_by(plan.publishers as usize) {
        if progress.stop.load(Ordering::Relaxed) {
            break;
        }
        if let Some(due) = (number * 1_000_000_000).checked_div(plan.rate) {
            std::thread::sleep(Duration::from_nanos(due).saturating_sub(begin.elapsed()));
        }
        let mark = marker::format(plan.origin.elapsed().as_nanos() as u64);
        let body = plan.body.replace("{n}", &format!("{number:012}")).replace("{mark}", &mark);
        let head = &plan.heads[number as usize % plan.heads.len()];
        let request = head.replace("{len}", &body.len().to_string()) + &body;
        stream.write_all(request.as_bytes()).expect("a request that is sent");
        let status = read_response(&mut stream, &mut response).expect("a response");
        if !(200..300).contains(&status) && progress.refused.fetch_add(1, Ordering::Relaxed) == 0 {
            eprintln!("a publisher got {status}: {}", String::from_utf8_lossy(&response));
        }
    }
    progress.ended_nanos.fetch_max(plan.origin.elapsed().as_nanos() as u64, Ordering::Relaxed);
}
