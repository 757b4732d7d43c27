//! The time of a scrape beside many followers.

use std::time::{Duration, Instant};

use super::*;
use crate::http::Context;

const CLIENTS: usize = 5;
const FOLLOWERS_PER_CLIENT: usize = 8_000;
const ROUNDS: usize = 15;

async fn scrape(context: &Arc<Context>) {
    let request = ::http::Request::get("/metrics").body(Bytes::new()).expect("a request");
    let response = Address::Admin.call(context, request).await.expect("a response");
    assert_eq!(response.status(), 200);
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Symptom: `/metrics` copied and sorted the list of all followers to find the largest lag.
#[tokio::test]
async fn scrape_costs_less_than_half_a_list_of_followers() {
    let home = tempfile::tempdir().expect("a directory");
    let directory = DataDirectory::create(home.path()).expect("made");
    let config = Config::load(&Flags::default(), |_| None, 65_536).expect("the defaults");
    let options = parts::bare_store_options(&config, &directory).expect("options");
    let store = SqliteStore::open(options).expect("a new database");
    let metrics = Metrics::new("");
    let opened = Opened { store: &store, metrics: &metrics, public_url: String::new(), cluster: None, reload: None };
    let RelayParts { context, hub, .. } = parts::build(&config, &directory, opened).expect("parts");
    let now = Timestamp::now();
    let mut followers = Vec::new();
    for client in 0..CLIENTS {
        let client = ClientRef { id: format!("client-{client}").parse().expect("a name"), created: now };
        let subscribe = || hub.subscribe(&client, None, now).expect("room");
        followers.extend((0..FOLLOWERS_PER_CLIENT).map(|_| subscribe()));
    }
    let (mut lists, mut scrapes) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = Instant::now();
        assert_eq!(hub.list().len(), followers.len());
        lists.push(start.elapsed());
        let start = Instant::now();
        scrape(&context).await;
        scrapes.push(start.elapsed());
    }
    let (list, scrape) = (median(lists), median(scrapes));
    println!("a list of {} followers takes {list:?}, a scrape {scrape:?}", followers.len());
    assert!(scrape < list / 2, "a scrape takes {scrape:?}, a list of the followers {list:?}");
    store.maintenance.close().await;
}
