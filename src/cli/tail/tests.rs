//! `tail` against a scripted server: resume, refusals, `reset` and the reconnection time.

use clap::Parser;

use super::line::EventFormat;
use super::{TailArgs, TailSession};
use crate::cli::stub::{always, bind, serve};

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: TailArgs,
}

fn parse(line: &[&str]) -> Result<TailArgs, clap::Error> {
    Command::try_parse_from(["tail"].iter().chain(line)).map(|c| c.args)
}

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nconnection: close\r\n\r\n";
const FORBIDDEN: &str = "HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
const REFUSAL: &str = "retry: 30000\nevent: error\ndata: auth_failed\n\n";

struct TailRun {
    error: String,
    out: String,
    err: String,
    requests: Vec<String>,
}

/// Follows until a response ends the command, which the last one must.
async fn follow(flags: &[&str], token: Option<&str>, responses: &[String]) -> TailRun {
    let (listener, base) = bind().await;
    let url = format!("{base}/");
    let args = parse(&[&[url.as_str()], flags].concat()).expect("flags");
    let mut tail = TailSession::new(&args, token.map(str::to_owned), EventFormat::Json).expect("set up");
    let (mut out, mut err) = (Vec::new(), Vec::new());
    // Without `--from`, the first request is for the end of the log. This relay refuses it.
    let requests_log_end = !flags.contains(&"--from") && token.is_some();
    let responses = requests_log_end
        .then_some(FORBIDDEN)
        .into_iter()
        .chain(responses.iter().map(String::as_str))
        .map(always)
        .collect();
    let (mut requests, result) = tokio::join!(serve(listener, responses), tail.follow(&mut out, &mut err));
    if requests_log_end {
        let first = requests.remove(0);
        assert!(first.starts_with("GET /documents?limit=1 HTTP/1.1\r\n"), "{first}");
    }
    let text = |bytes| String::from_utf8(bytes).expect("text");
    let error = format!("{:#}", result.expect_err("the last response refuses"));
    TailRun { error, out: text(out), err: text(err), requests }
}

#[tokio::test]
async fn disconnected_stream_resumes_after_last_event() {
    let run = follow(
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
    assert_eq!(run.out, "{\"id\":\"a.1\",\"n\":1}\n{\"id\":\"a.2\",\"n\":2}\n{\"id\":\"a.3\",\"n\":3}\n");
    assert!(run.err.starts_with("following http://127.0.0.1:"), "{}", run.err);
    for text in ["the stream ended: resuming after a.2", "the relay responded 503", "reconnected"] {
        assert!(run.err.contains(text), "{}", run.err);
    }
    assert!(run.requests[0].starts_with("GET /events/client HTTP/1.1\r\n"), "{}", run.requests[0]);
    let ids: Vec<_> = run
        .requests
        .iter()
        .map(|r| r.lines().find_map(|l| l.strip_prefix("last-event-id: ")).unwrap_or_default())
        .collect();
    assert_eq!(ids, ["", "a.2", "a.2", "a.3"]);
    for request in &run.requests {
        assert!(request.contains("authorization: Bearer the-token\r\n"), "{request}");
        assert!(request.contains("accept: text/event-stream\r\n"), "{request}");
    }
}

#[tokio::test]
async fn refused_token_ends_tail_with_remedy() {
    let run = follow(&[], None, &[format!("{HEAD}retry: 30000\nevent: error\ndata: auth_required\n\n")]).await;
    assert!(run.error.contains("auth_required") && run.error.contains("DOCRELAY_TOKEN"), "{}", run.error);
    assert_eq!(run.out, "");
    let run = follow(&[], Some("t"), &[format!("{HEAD}{REFUSAL}")]).await;
    assert!(run.error.contains("auth_failed"), "{}", run.error);
}

#[tokio::test]
async fn reset_is_printed_to_stderr() {
    let reset = "event: reset\ndata: {\"reason\":\"expired\",\"earliest\":\"a.5\"}\n\nid: a.5\ndata: {}\n\n";
    let run = follow(&["--from", "a.1"], None, &[format!("{HEAD}{reset}{REFUSAL}")]).await;
    assert_eq!(run.out, "{\"id\":\"a.5\"}\n");
    assert!(run.err.contains("reset") && run.err.contains("expired"), "{}", run.err);
    assert!(run.requests[0].contains("last-event-id: a.1\r\n"), "{}", run.requests[0]);
}

#[tokio::test]
async fn stream_cut_before_its_first_event_resumes_after_its_opening() {
    let opening = format!("{HEAD}\nretry: 1\nid: a.7\n\n");
    let run = follow(&["--from", "earliest"], Some("t"), &[opening, format!("{HEAD}{REFUSAL}")]).await;
    assert!(run.requests[0].contains("last-event-id: earliest\r\n"), "{}", run.requests[0]);
    assert!(run.requests[1].contains("last-event-id: a.7\r\n"), "{}", run.requests[1]);
}

#[tokio::test]
async fn live_stream_starts_at_log_end() {
    let (listener, base) = bind().await;
    let url = format!("{base}/below/events/client?status=ERROR&token=the%2Dtoken");
    let mut tail = TailSession::new(&parse(&[&url]).expect("flags"), None, EventFormat::Json).expect("set up");
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"documents\":[],\"next\":null,\"lastEventId\":\"a.7\"}";
    let responses = [head.to_owned(), format!("{HEAD}\nretry: 1\n\n"), format!("{HEAD}{REFUSAL}")];
    let responses = responses.iter().map(|response| always(response)).collect();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let (requests, result) = tokio::join!(serve(listener, responses), tail.follow(&mut out, &mut err));
    result.expect_err("the last response refuses");
    assert!(requests[0].starts_with("GET /below/documents?limit=1 HTTP/1.1\r\n"), "{}", requests[0]);
    assert!(requests[0].contains("authorization: Bearer the-token\r\n"), "{}", requests[0]);
    for request in &requests[1..] {
        assert!(request.contains("last-event-id: a.7\r\n"), "{request}");
    }
    let err = String::from_utf8(err).expect("text");
    assert!(!err.contains("the%2Dtoken"), "the token in the URL is printed: {err}");
}

#[tokio::test]
async fn url_that_is_no_stream_ends_tail_at_once() {
    for response in [
        "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        "HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    ] {
        let run = follow(&[], None, &[response.to_owned()]).await;
        assert_eq!(run.requests.len(), 1, "{}", run.error);
    }
}

#[test]
fn from_flag_takes_event_id_or_earliest() {
    for (from, good) in [("earliest", true), ("19ab3.42", true), ("latest", false), ("", false), ("1\n2", false)] {
        assert_eq!(parse(&["http://h", "--from", from]).is_ok(), good, "{from:?}");
    }
    assert!(parse(&["http://h", "--token", "t"]).is_err());
}

#[test]
fn reconnect_delay_grows_with_failures_up_to_bound() {
    let args = parse(&["http://h"]).expect("flags");
    let mut tail = TailSession::new(&args, None, EventFormat::Json).expect("set up");
    for retry in [0, 1, 2000, u64::MAX] {
        let block = sse_stream::Sse { retry: Some(retry), ..Default::default() };
        tail.print_block(block, &mut Vec::new(), &mut Vec::new()).expect("printed");
        for failures in [0, 1, 5, u32::MAX] {
            let delay = tail.reconnect_delay(failures);
            assert!(delay >= tail.retry && delay <= super::MAX_RECONNECT_DELAY * 5 / 4, "{delay:?}");
        }
    }
}
