//! Many keep-alive senders that post unique Gini messages to one hook, each as fast as it is answered, and the exact
//! distribution of the answers' times. Standard library only: `rustc -O` builds it, the relay's tree stays as it is.
//!
//!     sender ADDRESS PATH SENDERS (seconds|events) NUMBER SEED [RATE]
//!
//! With a rate, all senders together post so many a second, each in step. Prints one line of JSON. Every answer must be `200`; the first that is not is shown, and the exit status is 1.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A sender gives up on an answer after this.
const PATIENCE: Duration = Duration::from_secs(30);

/// When a sender stops.
#[derive(Clone)]
enum End {
    At(Instant),
    /// When the events that are left to all senders together have been taken.
    Shared(Arc<AtomicU64>),
}

impl End {
    fn reached(&self) -> bool {
        match self {
            End::At(instant) => Instant::now() >= *instant,
            End::Shared(left) => {
                left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err()
            }
        }
    }
}

/// xorshift64*: the ids only have to be scattered and never the same.
struct Scatter(u64);

impl Scatter {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Two random halves, in the form of a UUID of version 4.
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

#[derive(Default)]
struct Outcome {
    /// Of each answer, in microseconds.
    micros: Vec<u32>,
    /// Answers that were not `200`.
    refused: u64,
    first_refusal: Option<String>,
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let ([address, path, senders, unit, number, seed], rate) = match words.as_slice() {
        [first @ .., rate] if words.len() == 7 => (first.try_into().expect("six words"), Some(rate)),
        all if words.len() == 6 => (<&[String; 6]>::try_from(all).expect("six words"), None),
        _ => {
            eprintln!("usage: sender ADDRESS PATH SENDERS (seconds|events) NUMBER SEED [RATE]");
            std::process::exit(2);
        }
    };
    let parse = |word: &String| word.parse::<u64>().unwrap_or_else(|_| panic!("{word} is not a number"));
    let (senders, number, seed) = (parse(senders), parse(number), parse(seed));
    let pace = rate.map(|rate| Duration::from_secs_f64(senders as f64 / parse(rate) as f64));

    let start = Instant::now();
    let end = match unit.as_str() {
        "seconds" => End::At(start + Duration::from_secs(number)),
        _ => End::Shared(Arc::new(AtomicU64::new(number))),
    };
    let threads: Vec<_> = (0..senders)
        .map(|sender| {
            let (address, path, end) = (address.clone(), path.clone(), end.clone());
            // Far apart in the generator's sequence, whatever the seed.
            let scatter =
                Scatter(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (sender + 1).wrapping_mul(0xD1B5_4A32_D192_ED03));
            std::thread::spawn(move || send((&address, &path), &end, pace, scatter))
        })
        .collect();
    let mut all = Outcome::default();
    for thread in threads {
        let mut outcome = thread.join().expect("a sender panicked");
        all.micros.append(&mut outcome.micros);
        all.refused += outcome.refused;
        all.first_refusal = all.first_refusal.or(outcome.first_refusal);
    }
    let seconds = start.elapsed().as_secs_f64();

    all.micros.sort_unstable();
    let count = all.micros.len();
    // The smallest time that this share of the answers did not exceed.
    let quantile = |share: f64| match count {
        0 => 0.0,
        _ => f64::from(all.micros[((count as f64 * share).ceil() as usize).clamp(1, count) - 1]) / 1000.0,
    };
    println!(
        "{{\"sent\":{count},\"refused\":{},\"seconds\":{seconds:.3},\"per_second\":{:.0},\
         \"p50_ms\":{:.3},\"p99_ms\":{:.3},\"p999_ms\":{:.3},\"max_ms\":{:.3}}}",
        all.refused,
        count as f64 / seconds,
        quantile(0.5),
        quantile(0.99),
        quantile(0.999),
        quantile(1.0)
    );
    if let Some(refusal) = all.first_refusal {
        eprintln!("not every answer was 200; the first other one: {refusal}");
        std::process::exit(1);
    }
}

/// One sender: connects once, and posts until the end.
fn send(to: (&str, &str), end: &End, pace: Option<Duration>, mut scatter: Scatter) -> Outcome {
    let mut outcome = Outcome::default();
    if let Err(error) = try_send(to, end, pace, &mut scatter, &mut outcome) {
        outcome.refused += 1;
        outcome.first_refusal.get_or_insert(format!("no answer at all: {error}"));
    }
    outcome
}

fn try_send(
    (address, path): (&str, &str),
    end: &End,
    pace: Option<Duration>,
    scatter: &mut Scatter,
    outcome: &mut Outcome,
) -> Result<()> {
    let mut next = Instant::now();
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut buffer = Vec::with_capacity(4096);
    while !end.reached() {
        if let Some(pace) = pace {
            while next > Instant::now() {
                std::thread::park_timeout(next.saturating_duration_since(Instant::now()));
            }
            next += pace;
        }
        let body = format!(
            "{{\"documentId\":\"{}\",\"status\":\"COMPLETED\",\"pages\":12,\"source\":\"report.docx\"}}",
            scatter.uuid()
        );
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let sent = Instant::now();
        stream.write_all(request.as_bytes())?;
        let status = answer(&mut stream, &mut buffer)?;
        outcome.micros.push(u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX));
        if status != 200 {
            outcome.refused += 1;
            outcome.first_refusal.get_or_insert_with(|| String::from_utf8_lossy(&buffer).into_owned());
        }
    }
    Ok(())
}

/// Reads one answer whole; its length must be given.
fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<u16> {
    let odd = |what: &str| Error::new(ErrorKind::InvalidData, what.to_owned());
    buffer.clear();
    let mut chunk = [0; 4096];
    loop {
        let read = stream.read(&mut chunk)?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        buffer.extend_from_slice(&chunk[..read]);
        let Some(head) = buffer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&buffer[..head]).map_err(|_| odd("a head that is not text"))?;
        let status = text.get(9..12).and_then(|s| s.parse().ok()).ok_or_else(|| odd("no status"))?;
        let length: usize = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse().ok())
            .ok_or_else(|| odd("an answer without a length"))?;
        if buffer.len() >= head + 4 + length {
            return Ok(status);
        }
    }
}
