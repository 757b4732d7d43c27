//! Fetches of key sets over a double of the HTTP client: what causes them, and what a failed one leaves.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::future::{BoxFuture, join_all};
use serde_json::json;

use super::*;

/// A server whose present response is set by the test; `None` fails.
#[derive(Default)]
struct Server {
    keys: Mutex<Option<Value>>,
    fetches: AtomicUsize,
    addresses: Mutex<Vec<String>>,
}

impl Server {
    fn serve(&self, keys: Option<Vec<Value>>) {
        *self.keys.lock().expect("sound") = keys.map(|keys| json!({ "keys": keys }));
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}

impl KeySetClient for Server {
    fn fetch_key_set<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<KeySetDocument, KeySetUnavailable>> {
        Box::pin(async move {
            self.addresses.lock().expect("sound").push(url.to_owned());
            self.fetches.fetch_add(1, Ordering::SeqCst);
            // Other tokens may come while the fetch runs.
            tokio::task::yield_now().await;
            let keys = self.keys.lock().expect("sound").clone();
            let body = keys.ok_or_else(|| KeySetUnavailable("the response has the status 500".to_owned()))?;
            Ok(KeySetDocument { body: Bytes::from(body.to_string()), max_age: None })
        })
    }
}

/// Checks a token like a request: again after a fetch.
async fn request(issuers: &Issuers, token: &str) -> Result<ForeignToken, AuthError> {
    match check_at(issuers, token, NOW) {
        Err(AuthError::UnknownIssuerKey(issuer)) if issuers.fetch_keys(issuer).await => check_at(issuers, token, NOW),
        checked => checked,
    }
}

/// Runs a test beside the refresh of key sets. Returns the metrics, and how often keys were retired.
async fn beside_refresh<F: Future<Output = ()>>(
    server: &Arc<Server>,
    test: impl FnOnce(Issuers) -> F,
) -> (Metrics, usize) {
    let issuers = Issuers::open(vec![options_of_set()]).expect("issuers");
    let (metrics, retired) = (Metrics::new(""), AtomicUsize::new(0));
    let count = || {
        retired.fetch_add(1, Ordering::SeqCst);
    };
    tokio::select! {
        () = issuers.clone().run(server.clone(), metrics.clone(), count) => panic!("it never ends"),
        () = test(issuers) => {}
    }
    (metrics, retired.into_inner())
}

#[tokio::test]
async fn tokens_wait_for_the_first_fetch_and_share_it() {
    let (server, key) = (Arc::new(Server::default()), TestKey::ed25519());
    server.serve(Some(vec![key.jwk("k")]));
    beside_refresh(&server, |issuers| async move {
        let tokens: Vec<String> = (0..50).map(|n| key.token("k", json!({ "jti": n }))).collect();
        let checked = join_all(tokens.iter().map(|token| request(&issuers, token))).await;
        assert!(checked.iter().all(Result::is_ok));
    })
    .await;
    assert_eq!(server.fetches(), 1);
}

#[tokio::test]
async fn rotated_key_is_fetched_for_its_first_token() {
    let (server, old, new) = (Arc::new(Server::default()), TestKey::p256(), TestKey::p256());
    server.serve(Some(vec![old.jwk("old")]));
    let (shared, second) = (server.clone(), new.clone());
    let (_, retired) = beside_refresh(&server, |issuers| async move {
        let by_old = old.token("old", json!({}));
        let status = request(&issuers, &by_old).await.expect("good").key;
        shared.serve(Some(vec![old.jwk("old"), second.jwk("new")]));
        assert!(request(&issuers, &second.token("new", json!({}))).await.is_ok());
        assert!(request(&issuers, &by_old).await.is_ok() && !status.is_retired());
    })
    .await;
    assert_eq!((server.fetches(), retired), (2, 0));
}

// Rule 29: issuer, audience, algorithm and key are checked.
#[tokio::test(start_paused = true)]
async fn unknown_kids_cause_few_fetches_from_the_configured_address() {
    let (server, key, forger) = (Arc::new(Server::default()), TestKey::p256(), TestKey::p256());
    server.serve(Some(vec![key.jwk("k")]));
    let shared = server.clone();
    beside_refresh(&server, |issuers| async move {
        assert!(request(&issuers, &key.token("k", json!({}))).await.is_ok());
        for n in 0..100 {
            let address = Some("https://evil.example/jwks.json".to_owned());
            let header = Header { jku: address.clone(), x5u: address, ..forger.header(&format!("forged-{n}")) };
            let token = forger.sign(&header, &changed(json!({})));
            assert_eq!(request(&issuers, &token).await.err(), Some(AuthError::UnknownIssuerKey(IssuerIndex(0))));
        }
        assert_eq!(shared.fetches(), 1 + 4);
        assert!(request(&issuers, &key.token("k", json!({}))).await.is_ok());
    })
    .await;
    let addresses = server.addresses.lock().expect("sound").clone();
    assert_eq!(addresses, ["https://issuer.example/jwks"; 5]);
}

#[tokio::test]
async fn failed_fetch_keeps_known_keys_and_is_counted() {
    let (server, key) = (Arc::new(Server::default()), TestKey::p256());
    server.serve(Some(vec![key.jwk("k")]));
    let shared = server.clone();
    let (metrics, retired) = beside_refresh(&server, |issuers| async move {
        let token = key.token("k", json!({}));
        let status = request(&issuers, &token).await.expect("good").key;
        shared.serve(None);
        assert!(request(&issuers, &key.token("unknown", json!({}))).await.is_err());
        assert!(request(&issuers, &token).await.is_ok() && !status.is_retired());
        shared.serve(Some(Vec::new()));
        assert!(request(&issuers, &token).await.is_ok(), "a set without keys is a failure, too");
    })
    .await;
    assert_eq!((metrics.key_set_fetches.get(), metrics.key_set_failures.get(), retired), (2, 1, 0));
}
