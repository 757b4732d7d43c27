//! Keep-alive senders that post unique messages of the vendor `gini` to one hook. Each sender waits for the response
//! before it sends the next message.
//!
//!     webhook_sender --address HOST:PORT --path PATH --senders N (--seconds N | --events N) [--seed N] [--rate N]
//!         [--body TEXT] [--padding N] [--authorization VALUE]
//!
//! `--body` is another body than a message of Gini: `{uuid}` stands for a new id, `{padding}` for so many bytes.
//! `--rate` is the number of messages a second of all senders together; without it each sends as fast as it can. Prints
//! one line of JSON with the distribution of response times. Every response must have status 200 or 201; the first
//! other one is printed, and the exit status is 1.

use std::io::{Result, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use docrelay_bench::http::read_response;
use docrelay_bench::options::Options;
use docrelay_bench::quantile;
use docrelay_bench::random::Random;

/// A message of the vendor `gini`.
const BODY: &str = r#"{"documentId":"{uuid}","status":"COMPLETED","pages":12,"source":"report.docx"}"#;

const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// When a sender stops.
#[derive(Clone)]
enum End {
    At(Instant),
    /// When all senders together have taken this many events.
    Remaining(Arc<AtomicU64>),
}

impl End {
    fn is_reached(&self) -> bool {
        match self {
            End::At(instant) => Instant::now() >= *instant,
            End::Remaining(events) => {
                events.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err()
            }
        }
    }
}

struct Sender {
    address: String,
    end: End,
    /// The time between two messages of one sender.
    interval: Option<Duration>,
    random: Random,
    /// The request up to the value of `Content-Length`.
    head: String,
    /// `{uuid}` stands for an id of the message.
    body: String,
}

#[derive(Default)]
struct Outcome {
    response_micros: Vec<u32>,
    /// Responses with another status than 200 or 201.
    refused: u64,
    first_refusal: Option<String>,
}

fn main() {
    let options = Options::from_args();
    let senders: u64 = options.required("senders");
    let seed: u64 = options.optional("seed").unwrap_or(1);
    let rate: Option<f64> = options.optional("rate");
    let authorization: Option<String> = options.optional("authorization");
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n{}Content-Length: ",
        options.required::<String>("path"),
        options.required::<String>("address"),
        authorization.map(|value| format!("Authorization: {value}\r\n")).unwrap_or_default()
    );
    let body = options.optional("body").unwrap_or_else(|| BODY.to_owned());
    let body = body.replace("{padding}", &"x".repeat(options.optional("padding").unwrap_or(0)));
    let start = Instant::now();
    let end = match options.optional("seconds") {
        Some(seconds) => End::At(start + Duration::from_secs(seconds)),
        None => End::Remaining(Arc::new(AtomicU64::new(options.required("events")))),
    };
    let threads: Vec<_> = (0..senders)
        .map(|number| {
            let sender = Sender {
                address: options.required("address"),
                end: end.clone(),
                interval: rate.map(|rate| Duration::from_secs_f64(senders as f64 / rate)),
                random: Random::of_thread(seed, number),
                body: body.clone(),
                head: head.clone(),
            };
            std::thread::spawn(move || sender.run())
        })
        .collect();
    let mut all = Outcome::default();
    for thread in threads {
        let mut outcome = thread.join().expect("a sender panicked");
        all.response_micros.append(&mut outcome.response_micros);
        all.refused += outcome.refused;
        all.first_refusal = all.first_refusal.or(outcome.first_refusal);
    }
    let seconds = start.elapsed().as_secs_f64();

    all.response_micros.sort_unstable();
    let sent = all.response_micros.len();
    let millis = |share: f64| f64::from(quantile::of_sorted(&all.response_micros, share)) / 1000.0;
    println!(
        "{{\"sent\":{sent},\"refused\":{},\"seconds\":{seconds:.3},\"per_second\":{:.0},\
         \"p50_ms\":{:.3},\"p99_ms\":{:.3},\"p999_ms\":{:.3},\"max_ms\":{:.3}}}",
        all.refused,
        sent as f64 / seconds,
        millis(0.5),
        millis(0.99),
        millis(0.999),
        millis(1.0)
    );
    if let Some(refusal) = all.first_refusal {
        eprintln!("not every response was 200 or 201; the first other one: {refusal}");
        std::process::exit(1);
    }
}

impl Sender {
    /// Posts messages over one connection until the end.
    fn run(mut self) -> Outcome {
        let mut outcome = Outcome::default();
        if let Err(error) = self.send(&mut outcome) {
            outcome.refused += 1;
            outcome.first_refusal.get_or_insert(format!("no response: {error}"));
        }
        outcome
    }

    fn send(&mut self, outcome: &mut Outcome) -> Result<()> {
        let mut due = Instant::now();
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(RESPONSE_TIMEOUT))?;
        let mut buffer = Vec::with_capacity(4096);
        while !self.end.is_reached() {
            if let Some(interval) = self.interval {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                due += interval;
            }
            let body = self.body.replace("{uuid}", &self.random.uuid());
            let request = format!("{}{}\r\n\r\n{body}", self.head, body.len());
            let sent = Instant::now();
            stream.write_all(request.as_bytes())?;
            let status = read_response(&mut stream, &mut buffer)?;
            outcome.response_micros.push(u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX));
            if !matches!(status, 200 | 201) {
                outcome.refused += 1;
                outcome.first_refusal.get_or_insert_with(|| String::from_utf8_lossy(&buffer).into_owned());
            }
        }
        Ok(())
    }
}
