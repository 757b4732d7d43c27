//! A client with a steady load, whose webhooks and deliveries are timed while another client causes a disturbance. It
//! posts messages of the vendor `gini` at a fixed rate, and is the endpoint of their deliveries in the format `gini`.
//!
//!     second_client --rate N
//!
//! Prints the port of its endpoint, and reads the relay's address and the path of the hook as one line. After that each
//! line is a number of seconds: messages that are due in that time are measured, and one line of JSON is printed when
//! all of them are delivered. A time begins when a message is due, not when it is sent, so that a relay that does not
//! respond is not excused for the messages that wait. Messages are sent between the measurements, too.

use std::collections::HashMap;
use std::io::{Error, Result, Write, stdin};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use docrelay_bench::http::{read_request, read_response};
use docrelay_bench::options::Options;
use docrelay_bench::quantile;
use docrelay_bench::random::Random;

const SENDERS: u32 = 8;
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long deliveries are awaited after the end of a measurement.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(60);

/// The bytes before a message's id in its body.
const BEFORE_ID: &str = "{\"documentId\":\"";
const ID_BYTES: usize = 36;

/// What is known of the messages of one measurement.
#[derive(Default)]
struct Measurement {
    /// When the messages were due that have not been delivered yet.
    pending: HashMap<String, Instant>,
    webhook_micros: Vec<u32>,
    delivery_micros: Vec<u32>,
    /// Whether messages are still added.
    open: bool,
    sending: usize,
    failure: Option<String>,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Measurement>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Measurement> {
        self.0.lock().expect("no thread panics with it")
    }
}

fn main() {
    let options = Options::from_args();
    let rate: u32 = options.required("rate");
    let shared = Shared::default();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    println!("{}", listener.local_addr().expect("a bound socket").port());
    let accepting = shared.clone();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let shared = accepting.clone();
            thread::spawn(move || receive(stream, &shared));
        }
    });
    let mut lines = stdin().lines().map_while(Result::ok);
    let Some(target) = lines.next() else { return };
    let (address, path) = target.split_once(' ').expect("an address and a path");
    let start = Instant::now();
    for number in 0..SENDERS {
        let sender = Sender {
            address: address.to_owned(),
            path: path.to_owned(),
            interval: Duration::from_secs(1) * SENDERS / rate,
            // They take turns.
            first: start + Duration::from_secs(1) / rate * number,
            random: Random::of_thread(u64::from(std::process::id()), u64::from(number)),
            shared: shared.clone(),
        };
        thread::spawn(move || sender.run());
    }
    for line in lines {
        println!("{}", measure(&shared, Duration::from_secs(line.parse().expect("a number of seconds"))));
    }
}

/// Measures for so long, waits for the deliveries, and returns JSON.
fn measure(shared: &Shared, duration: Duration) -> String {
    let failure = shared.lock().failure.take();
    *shared.lock() = Measurement { open: true, failure, ..Measurement::default() };
    thread::sleep(duration);
    shared.lock().open = false;
    let end = Instant::now() + DELIVERY_TIMEOUT;
    let is_complete = || {
        let measurement = shared.lock();
        measurement.sending == 0 && measurement.pending.is_empty()
    };
    while !is_complete() && Instant::now() < end {
        thread::sleep(Duration::from_millis(5));
    }
    let mut measurement = shared.lock();
    let Measurement { webhook_micros, delivery_micros, .. } = &mut *measurement;
    webhook_micros.sort_unstable();
    delivery_micros.sort_unstable();
    let millis = |sample: &[u32], share| f64::from(quantile::of_sorted(sample, share)) / 1000.0;
    format!(
        "{{\"sent\":{},\"undelivered\":{},\"webhook_p50\":{:.3},\"webhook_p99\":{:.3},\"delivery_p50\":{:.3},\
         \"delivery_p99\":{:.3},\"failure\":{:?}}}",
        webhook_micros.len(),
        measurement.pending.len(),
        millis(&measurement.webhook_micros, 0.5),
        millis(&measurement.webhook_micros, 0.99),
        millis(&measurement.delivery_micros, 0.5),
        millis(&measurement.delivery_micros, 0.99),
        measurement.failure.as_deref().unwrap_or_default(),
    )
}

struct Sender {
    address: String,
    path: String,
    interval: Duration,
    first: Instant,
    random: Random,
    shared: Shared,
}

impl Sender {
    fn run(mut self) {
        if let Err(error) = self.send() {
            self.shared.lock().failure.get_or_insert(error.to_string());
        }
    }

    fn send(&mut self) -> Result<()> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(RESPONSE_TIMEOUT))?;
        let mut buffer = Vec::with_capacity(4096);
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: ",
            self.path, self.address
        );
        let mut due = self.first;
        loop {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let id = self.random.uuid();
            let body = format!("{BEFORE_ID}{id}\",\"status\":\"COMPLETED\"}}");
            let measured = {
                let mut measurement = self.shared.lock();
                if measurement.open {
                    measurement.pending.insert(id.clone(), due);
                    measurement.sending += 1;
                }
                measurement.open
            };
            let request = format!("{head}{}\r\n\r\n{body}", body.len());
            stream.write_all(request.as_bytes())?;
            let status = read_response(&mut stream, &mut buffer)?;
            if status != 200 {
                return Err(Error::other(String::from_utf8_lossy(&buffer)));
            }
            if measured {
                let mut measurement = self.shared.lock();
                measurement.webhook_micros.push(micros_since(due));
                measurement.sending -= 1;
            }
            due += self.interval;
        }
    }
}

fn receive(mut stream: TcpStream, shared: &Shared) {
    stream.set_nodelay(true).expect("an option of the socket");
    let mut buffer = Vec::new();
    while let Ok(request) = read_request(&mut stream, &mut buffer) {
        let body = String::from_utf8_lossy(&request.body);
        if let Some(id) = body.strip_prefix(BEFORE_ID).and_then(|rest| rest.get(..ID_BYTES)) {
            let mut measurement = shared.lock();
            if let Some(due) = measurement.pending.remove(id) {
                measurement.delivery_micros.push(micros_since(due));
            }
        }
        if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").is_err() {
            return;
        }
    }
}

fn micros_since(instant: Instant) -> u32 {
    u32::try_from(instant.elapsed().as_micros()).unwrap_or(u32::MAX)
}
