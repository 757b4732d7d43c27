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
const FORBIDDEN: &str = "HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
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
    // A live follower asks first where the log ends; a relay need not tell it.
    let asks = !flags.contains(&"--from") && token.is_some();
    let answers = asks.then_some(FORBIDDEN).into_iter().chain(answers.iter().map(String::as_str)).map(always).collect();
    let (mut requests, result) = tokio::join!(serve(listener, answers), follower.follow(&mut out, &mut err));
    if asks {
        let asked = requests.remove(0);
        assert!(asked.starts_with("GET /documents?limit=1 HTTP/1.1\r\n"), "{asked}");
    }
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
    assert_eq!(seen.out, "{\"id\":\"a.1\",\"n\":1}\n{\"id\":\"a.2\",\"n\":2}\n{\"id\":\"a.3\",\"n\":3}\n");
    assert!(seen.err.starts_with("following http://127.0.0.1:"), "{}", seen.err);
    for said in ["the stream ended: resuming after a.2", "the relay answered 503", "connected again"] {
        assert!(seen.err.contains(said), "{}", seen.err);
    }
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
    assert_eq!(seen.out, "{\"id\":\"a.5\"}\n");
    assert!(seen.err.contains("reset") && seen.err.contains("expired"), "{}", seen.err);
    assert!(seen.requests[0].contains("last-event-id: a.1\r\n"), "{}", seen.requests[0]);
}

#[tokio::test]
async fn a_live_stream_begins_where_the_log_ends_so_that_a_cut_before_its_first_event_loses_nothing() {
    let (listener, base) = bind().await;
    let url = format!("{base}/below/events/client?status=ERROR&token=the%2Dtoken");
    let mut follower = Follower::new(&parse(&[&url]).expect("flags"), None, Look::Json).expect("set up");
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"documents\":[],\"next\":null,\"lastEventId\":\"a.7\"}";
    let answers = [head.to_owned(), format!("{HEAD}\nretry: 1\n\n"), format!("{HEAD}{REFUSAL}")];
    let answers = answers.iter().map(|a| always(a)).collect();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let (requests, result) = tokio::join!(serve(listener, answers), follower.follow(&mut out, &mut err));
    result.expect_err("refused at last");
    assert!(requests[0].starts_with("GET /below/documents?limit=1 HTTP/1.1\r\n"), "{}", requests[0]);
    assert!(requests[0].contains("authorization: Bearer the-token\r\n"), "{}", requests[0]);
    for request in &requests[1..] {
        assert!(request.contains("last-event-id: a.7\r\n"), "{request}");
    }
    let said = String::from_utf8(err).expect("text");
    assert!(!said.contains("the%2Dtoken"), "an address may hold a token: {said}");
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
