//! What whoever follows a stream from a shell can rely on.

use clap::Parser;

use super::line::Look;
use super::{Args, Follower};
use crate::cli::stub::{always, bind, serve};

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: Args,
}

fn parse(line: &[&str]) -> Result<Args, clap::Error> {
    Command::try_parse_from(["tail"].iter().chain(line)).map(|c| c.args)
}

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nconnection: close\r\n\r\n";
const REFUSAL: &str = "retry: 30000\nevent: error\ndata: auth_failed\n\n";

struct Seen {
    error: String,
    out: String,
    err: String,
    requests: Vec<String>,
}

/// Follows until an answer ends it, which the last one must.
async fn follow(flags: &[&str], token: Option<&str>, answers: &[String]) -> Seen {
    let (listener, base) = bind().await;
    let url = format!("{base}/");
    let args = parse(&[&[url.as_str()], flags].concat()).expect("flags");
    let mut follower = Follower::new(&args, token.map(str::to_owned), Look::Json).expect("set up");
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let answers = answers.iter().map(|a| always(a)).collect();
    let (requests, result) = tokio::join!(serve(listener, answers), follower.follow(&mut out, &mut err));
    let text = |bytes| String::from_utf8(bytes).expect("text");
    let error = format!("{:#}", result.expect_err("refused at last"));
    Seen { error, out: text(out), err: text(err), requests }
}

#[tokio::test]
async fn a_stream_that_is_cut_off_is_resumed_after_the_last_event() {
    let seen = follow(
        &[],
        Some("the-token"),
        &[
            format!("{HEAD}\nretry: 1\n\nid: a.1\ndata: {{\"n\":1}}\n\n: idle\n\nid: a.2\ndata: {{\"n\":2}}\n\nid: a.3\ndata: cut o"),
            "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_owned(),
            format!("{HEAD}id: a.3\ndata: {{\"n\":3}}\n\n"),
            format!("{HEAD}{REFUSAL}"),
        ],
    )
    .await;
    assert_eq!(seen.out, "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
    assert!(seen.requests[0].starts_with("GET /events/client HTTP/1.1\r\n"), "{}", seen.requests[0]);
    let ids: Vec<_> = seen
        .requests
        .iter()
        .map(|r| r.lines().find_map(|l| l.strip_prefix("last-event-id: ")).unwrap_or_default())
        .collect();
    assert_eq!(ids, ["", "a.2", "a.2", "a.3"]);
    for request in &seen.requests {
        assert!(request.contains("authorization: Bearer the-token\r\n"), "{request}");
        assert!(request.contains("accept: text/event-stream\r\n"), "{request}");
    }
}

#[tokio::test]
async fn a_refused_token_ends_it_and_says_what_to_do() {
    let seen = follow(&[], None, &[format!("{HEAD}retry: 30000\nevent: error\ndata: auth_required\n\n")]).await;
    assert!(seen.error.contains("auth_required") && seen.error.contains("DOCRELAY_TOKEN"), "{}", seen.error);
    assert_eq!(seen.out, "");
    let seen = follow(&[], Some("t"), &[format!("{HEAD}{REFUSAL}")]).await;
    assert!(seen.error.contains("auth_failed"), "{}", seen.error);
}

#[tokio::test]
async fn a_reset_is_told_beside_the_events() {
    let reset = "event: reset\ndata: {\"reason\":\"expired\",\"earliest\":\"a.5\"}\n\nid: a.5\ndata: {}\n\n";
    let seen = follow(&["--from", "a.1"], None, &[format!("{HEAD}{reset}{REFUSAL}")]).await;
    assert_eq!(seen.out, "{}\n");
    assert!(seen.err.contains("reset") && seen.err.contains("expired"), "{}", seen.err);
    assert!(seen.requests[0].contains("last-event-id: a.1\r\n"), "{}", seen.requests[0]);
}

#[tokio::test]
async fn an_address_that_is_no_stream_ends_it_at_once() {
    for answer in [
        "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        "HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    ] {
        let seen = follow(&[], None, &[answer.to_owned()]).await;
        assert_eq!(seen.requests.len(), 1, "{}", seen.error);
    }
}

#[test]
fn a_position_is_an_id_or_the_word_earliest() {
    for (from, good) in [("earliest", true), ("19ab3.42", true), ("latest", false), ("", false), ("1\n2", false)] {
        assert_eq!(parse(&["http://h", "--from", from]).is_ok(), good, "{from:?}");
    }
    assert!(parse(&["http://h", "--token", "t"]).is_err());
}

#[test]
fn the_pause_grows_with_failures_and_never_beyond_its_bound() {
    let args = parse(&["http://h"]).expect("flags");
    let mut follower = Follower::new(&args, None, Look::Json).expect("set up");
    for retry in [0, 1, 2000, u64::MAX] {
        let block = sse_stream::Sse { retry: Some(retry), ..Default::default() };
        follower.take(block, &mut Vec::new(), &mut Vec::new()).expect("taken");
        for failures in [0, 1, 5, u32::MAX] {
            let pause = follower.pause(failures);
            assert!(pause >= follower.retry.min(super::LONGEST) && pause <= super::LONGEST * 5 / 4, "{pause:?}");
        }
    }
}
