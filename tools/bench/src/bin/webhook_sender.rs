//! Keep-alive senders that post unique messages of the vendor `gini` to one hook. Each sender waits for the response
//! before it sends the next message.
//!
//!     webhook_sender --address HOST:PORT --path PATH --senders N (--seconds N | --events N) [--seed N] [--rate N]
//!
//! `--rate` is the number of messages a second of all senders together; without it each sends as fast as it can. Prints
//! one line of JSON with the distribution of response times. Every response must have status 200; the first other one is
//! printed, and the exit status is 1.

use std::io::{Result, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use docrelay_bench::http::read_response;
use docrelay_bench::options::Options;
use docrelay_bench::quantile;

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

/// xorshift64*: ids have to be scattered and different, not secret.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A UUID of version 4.
    fn uuid(&mut self) -> String {
        let (a, b) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xffff,
            a & 0xfff,
            0x8000 | (b >> 48) & 0x3fff,
            b & 0xffff_ffff_ffff
        )
    }
}

struct Sender {
    address: String,
    path: String,
    end: End,
    /// The time between two messages of one sender.
    interval: Option<Duration>,
    random: Random,
}

#[derive(Default)]
struct Outcome {
    response_micros: Vec<u32>,
    /// Responses with another status than 200.
    refused: u64,
    first_refusal: Option<String>,
}

fn main() {
    let options = Options::from_args();
    let senders: u64 = options.required("senders");
    let seed: u64 = options.optional("seed").unwrap_or(1);
    let rate: Option<f64> = options.optional("rate");
    let start = Instant::now();
    let end = match options.optional("seconds") {
        Some(seconds) => End::At(start + Duration::from_secs(seconds)),
        None => End::Remaining(Arc::new(AtomicU64::new(options.required("events")))),
    };
    let threads: Vec<_> = (0..senders)
        .map(|number| {
            // Two multiplications keep the senders far apart in the generator's sequence, whatever the seed.
            let random =
                Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (number + 1).wrapping_mul(0xD1B5_4A32_D192_ED03));
            let sender = Sender {
                address: options.required("address"),
                path: options.required("path"),
                end: end.clone(),
                interval: rate.map(|rate| Duration::from_secs_f64(senders as f64 / rate)),
                random,
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
        eprintln!("not every response was 200; the first other one: {refusal}");
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
            let body = format!(
                "{{\"documentId\":\"{}\",\"status\":\"COMPLETED\",\"pages\":12,\"source\":\"report.docx\"}}",
                self.random.uuid()
            );
            let request = format!(
                "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                self.path,
                self.address,
                body.len()
            );
            let sent = Instant::now();
            stream.write_all(request.as_bytes())?;
            let status = read_response(&mut stream, &mut buffer)?;
            outcome.response_micros.push(u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX));
            if status != 200 {
                outcome.refused += 1;
                outcome.first_refusal.get_or_insert_with(|| String::from_utf8_lossy(&buffer).into_owned());
            }
        }
        Ok(())
    }
}
