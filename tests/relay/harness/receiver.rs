//! An endpoint for deliveries: a small HTTP/1.1 server that records requests and answers as the test decides. It shares
//! no code with the relay.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{TIMEOUT, delay, spawn_thread};

/// A recorded request.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// Time since the receiver started.
    pub(crate) at: Duration,
    /// When the response was about to be written, or the peer had closed the connection; `None` before.
    #[allow(dead_code, reason = "the tests of a cluster read it")]
    pub(crate) ended: Option<Ended>,
    #[allow(dead_code, reason = "the tests of a cluster read it")]
    pub(crate) peer: IpAddr,
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// The end of a request.
#[derive(Debug, Clone, Copy)]
#[allow(dead_code, reason = "the tests of a cluster read it")]
pub(crate) struct Ended {
    pub(crate) at: Duration,
    /// The status of the response; `None` if the peer did not wait for it.
    pub(crate) status: Option<u16>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// A parameter of the query, percent-decoded.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        form_urlencoded::parse(query.as_bytes()).find(|(n, _)| n == name).map(|(_, value)| value.into_owned())
    }
}

/// The response to a request.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Header lines, each with its line break.
    pub(crate) headers: &'static str,
    pub(crate) body: String,
    /// Delay before the response.
    pub(crate) after: Duration,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self { status, headers: "", body: String::new(), after: Duration::ZERO }
    }
}

struct Log {
    started: Instant,
    received: Mutex<Vec<Received>>,
    grown: Condvar,
    closed: AtomicBool,
    connections: Mutex<usize>,
}

/// A running endpoint. Dropping it closes the listener.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    log: Arc<Log>,
}

impl Receiver {
    /// Answers every request with 200.
    pub(crate) fn ok() -> Self {
        Self::start(|_, _| Reply::status(200))
    }

    /// Passes PPJ's handshake and answers every other request with 200.
    pub(crate) fn passing_handshake() -> Self {
        Self::start(|received, _| match received.parameter("nonce") {
            Some(nonce) => Reply { body: format!(r#"{{"nonce":"{nonce}"}}"#), ..Reply::status(200) },
            None => Reply::status(200),
        })
    }

    /// Answers every request with an HTML page.
    pub(crate) fn serving_page(page: String) -> Self {
        Self::start(move |_, _| Reply {
            headers: "Content-Type: text/html; charset=utf-8\r\n",
            body: page.clone(),
            ..Reply::status(200)
        })
    }

    /// Answers each request with the result of `respond`, which also gets the number of earlier requests.
    pub(crate) fn start(respond: impl Fn(&Received, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let log = Arc::new(Log {
            started: Instant::now(),
            received: Mutex::default(),
            grown: Condvar::new(),
            closed: AtomicBool::new(false),
            connections: Mutex::default(),
        });
        let (respond, shared) = (Arc::new(respond), log.clone());
        let accepting = move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.closed.load(Ordering::SeqCst) {
                    return;
                }
                *shared.connections.lock().expect("a count") += 1;
                let (respond, shared) = (respond.clone(), shared.clone());
                let serving = move || while serve(&stream, &shared, &*respond).is_some() {};
                thread::Builder::new().stack_size(256 << 10).spawn(serving).expect("a thread");
            }
        };
        spawn_thread("receiver", accepting);
        Self { address, log }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// When the receiver started.
    #[allow(dead_code, reason = "the tests of a cluster use it")]
    pub(crate) fn started(&self) -> Instant {
        self.log.started
    }

    /// The requests so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.log.received.lock().expect("the list").clone()
    }

    /// The number of accepted connections.
    pub(crate) fn connections(&self) -> usize {
        *self.log.connections.lock().expect("a count")
    }

    /// Waits for `count` requests or more. Returns all requests.
    #[track_caller]
    pub(crate) fn wait(&self, count: usize) -> Vec<Received> {
        self.wait_until(TIMEOUT, |all| all.len() >= count)
    }

    /// Waits until the requests satisfy the condition. Returns all requests.
    #[track_caller]
    pub(crate) fn wait_until(&self, timeout: Duration, condition: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let all = self.log.received.lock().expect("the list");
        let (all, result) = self.log.grown.wait_timeout_while(all, timeout, |all| !condition(all)).expect("the list");
        let all = all.clone();
        assert!(!result.timed_out(), "only {} requests: {all:#?}", all.len());
        all
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.log.closed.store(true, Ordering::SeqCst);
        // Wakes the accepting thread.
        TcpStream::connect(self.address).ok();
    }
}

/// Serves one request; `None` at the end of the connection.
fn serve(stream: &TcpStream, log: &Log, respond: &impl Fn(&Received, usize) -> Reply) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or(Some(0), |(_, n)| n.parse().ok())?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let peer = stream.peer_addr().ok()?.ip();
    let received = Received { at: log.started.elapsed(), ended: None, peer, method, target, headers, body };
    let before = {
        let mut all = log.received.lock().expect("the list");
        all.push(received.clone());
        all.len() - 1
    };
    let reply = respond(&received, before);
    log.grown.notify_all();
    let Reply { status, headers, body, after } = reply;
    let response = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len());
    let is_closed = peer_closes_within(stream, after);
    // Before the response is written: the peer may send its next request as soon as it has it.
    let at = log.started.elapsed();
    let written = if is_closed { None } else { (&*stream).write_all(response.as_bytes()).ok() };
    let ended = Ended { at, status: written.map(|()| status) };
    log.received.lock().expect("the list")[before].ended = Some(ended);
    written
}

/// Waits this long, or until the peer closes the connection. Returns whether it does.
fn peer_closes_within(stream: &TcpStream, time: Duration) -> bool {
    if time.is_zero() {
        return false;
    }
    let deadline = Instant::now() + time;
    stream.set_read_timeout(Some(time)).expect("a socket option");
    let is_closed = match stream.peek(&mut [0]) {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    };
    stream.set_read_timeout(None).expect("a socket option");
    if !is_closed {
        delay(deadline.saturating_duration_since(Instant::now()));
    }
    is_closed
}
