//! What http_client promises, each promise against a real server on this machine that misbehaves. Here: the setting. Names
//! are answered by the test; nothing leaves the machine.

mod addresses;
mod answers;
mod connections;
mod proxies;
mod servers;

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::Method;

use super::guard::Names;
use super::{Options, ReqwestClient};
use crate::vendor::Outbound;

/// Longer than anything that comes to its end here; what hits it hangs.
const LONG: Duration = Duration::from_secs(20);
/// For what is meant to hit the deadline.
const SHORT: Duration = Duration::from_millis(300);

/// A resolver that gives one prepared answer after the other, and stays with the last.
struct Script(Mutex<VecDeque<Vec<IpAddr>>>);

impl Script {
    fn of(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |answer: &&[&str]| answer.iter().map(|ip| ip.parse().expect("an address")).collect();
        Arc::new(Self(Mutex::new(answers.iter().map(parse).collect())))
    }
}

impl Names for Script {
    fn look_up(&self, _host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        Box::pin(async move { answer.ok_or_else(|| io::Error::other("no such name")) })
    }
}

fn options(timeout: Duration, open: &[&str]) -> Options {
    Options { timeout, allow_private: open.iter().map(|range| range.parse().expect("a range")).collect() }
}

/// An http_client that may call servers of this machine.
fn local(timeout: Duration) -> ReqwestClient {
    ReqwestClient::new(options(timeout, &["127.0.0.0/8"])).expect("a client")
}

/// An http_client that may call public addresses only, or those in `open`, and knows what `names` says.
fn named(open: &[&str], names: Arc<dyn Names>) -> ReqwestClient {
    ReqwestClient::with_names(options(LONG, open), names).expect("a client")
}

fn post(url: &str) -> Outbound {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    Outbound { method: Method::POST, url: url.to_owned(), headers, body: Bytes::from_static(b"{\"n\":1}") }
}

fn get(url: &str) -> Outbound {
    Outbound { method: Method::GET, url: url.to_owned(), headers: Vec::new(), body: Bytes::new() }
}
