//! The HTTP client against local servers that misbehave. Host names are resolved by the tests.

mod addresses;
mod connections;
mod proxies;
mod responses;
mod servers;

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::Method;

use super::guard::Resolver;
use super::{HttpClientOptions, ReqwestClient};
use crate::delivery::{HttpError, HttpExchange, HttpResponse};
use crate::vendor::OutgoingRequest;

/// Longer than any exchange that ends by itself.
const LONG: Duration = Duration::from_secs(20);
/// For exchanges that run into the deadline.
const SHORT: Duration = Duration::from_millis(300);

/// A resolver that returns prepared results in order, and repeats the last one.
struct Script(Mutex<VecDeque<Vec<IpAddr>>>);

impl Script {
    fn of(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |answer: &&[&str]| answer.iter().map(|ip| ip.parse().expect("an address")).collect();
        Arc::new(Self(Mutex::new(answers.iter().map(parse).collect())))
    }
}

impl Resolver for Script {
    fn look_up(&self, _host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        Box::pin(async move { answer.ok_or_else(|| io::Error::other("no such name")) })
    }
}

fn options(timeout: Duration, open: &[&str]) -> HttpClientOptions {
    let allow_private = open.iter().map(|range| range.parse().expect("a range")).collect();
    HttpClientOptions { timeout, allow_private, dns_servers: Vec::new(), max_kept_connections: 64 }
}

/// A client that may call servers on this machine.
fn local(timeout: Duration) -> ReqwestClient {
    ReqwestClient::new(options(timeout, &["127.0.0.0/8"])).expect("a client")
}

/// A client that may call public addresses and those in `open`, with this resolver.
fn named(open: &[&str], resolver: Arc<dyn Resolver>) -> ReqwestClient {
    ReqwestClient::with_resolver(options(LONG, open), resolver).expect("a client")
}

#[track_caller]
fn response(exchange: &HttpExchange) -> &HttpResponse {
    exchange.result.as_ref().unwrap_or_else(|error| panic!("no response: {error}"))
}

#[track_caller]
fn error(exchange: &HttpExchange) -> &HttpError {
    exchange.result.as_ref().err().unwrap_or_else(|| panic!("a response: {:?}", exchange.result))
}

fn post(url: &str) -> OutgoingRequest {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    OutgoingRequest { method: Method::POST, url: url.to_owned(), headers, body: Bytes::from_static(b"{\"n\":1}") }
}

fn get(url: &str) -> OutgoingRequest {
    OutgoingRequest { method: Method::GET, url: url.to_owned(), headers: Vec::new(), body: Bytes::new() }
}
