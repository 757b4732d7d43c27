//! HTTP/1.1 by hand: exact bytes out, exact bytes in. Knows nothing of the relay, and shares no code with it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::PATIENCE;

/// One connection.
pub(crate) struct Wire {
    stream: TcpStream,
    /// Read from the connection and not yet taken.
    pending: Vec<u8>,
}

/// What reading brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Came {
    /// Some bytes.
    Bytes(Vec<u8>),
    /// The other side is done, orderly or by a reset.
    End,
    /// Nothing in the time given.
    Nothing,
}

impl Wire {
    /// Connects.
    #[track_caller]
    pub(crate) fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&to, PATIENCE).expect("a connection");
        stream.set_nodelay(true).expect("an option of the socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("an option of the socket");
        Self { stream, pending: Vec::new() }
    }

    /// Sends these bytes.
    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("bytes on their way");
    }

    /// Sends these bytes, where the other side may have hung up already.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Says that nothing more will be sent, and goes on reading.
    #[track_caller]
    pub(crate) fn finish_sending(&self) {
        self.stream.shutdown(Shutdown::Write).expect("half an end");
    }

    /// Ends the connection with a reset, as a process that dies with unread bytes does.
    #[track_caller]
    pub(crate) fn reset(self) {
        rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO)).expect("an option of the socket");
    }

    /// The socket; what was read and not taken is lost.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Makes the kernel keep few bytes for a reader that does not read.
    #[track_caller]
    pub(crate) fn keep_little(&self) {
        rustix::net::sockopt::set_socket_recv_buffer_size(&self.stream, 4096).expect("an option of the socket");
    }

    /// Sends a request and reads its answer.
    #[track_caller]
    pub(crate) fn ask(&mut self, request: &Request) -> Answer {
        self.send(request.bytes());
        self.answer(request.method == "HEAD")
    }

    /// The next bytes, whatever they are.
    pub(crate) fn read(&mut self, within: Duration) -> Came {
        if !self.pending.is_empty() {
            return Came::Bytes(std::mem::take(&mut self.pending));
        }
        let deadline = Instant::now() + within;
        let mut chunk = vec![0; 64 * 1024];
        loop {
            // A time-out of zero would mean none at all.
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.stream.set_read_timeout(Some(left)).expect("an option of the socket");
            match self.stream.read(&mut chunk) {
                Ok(0) => return Came::End,
                Ok(n) => return Came::Bytes(chunk[..n].to_vec()),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Came::Nothing,
                Err(_) => return Came::End,
            }
        }
    }

    /// Everything until the other side ends.
    #[track_caller]
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            match self.read(PATIENCE) {
                Came::Bytes(bytes) => all.extend(bytes),
                Came::End => return all,
                Came::Nothing => panic!("no end after {:?}", String::from_utf8_lossy(&all)),
            }
        }
    }

    /// Whether the other side ends the connection; bytes before that are thrown away.
    pub(crate) fn ends(&mut self) -> bool {
        loop {
            match self.read(PATIENCE) {
                Came::Bytes(_) => {}
                Came::End => return true,
                Came::Nothing => return false,
            }
        }
    }

    /// The head of an answer; what follows it stays unread.
    #[track_caller]
    pub(crate) fn head(&mut self) -> Answer {
        let mut read = Vec::new();
        loop {
            if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                self.pending = read.split_off(end + 4);
                return Answer::from_head(&read[..end]);
            }
            match self.read(PATIENCE) {
                Came::Bytes(bytes) => read.extend(bytes),
                other => panic!("{other:?} instead of a head, after {:?}", String::from_utf8_lossy(&read)),
            }
        }
    }

    /// A whole answer; one to HEAD has no body.
    #[track_caller]
    pub(crate) fn answer(&mut self, bodiless: bool) -> Answer {
        let mut answer = self.head();
        if bodiless || matches!(answer.status, 100..200 | 204 | 304) {
            return answer;
        }
        let length: Option<usize> = answer.header("content-length").map(|n| n.parse().expect("a length"));
        let mut chunks = answer.is_chunked().then(Chunks::default);
        while length != Some(answer.body.len()) && chunks.as_ref().is_none_or(|c| !c.ended) {
            match self.read(PATIENCE) {
                Came::Bytes(bytes) => match (&mut chunks, length) {
                    (Some(chunks), _) => answer.body.extend(chunks.decode(&bytes)),
                    (None, Some(length)) => {
                        let mine = bytes.len().min(length - answer.body.len());
                        answer.body.extend(&bytes[..mine]);
                        self.pending = bytes[mine..].to_vec();
                    }
                    (None, None) => answer.body.extend(bytes),
                },
                Came::End if length.is_none() && chunks.is_none() => break,
                other => panic!("{other:?} in the middle of {answer:?}"),
            }
        }
        if let Some(chunks) = chunks {
            self.pending = chunks.pending;
        }
        answer
    }
}

