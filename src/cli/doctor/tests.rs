//! Servers that misbehave in one way each, and the one finding that each of them must lead to.

use std::time::Duration;

use clap::Parser;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::finding::Report;
use super::{Args, Doctor, Patience};
use crate::cli::stub::{bind, request};
use crate::domain::Timestamp;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: Args,
}

fn parse(line: &[&str]) -> Result<Args, clap::Error> {
    Command::try_parse_from(["doctor"].iter().chain(line)).map(|c| c.args)
}

/// Long enough for a busy machine, short enough for a test.
const PATIENCE: Patience = Patience {
    answer: Duration::from_millis(2000),
    lull: Duration::from_millis(500),
    silence: Duration::from_millis(900),
};

/// After so many milliseconds, these bytes.
type Script = Vec<(u64, String)>;

const GOOD: &str = "Cache-Control: no-cache, no-transform\r\nX-Accel-Buffering: no\r\n";
const OPENING: &str = "\nretry: 3000\n\n";

fn head(headers: &str) -> String {
    let date = httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_millis(Timestamp::now().millis() as u64));
    let date = if headers.contains("Date:") { String::new() } else { format!("Date: {date}\r\n") };
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n{date}{headers}\r\n")
}

fn refusal(word: &str) -> String {
    format!("{}retry: 30000\nevent: error\ndata: {word}\n\n", head(GOOD))
}

/// A relay's stream whose lines come as they should, until these steps go another way.
fn stream(headers: &str, rest: &[(u64, &str)]) -> Script {
    let opening = vec![(0, head(headers)), (0, OPENING.to_owned())];
    opening.into_iter().chain(rest.iter().map(|(after, text)| (*after, (*text).to_owned()))).collect()
}

/// Lines every 200 ms, and no end of its own in the second that is listened.
const STEADY: [(u64, &str); 7] =
    [(200, "\n"), (200, "\n"), (200, "\n"), (200, "\n"), (200, "\n"), (200, "\n"), (2000, "")];

