//! A customer's endpoint that answers at once: keep-alive, one thread for each connection, and a count of what came in
//! each tenth of a second. Standard library only: `rustc -O` builds it.
//!
//!     receiver
//!
//! Prints its port, then waits; when its standard input ends it prints one line of JSON and ends.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const STEP: Duration = Duration::from_millis(100);

struct Seen {
    began: Instant,
    /// What came in each step since the beginning.
    steps: Vec<u64>,
    /// Message ids, to tell repeats.
    ids: HashSet<String>,
    connections: u64,
}

fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    println!("{}", listener.local_addr().expect("bound").port());
    let seen =
        Arc::new(Mutex::new(Seen { began: Instant::now(), steps: Vec::new(), ids: HashSet::new(), connections: 0 }));
    let shared = seen.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let shared = shared.clone();
            shared.lock().expect("the count").connections += 1;
            std::thread::spawn(move || serve(stream, &shared));
        }
    });
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest).expect("the end of the input");
    let seen = seen.lock().expect("the count");
    let steps: Vec<String> = seen.steps.iter().map(u64::to_string).collect();
    println!(
        "{{\"received\":{},\"distinct\":{},\"connections\":{},\"tenths\":[{}]}}",
        seen.steps.iter().sum::<u64>(),
        seen.ids.len(),
        seen.connections,
        steps.join(",")
    );
}

fn serve(mut stream: TcpStream, seen: &Mutex<Seen>) {
    stream.set_nodelay(true).expect("an option of the socket");
    let (mut buffer, mut chunk) = (Vec::new(), [0; 16 * 1024]);
    loop {
        let whole = loop {
            if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
                let value = |name: &str| {
                    head.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
                };
                let length: usize = value("content-length:").and_then(|n| n.parse().ok()).unwrap_or(0);
                if buffer.len() >= end + 4 + length {
                    break (end + 4 + length, value("webhook-id:").unwrap_or_default());
                }
            }
            match stream.read(&mut chunk) {
                Ok(read) if read > 0 => buffer.extend_from_slice(&chunk[..read]),
                _ => return,
            }
        };
        buffer.drain(..whole.0);
        {
            let mut seen = seen.lock().expect("the count");
            let step = (seen.began.elapsed().as_millis() / STEP.as_millis()) as usize;
            if seen.steps.len() <= step {
                seen.steps.resize(step + 1, 0);
            }
            seen.steps[step] += 1;
            seen.ids.insert(whole.1);
        }
        if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").is_err() {
            return;
        }
    }
}
