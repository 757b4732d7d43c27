//! HTTP/1.1 over a blocking socket: one message at a time, without pipelining.

use std::io::{Error, ErrorKind, Read, Result};

const HEAD_END: &[u8] = b"\r\n\r\n";
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Reads one response with a `Content-Length`, a chunked body or status 204 into `buffer`, and returns its status.
///
/// # Errors
///
/// What the socket reports, and `UnexpectedEof` or `InvalidData` for a response that is cut off or not understood.
pub fn read_response(stream: &mut impl Read, buffer: &mut Vec<u8>) -> Result<u16> {
    buffer.clear();
    let head_end = read_head(stream, buffer)?;
    let head = Head::new(&buffer[..head_end])?;
    let status = head.0.get(9..12).and_then(|status| status.parse().ok()).ok_or_else(|| invalid("no status"))?;
    if status == 204 {
        return Ok(status);
    }
    match head.value("content-length").map(str::parse::<usize>) {
        Some(Ok(length)) => read_until(stream, buffer, |buffer| buffer.len() >= head_end + length)?,
        Some(Err(_)) => return Err(invalid("a length that is not a number")),
        None if head.value("transfer-encoding") == Some("chunked") => {
            read_until(stream, buffer, |buffer| buffer.ends_with(LAST_CHUNK))?;
        }
        None => return Err(invalid("a response without a length")),
    }
    Ok(status)
}

/// Reads one request with a `Content-Length` from `stream`, and removes it from `buffer`, which holds
/// what has been read beyond the previous request.
///
/// # Errors
///
/// What the socket reports, and `UnexpectedEof` or `InvalidData` for a request that is cut off or not understood.
pub fn read_request(stream: &mut impl Read, buffer: &mut Vec<u8>) -> Result<Request> {
    let head_end = read_head(stream, buffer)?;
    let head = Head::new(&buffer[..head_end])?;
    let length: usize = head.value("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    read_until(stream, buffer, |buffer| buffer.len() >= head_end + length)?;
    let body = buffer.drain(..head_end + length).skip(head_end).collect();
    Ok(Request { head, body })
}

/// A request with its body.
pub struct Request {
    pub head: Head,
    pub body: Vec<u8>,
}

/// The start line and the fields of a message, as they were sent.
pub struct Head(String);

impl Head {
    fn new(bytes: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(bytes).map_err(|_| invalid("a head that is not text"))?;
        Ok(Self(text.to_owned()))
    }

    /// The value of a field; its name is compared in any case.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        let mut fields = self.0.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// Reads until the head is complete, and returns where the body begins.
fn read_head(stream: &mut impl Read, buffer: &mut Vec<u8>) -> Result<usize> {
    let mut end = None;
    read_until(stream, buffer, |buffer| {
        end = memchr::memmem::find(buffer, HEAD_END);
        end.is_some()
    })?;
    end.map(|end| end + HEAD_END.len()).ok_or_else(|| ErrorKind::UnexpectedEof.into())
}

fn read_until(stream: &mut impl Read, buffer: &mut Vec<u8>, mut complete: impl FnMut(&[u8]) -> bool) -> Result<()> {
    let mut chunk = [0; 16 * 1024];
    while !complete(buffer) {
        match stream.read(&mut chunk)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            length => buffer.extend_from_slice(&chunk[..length]),
        }
    }
    Ok(())
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{read_request, read_response};

    #[test]
    fn response_is_read_to_its_end() {
        let status = |text: &str| read_response(&mut text.as_bytes(), &mut Vec::new()).map_err(|error| error.kind());
        assert_eq!(status("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"), Ok(200));
        assert_eq!(status("HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"), Ok(503));
        assert_eq!(status("HTTP/1.1 204 No Content\r\n\r\n"), Ok(204));
        assert_eq!(status("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}"), Err(std::io::ErrorKind::UnexpectedEof));
        assert_eq!(status("HTTP/1.1 200 OK\r\n\r\n"), Err(std::io::ErrorKind::InvalidData));
    }

    #[test]
    fn requests_are_read_one_after_the_other() {
        let two =
            "POST / HTTP/1.1\r\nWebhook-Id: a\r\nContent-Length: 2\r\n\r\n{}POST / HTTP/1.1\r\nWebhook-Id: b\r\n\r\n";
        let (mut stream, mut buffer) = (two.as_bytes(), Vec::new());
        for id in ["a", "b"] {
            let request = read_request(&mut stream, &mut buffer).expect("a request");
            assert_eq!(request.head.value("webhook-id"), Some(id));
        }
        assert!(buffer.is_empty() && read_request(&mut stream, &mut buffer).is_err());
    }
}
