//! HTTP/1.1 requests, written byte by byte; the same requests for HTTP/2.

use bytes::Bytes;

/// The `Host` of every request.
pub(crate) const HOST: &str = "relay.test";

/// A request. [`Request::bytes`] adds `Host` and `Content-Length`.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(super) method: &'static str,
    target: String,
    version: &'static str,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Request {
    pub(crate) fn new(method: &'static str, target: &str) -> Self {
        Self { method, target: target.to_owned(), version: "HTTP/1.1", headers: Vec::new(), body: None }
    }

    pub(crate) fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    pub(crate) fn post(target: &str) -> Self {
        Self::new("POST", target)
    }

    pub(crate) fn http_1_0(mut self) -> Self {
        self.version = "HTTP/1.0";
        self
    }

    pub(crate) fn with_target(mut self, target: &str) -> Self {
        self.target = target.to_owned();
        self
    }

    /// Adds a header line; an earlier line of the same name stays.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds `Authorization: Bearer`.
    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// Replaces the body.
    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sets a body of JSON and its content type.
    pub(crate) fn json(self, body: &str) -> Self {
        self.header("Content-Type", "application/json").body(body)
    }

    /// Sets a URL-encoded body and its content type.
    pub(crate) fn form(self, body: &str) -> Self {
        self.header("Content-Type", "application/x-www-form-urlencoded").body(body)
    }

    /// The request for an HTTP/2 client: head, and body if there is one.
    #[track_caller]
    pub(crate) fn http2(&self) -> (http::Request<()>, Option<Bytes>) {
        let mut head = http::Request::builder().method(self.method).uri(format!("http://{HOST}{}", self.target));
        for (name, value) in &self.headers {
            head = head.header(name, value);
        }
        (head.body(()).expect("a request"), self.body.clone().map(Bytes::from))
    }

    /// The request as it goes over the socket.
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