async fn play(mut socket: TcpStream, script: Script) {
    // One in TLS is answered in plain, as by a server without it.
    let handshake = {
        let mut first = [0];
        socket.peek(&mut first).await.is_ok() && first == [0x16]
    };
    if !handshake && request(&mut socket).await.is_none() {
        return;
    }
    for (after, text) in script {
        tokio::time::sleep(Duration::from_millis(after)).await;
        // Whoever has heard enough goes away.
        if socket.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
    socket.shutdown().await.ok();
}

async fn serve(listener: TcpListener, scripts: Vec<Script>) {
    for script in scripts {
        let (socket, _) = listener.accept().await.expect("a connection");
        play(socket, script).await;
    }
    std::future::pending().await
}

/// The findings about a server that plays these scripts, one a connection.
async fn examined(url: impl Fn(&str) -> String, token: Option<&str>, scripts: Vec<Script>) -> String {
    let (listener, base) = bind().await;
    let args = parse(&[&url(&base), "--idle", "1s"]).expect("flags");
    let doctor = Doctor::new(&args, token.map(str::to_owned), PATIENCE).expect("set up");
    let mut out = Vec::new();
    let mut report = Report::new(&mut out);
    tokio::select! {
        done = doctor.examine(&mut report) => done.expect("written"),
        () = serve(listener, scripts) => unreachable!("it never ends"),
    }
    let failed = report.failed();
    let said = String::from_utf8(out).expect("text");
    assert_eq!(said.lines().filter(|line| line.starts_with("fail  ")).count(), failed, "{said}");
    said
}

/// The same with a token, for the stream that comes after a good answer to nobody.
async fn of_stream(script: Script) -> String {
    let nobody = vec![(0, refusal("auth_required"))];
    examined(str::to_owned, Some("x.e30.z"), vec![nobody, script]).await
}

/// Exactly one finding fails, and says this.
#[track_caller]
fn fails(said: &str, words: &str) {
    let failed: Vec<_> = said.lines().filter(|line| line.starts_with("fail  ")).collect();
    assert!(failed.len() == 1 && failed[0].contains(words), "not {words:?} alone:\n{said}");
}

#[tokio::test]
async fn a_stream_that_is_as_it_should_be_is_well() {
    let said = of_stream(stream(GOOD, &STEADY)).await;
    assert!(said.lines().all(|line| line.starts_with("ok    ")), "{said}");
    for words in [
        "a relay answers at http://127.0.0.1:",
        "/events/client",
        "clocks agree",
        "Cache-Control",
        "first byte",
        "keep-alive",
    ] {
        assert!(said.contains(words), "no {words}:\n{said}");
    }
}

#[tokio::test]
async fn what_cannot_be_reached_and_what_is_no_relay_is_said_at_once() {
    let (listener, base) = bind().await;
    drop(listener);
    fails(&examined(|_| base.clone(), None, vec![]).await, "cannot be reached: Connection refused");
    let plain = vec![(0, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n".to_owned())];
    let tls = |base: &str| base.replace("http://", "https://");
    fails(&examined(tls, None, vec![plain]).await, "cannot be reached");
    fails(&examined(str::to_owned, None, vec![vec![(3000, String::new())]]).await, "does not answer within 2.0 s");
    for (answer, words) in [
        ("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "does not reach it"),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "is the path right?"),
        ("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "credentials of its own"),
        (
            "HTTP/1.1 301 Moved\r\nLocation: https://h/events/client?token=t\r\nContent-Length: 0\r\n\r\n",
            "leads to https://h/events/client:",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n", "answers with text/html"),
        (
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: tick\n\n",
            "not as docrelay does",
        ),
    ] {
        fails(&examined(str::to_owned, Some("t"), vec![vec![(0, answer.to_owned())]]).await, words);
    }
}

#[tokio::test]
async fn a_stream_that_is_held_back_is_buffered() {
    fails(&of_stream(vec![(2500, head(GOOD))]).await, "buffered: a short answer came after");
    fails(
        &of_stream(vec![(0, head(GOOD)), (2500, OPENING.to_owned())]).await,
        "buffered: the head came, but within 2.0 s not",
    );
    let late_head = [vec![(1200, head(GOOD))], stream(GOOD, &STEADY)[1..].to_vec()].concat();
    fails(&of_stream(late_head).await, "buffered: the first byte of the stream came 1.");
    let late_byte = [vec![(0, head(GOOD)), (1200, OPENING.to_owned())], stream("", &STEADY)[2..].to_vec()].concat();
    fails(&of_stream(late_byte).await, "buffered: the first byte of the stream came 1.");
}

#[tokio::test]
async fn a_stream_that_is_compressed_or_rewritten_is_found() {
    let gzip = format!("{GOOD}Content-Encoding: gzip\r\n");
    fails(&of_stream(stream(&gzip, &STEADY)).await, "compressed: Content-Encoding is gzip");
    fails(&examined(str::to_owned, None, vec![vec![(0, head(&gzip))]]).await, "compressed");
    let trimmed = [vec![(0, head(GOOD)), (0, OPENING[1..].to_owned())], stream("", &STEADY)[2..].to_vec()].concat();
    fails(&of_stream(trimmed).await, "transformed: the stream does not begin as docrelay begins it");
}

#[tokio::test]
async fn headers_that_were_taken_out_are_missed() {
    fails(
        &of_stream(stream("X-Accel-Buffering: no\r\n", &STEADY)).await,
        "Cache-Control lacks no-cache and no-transform",
    );
    fails(
        &of_stream(stream("Cache-Control: no-cache\r\nX-Accel-Buffering: no\r\n", &STEADY)).await,
        "lacks no-transform:",
    );
    let said = of_stream(stream("Cache-Control: no-cache, no-transform\r\n", &STEADY)).await;
    assert!(said.contains("warn  X-Accel-Buffering is missing") && !said.contains("fail"), "{said}");
}

#[tokio::test]
async fn an_idle_stream_that_is_cut_late_or_lumpy_is_found() {
    fails(&of_stream(stream(GOOD, &[(300, "")])).await, "cut: the idle stream was ended after");
    fails(&of_stream(stream(GOOD, &[(150, "\n"), (150, "\n"), (50, "")])).await, "cut: the stream was ended after");
    fails(&of_stream(stream(GOOD, &[(2500, "")])).await, "late: nothing came for");
    fails(&of_stream(stream(GOOD, &[(650, "\n\n"), (2000, "")])).await, "clumps");
    let said = of_stream(stream(GOOD, &[(300, "retry: 4000\n\n")])).await;
    assert!(said.contains("warn  the relay ended the stream") && !said.contains("fail"), "{said}");
}

#[tokio::test]
async fn a_clock_that_is_off_is_found() {
    let old = format!("{GOOD}Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    let nobody = format!("{}retry: 30000\nevent: error\ndata: auth_required\n\n", head(&old));
    let said = examined(str::to_owned, Some("t"), vec![vec![(0, nobody)], stream(GOOD, &STEADY)]).await;
    fails(&said, "behind this machine's: set both by NTP");
}

#[tokio::test]
async fn trouble_with_the_token_is_said_with_a_remedy() {
    let nobody = || vec![(0, refusal("auth_required"))];
    let none = examined(str::to_owned, None, vec![nobody()]).await;
    fails(&none, "set DOCRELAY_TOKEN");
    assert!(none.contains("ok    Cache-Control"), "what can be seen without one is looked at: {none}");
    for (word, words) in [
        ("auth_required", "auth_required: the token was sent and did not arrive"),
        ("auth_failed", "auth_failed: the token needs `events`"),
        ("not_accepted", "not_accepted: the relay was not asked for"),
    ] {
        let words = words.replace("the token needs", "the token has the scope `` and needs");
        fails(&of_stream(vec![(0, refusal(word))]).await, &words);
    }
    fails(&of_stream(stream(GOOD, &[(200, &refusal("auth_failed")[head(GOOD).len()..])])).await, "auth_failed");
    let busy = format!("{}: too many followers\nretry: 9000\n\n", head(GOOD));
    fails(&of_stream(vec![(0, busy)]).await, "no room for this stream (too many followers)");
}

#[tokio::test]
async fn a_token_in_the_address_is_used_and_never_shown() {
    let with_token = |base: &str| format!("{base}/below/?document=d&token=secret.e30.z");
    let said =
        examined(with_token, None, vec![vec![(0, refusal("auth_required"))], vec![(0, refusal("auth_failed"))]]).await;
    assert!(said.contains("/below/events/client?document=d after") && !said.contains("secret"), "{said}");
    fails(&said, "auth_failed");
}

#[test]
fn the_time_to_listen_has_bounds_and_the_address_is_one() {
    for (idle, good) in
        [("40s", true), ("1s", true), ("1h", true), ("0s", false), ("999ms", false), ("2h", false), ("x", false)]
    {
        assert_eq!(parse(&["http://h", "--idle", idle]).is_ok(), good, "{idle}");
    }
    for bad in ["h", "ftp://h", "http://u:p@h/"] {
        assert!(Doctor::new(&parse(&[bad]).expect("flags"), None, PATIENCE).is_err(), "{bad}");
    }
    assert!(parse(&["http://h", "--token", "t"]).is_err());
}
