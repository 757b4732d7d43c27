//! An endpoint that answers each webhook at once: keep-alive, one thread for each connection. Counts what arrives in
//! each tenth of a second, and how many different message ids there are.
//!
//!     webhook_receiver
//!
//! Prints its port. When its standard input ends, it prints one line of JSON and ends.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use docrelay_bench::http::read_request;

const STEP: Duration = Duration::from_millis(100);

struct Received {
    began: Instant,
    /// Requests in each step since the beginning.
    steps: Vec<u64>,
    /// Message ids: what has been received twice is found by them.
    ids: HashSet<String>,
    connections: u64,
}

fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    println!("{}", listener.local_addr().expect("a bound socket").port());
    let received = Received { began: Instant::now(), steps: Vec::new(), ids: HashSet::new(), connections: 0 };
    let received = Arc::new(Mutex::new(received));
    let shared = received.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let shared = shared.clone();
            shared.lock().expect("the counts").connections += 1;
            std::thread::spawn(move || serve(stream, &shared));
        }
    });
    std::io::stdin().read_to_end(&mut Vec::new()).expect("the end of the input");
    let received = received.lock().expect("the counts");
    println!(
        "{{\"received\":{},\"distinct\":{},\"connections\":{},\"tenths\":{:?}}}",
        received.steps.iter().sum::<u64>(),
        received.ids.len(),
        received.connections,
        received.steps
    );
}

fn serve(mut stream: TcpStream, received: &Mutex<Received>) {
    stream.set_nodelay(true).expect("an option of the socket");
    let mut buffer = Vec::new();
    while let Ok(request) = read_request(&mut stream, &mut buffer) {
        {
            let mut received = received.lock().expect("the counts");
            let step = (received.began.elapsed().as_millis() / STEP.as_millis()) as usize;
            if received.steps.len() <= step {
                received.steps.resize(step + 1, 0);
            }
            received.steps[step] += 1;
            received.ids.insert(request.head.value("webhook-id").unwrap_or_default().to_owned());
        }
        if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").is_err() {
            return;
        }
    }
}
