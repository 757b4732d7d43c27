//! HTTP/1.1 responses: head, chunked bodies, and the forms of response that the relay's contract promises.

use serde_json::Value;

/// A response, or the head of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// In order, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// Without the framing of chunks.
    pub(crate) body: Vec<u8>,
}

impl Response {
    #[track_caller]
    pub(super) fn from_head(head: &[u8]) -> Self {
        let text = std::str::from_utf8(head).expect("a head in UTF-8");
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok());
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        Self {
            status: status.unwrap_or_else(|| panic!("no status line: {text}")),
            headers: lines.map(|line| header(line).unwrap_or_else(|| panic!("no header: {line}"))).collect(),
            body: Vec::new(),
        }
    }

    /// The value of a header; `None` when it is missing. Panics when it occurs twice.
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

    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body in UTF-8")
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// Asserts that a hook has stored an event, with the response that every vendor expects. Returns the event id.
#[track_caller]
pub(crate) fn stored_event_id(response: &Response) -> String {
    assert_eq!((response.status, response.text()), (200, "{}"), "{response:?}");
    assert_eq!(response.header("content-type"), Some("application/json"));
    response.header("docrelay-event-id").unwrap_or_else(|| panic!("no event id in {response:?}")).to_owned()
}

/// Asserts that a response is a problem document (RFC 9457) of this status. Returns its detail.
#[track_caller]
pub(crate) fn assert_problem(response: &Response, status: u16) -> String {
    assert_eq!(response.status, status, "{response:?} {}", String::from_utf8_lossy(&response.body));
    assert_eq!(response.header("content-type"), Some("application/problem+json"), "{response:?}");
    let json = response.json();
    assert_eq!(json["status"], status);
    assert!(json["title"].as_str().is_some_and(|title| !title.is_empty()), "{json}");
    assert!(response.header("x-request-id").is_some_and(|id| json["requestId"] == id), "{response:?}");
    string_at(&json, "detail")
}

/// The string under a key.
#[track_caller]
pub(crate) fn string_at(json: &Value, key: &str) -> String {
    json[key].as_str().unwrap_or_else(|| panic!("no string {key} in {json}")).to_owned()
}

/// The array under a key.
#[track_caller]
pub(crate) fn array_at(json: &Value, key: &str) -> Vec<Value> {
    json[key].as_array().unwrap_or_else(|| panic!("no array {key} in {json}")).clone()
}

/// Splits the raw bytes of a response into head and body, and removes the header lines that differ between requests.
#[track_caller]
pub(crate) fn split_response(bytes: &[u8]) -> (String, Vec<u8>) {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("the end of a head") + 4;
    let head = String::from_utf8(bytes[..end].to_vec()).expect("a head in UTF-8");
    let stable =
        head.split_inclusive("\r\n").filter(|line| !line.starts_with("x-request-id: ") && !line.starts_with("date: "));
    (stable.collect(), bytes[end..].to_vec())
}

/// Removes the framing of a chunked body, which may arrive in pieces of any size.
#[derive(Default)]
pub(crate) struct ChunkDecoder {
    /// Bytes of an incomplete chunk; after the last chunk, the bytes behind the body.
    pub(super) pending: Vec<u8>,
    /// Whether the last chunk has arrived.
    pub(crate) ended: bool,
}

impl ChunkDecoder {
    /// Returns the content of the chunks that these bytes complete.
    #[track_caller]
    pub(crate) fn decode(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.pending.extend(bytes);
        let mut content = Vec::new();
        while !self.ended {
            let Some(line) = self.pending.windows(2).position(|two| two == b"\r\n") else { break };
            let size = std::str::from_utf8(&self.pending[..line]).ok().and_then(|s| usize::from_str_radix(s, 16).ok());
            let size = size.unwrap_or_else(|| panic!("no chunk: {:?}", String::from_utf8_lossy(&self.pending)));
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
fn chunks_decode_in_pieces_of_any_size() {
    let framed = b"5\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\n\r\nrest";
    for size in 1..framed.len() {
        let mut decoder = ChunkDecoder::default();
        let content: Vec<u8> = framed.chunks(size).flat_map(|piece| decoder.decode(piece)).collect();
        assert_eq!(content, b"hello0123456789abcdef");
        assert!(decoder.ended);
        assert_eq!(decoder.pending, b"rest");
    }
}
