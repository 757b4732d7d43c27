//! Requests to the API of JetStream over a connection of the test's own, in NATS's text protocol.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use super::brokers::Broker;

/// Sends a request without a body and returns the response; `None` without a response in time.
#[track_caller]
pub(crate) fn request(broker: &Broker, subject: &str, timeout: Duration) -> Option<Value> {
    let mut stream = TcpStream::connect(broker.address()).expect("a broker");
    stream.set_read_timeout(Some(timeout)).expect("a socket option");
    let text = format!("CONNECT {{\"verbose\":false}}\r\nSUB reply 1\r\nPUB $JS.API.{subject} reply 0\r\n\r\n");
    stream.write_all(text.as_bytes()).expect("a broker");
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        // `MSG subject subscription bytes`, then the payload.
        if let Some(header) = line.strip_prefix("MSG ") {
            let length = header.split_whitespace().last().and_then(|bytes| bytes.parse().ok()).expect("a length");
            let mut payload = vec![0; length];
            reader.read_exact(&mut payload).expect("a payload");
            return Some(serde_json::from_slice(&payload).expect("JSON"));
        }
        assert!(!line.is_empty() && !line.starts_with("-ERR"), "{line:?}");
    }
}