/// The `Host` of every request.
pub(crate) const HOST: &str = "relay.test";

/// A request to be written down.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    method: &'static str,
    target: String,
    version: &'static str,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Request {
    /// Any method.
    pub(crate) fn new(method: &'static str, target: &str) -> Self {
        Self { method, target: target.to_owned(), version: "HTTP/1.1", headers: Vec::new(), body: None }
    }

    /// GET.
    pub(crate) fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// POST.
    pub(crate) fn post(target: &str) -> Self {
        Self::new("POST", target)
    }

    /// In HTTP/1.0.
    pub(crate) fn http_1_0(mut self) -> Self {
        self.version = "HTTP/1.0";
        self
    }

    /// The same to another address.
    pub(crate) fn to(mut self, target: &str) -> Self {
        self.target = target.to_owned();
        self
    }

    /// With one more header line.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With `Authorization: Bearer`.
    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// With these bytes as the body.
    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// With a JSON body.
    pub(crate) fn json(self, body: &str) -> Self {
        self.header("Content-Type", "application/json").body(body)
    }

    /// With a form as the body.
    pub(crate) fn form(self, body: &str) -> Self {
        self.header("Content-Type", "application/x-www-form-urlencoded").body(body)
    }

    /// As it goes over the wire; `Host` and `Content-Length` are added.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {} {}\r\nHost: {HOST}\r\n", self.method, self.target, self.version);
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        if let Some(body) = &self.body {
            text += &format!("Content-Length: {}\r\n", body.len());
        }
        text += "\r\n";
        [text.as_bytes(), self.body.as_deref().unwrap_or_default()].concat()
    }
}

/// An answer, or the head of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In order, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// Decoded, when it came in chunks.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    #[track_caller]
    fn from_head(head: &[u8]) -> Self {
        let text = std::str::from_utf8(head).expect("a head is text");
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok());
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        Self {
            status: status.unwrap_or_else(|| panic!("not an answer: {text}")),
            headers: lines.map(|line| header(line).unwrap_or_else(|| panic!("not a header: {line}"))).collect(),
            body: Vec::new(),
        }
    }

    /// The value of a header that occurs once; `None` when it is missing.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str());
        let value = values.next();
        assert_eq!(values.next(), None, "{name} occurs twice in {self:?}");
        value
    }

    pub(crate) fn is_chunked(&self) -> bool {
        self.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    }

    /// The body as text.
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body that is text")
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// Takes the chunks' framing off, in whatever pieces the bytes come.
#[derive(Default)]
pub(crate) struct Chunks {
    /// Not yet understood; after the end, what follows it.
    pending: Vec<u8>,
    /// Whether the closing chunk has come.
    pub(crate) ended: bool,
}

impl Chunks {
    /// The content in these and earlier bytes, as far as its chunks are complete.
    #[track_caller]
    pub(crate) fn decode(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.pending.extend(bytes);
        let mut content = Vec::new();
        while !self.ended {
            let Some(line) = self.pending.windows(2).position(|two| two == b"\r\n") else { break };
            let size = std::str::from_utf8(&self.pending[..line]).ok().and_then(|s| usize::from_str_radix(s, 16).ok());
            let size = size.unwrap_or_else(|| panic!("not a chunk: {:?}", String::from_utf8_lossy(&self.pending)));
            let (from, to) = (line + 2, line + 2 + size);
            if self.pending.len() < to + 2 {
                break;
            }
            assert_eq!(&self.pending[to..to + 2], b"\r\n", "a chunk ends with a line break");
            content.extend(&self.pending[from..to]);
            self.pending.drain(..to + 2);
            self.ended = size == 0;
        }
        content
    }
}

#[test]
fn chunks_are_understood_in_whatever_pieces_they_come() {
    let framed = b"5\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\n\r\nrest";
    for size in 1..framed.len() {
        let mut chunks = Chunks::default();
        let content: Vec<u8> = framed.chunks(size).flat_map(|piece| chunks.decode(piece)).collect();
        assert_eq!(content, b"hello0123456789abcdef");
        assert!(chunks.ended);
        assert_eq!(chunks.pending, b"rest");
    }
}
