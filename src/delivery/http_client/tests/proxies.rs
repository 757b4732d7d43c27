//! Proxies of the environment are not used. Tested in a child process, the test binary itself: the environment cannot
//! be changed safely while other threads read it.

use std::process::Command;

use tokio::io::AsyncWriteExt;

use super::servers::{bind, receive, with_server};
use super::{LONG, get, local, response};
use crate::delivery::HttpClient;

/// The URL that the child process requests.
const TARGET: &str = "DOCRELAY_TEST_TARGET";

const CHILD: &str = "delivery::http_client::tests::proxies::child_process_with_a_proxy_in_its_environment";

// Rule 22: no redirects, no proxies.
#[tokio::test]
async fn proxy_of_the_environment_is_not_used() {
    let ((proxy, proxy_url), (target, target_url)) = (bind().await, bind().await);
    let serve = async |listener, status: u16| {
        loop {
            let (mut socket, _) = receive(listener).await;
            let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            socket.write_all(head.as_bytes()).await.expect("sent");
        }
    };
    let child = tokio::task::spawn_blocking(move || {
        let mut child = Command::new(std::env::current_exe().expect("this binary"));
        child.args(["--exact", CHILD, "--include-ignored", "--nocapture"]).env(TARGET, target_url);
        for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
            child.env(name, &proxy_url);
        }
        child.env_remove("no_proxy").env_remove("NO_PROXY").env_remove("REQUEST_METHOD");
        child.output().expect("a child")
    });
    let servers = async {
        tokio::join!(serve(&proxy, 418), serve(&target, 204));
    };
    let output = with_server(servers, child).await.expect("a child that ends");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test]
#[ignore = "runs in a child process, started by the test above"]
async fn child_process_with_a_proxy_in_its_environment() {
    let Ok(target) = std::env::var(TARGET) else { return };
    assert_eq!(response(&local(LONG).exchange(get(&target)).await).status, 204);
    // A client without the restrictions uses the proxy.
    #[expect(clippy::disallowed_methods, reason = "shows what the restrictions prevent")]
    let naive = reqwest::Client::new();
    assert_eq!(naive.get(&target).send().await.expect("an answer").status(), 418);
}
