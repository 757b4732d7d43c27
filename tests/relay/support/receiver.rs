//! A customer's endpoint: a small HTTP/1.1 server that keeps what it is sent and answers as the test says. Shares no code
//! with the relay.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{PATIENCE, spend};

/// What the relay sent.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// Since the receiver began.
    pub(crate) at: Duration,
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
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

/// What it is answered.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: &'static str,
    pub(crate) body: String,
    /// Before the answer begins.
    pub(crate) after: Duration,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self { status, headers: "", body: String::new(), after: Duration::ZERO }
    }
}

struct Log {
    began: Instant,
    received: Mutex<Vec<Received>>,
    more: Condvar,
    closed: AtomicBool,
    /// Connections that were made.
    connections: Mutex<usize>,
}

/// A running endpoint; it stops accepting when it is dropped.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    log: Arc<Log>,
}

impl Receiver {
    /// One that answers everything with 200.
    pub(crate) fn well() -> Self {
        Self::start(|_, _| Reply::status(200))
    }

    /// One that passes PPJ's handshake, and answers all else with 200.
    pub(crate) fn verified() -> Self {
        Self::start(|received, _| match received.parameter("nonce") {
            Some(nonce) => Reply { body: format!(r#"{{"nonce":"{nonce}"}}"#), ..Reply::status(200) },
            None => Reply::status(200),
        })
    }

    /// One that answers as `answer` says, which is told how many came before.
    pub(crate) fn start(answer: impl Fn(&Received, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let log = Arc::new(Log {
            began: Instant::now(),
            received: Mutex::default(),
            more: Condvar::new(),
            closed: AtomicBool::new(false),
            connections: Mutex::default(),
        });
        let (answer, shared) = (Arc::new(answer), log.clone());
        let accepting = move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.closed.load(Ordering::SeqCst) {
                    return;
                }
                *shared.connections.lock().expect("a count") += 1;
                let (answer, shared) = (answer.clone(), shared.clone());
                let serving = move || while serve(&stream, &shared, &*answer).is_some() {};
                thread::Builder::new().stack_size(256 << 10).spawn(serving).expect("a thread");
            }
        };
        thread::Builder::new().name("receiver".to_owned()).spawn(accepting).expect("a thread");
        Self { address, log }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Everything so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.log.received.lock().expect("the list").clone()
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        *self.log.connections.lock().expect("a count")
    }

    /// Everything, once it is `count` or more.
    #[track_caller]
    pub(crate) fn wait(&self, count: usize) -> Vec<Received> {
        self.wait_until(PATIENCE, |all| all.len() >= count)
    }

    /// Everything, once it is good.
    #[track_caller]
    pub(crate) fn wait_until(&self, within: Duration, good: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let all = self.log.received.lock().expect("the list");
        let (all, timeout) = self.log.more.wait_timeout_while(all, within, |all| !good(all)).expect("the list");
        let all = all.clone();
        assert!(!timeout.timed_out(), "only {} came: {all:#?}", all.len());
        all
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.log.closed.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        TcpStream::connect(self.address).ok();
    }
}

/// One request; `None` when there is none any more.
fn serve(stream: &TcpStream, log: &Log, answer: &impl Fn(&Received, usize) -> Reply) -> Option<()> {
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
    let received = Received { at: log.began.elapsed(), method, target, headers, body };
    let before = {
        let mut all = log.received.lock().expect("the list");
        all.push(received.clone());
        all.len() - 1
    };
    let reply = answer(&received, before);
    log.more.notify_all();
    spend(reply.after);
    let Reply { status, headers, body, .. } = reply;
    let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len());
    (&*stream).write_all(answer.as_bytes()).ok()
}
