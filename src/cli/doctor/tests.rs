//! `doctor` against servers that fail in one way each, and the one finding that each must lead to.

use std::time::Duration;

use clap::Parser;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::report::DoctorReport;
use super::{Doctor, DoctorArgs, WaitLimits};
use crate::cli::stub::{bind, request};
use crate::domain::Timestamp;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: DoctorArgs,
}

fn parse(line: &[&str]) -> Result<DoctorArgs, clap::Error> {
    Command::try_parse_from(["doctor"].iter().chain(line)).map(|c| c.args)
}

fn new_doctor(args: &DoctorArgs, token: Option<&str>) -> anyhow::Result<Doctor> {
    let client = crate::cli::http_client(|client| client)?;
    Doctor::new(args.url.as_deref().expect("a URL"), args.idle, client, token.map(str::to_owned), WAIT_LIMITS)
}

/// Long enough for a busy machine, short enough for a test.
const WAIT_LIMITS: WaitLimits = WaitLimits {
    response: Duration::from_millis(2000),
    network_delay: Duration::from_millis(500),
    keepalive_gap: Duration::from_millis(900),
};

/// What a server sends: a delay in milliseconds, then bytes.
type Script = Vec<(u64, String)>;

const GOOD: &str = "Cache-Control: no-cache, no-transform\r\nX-Accel-Buffering: no\r\n";
const OPENING: &str = "\nretry: 3000\n\n";

fn head(headers: &str) -> String {
    let date = httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_millis(Timestamp::now().millis() as u64));
    let date = if headers.contains("Date:") { String::new() } else { format!("Date: {date}\r\n") };
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n{date}{headers}\r\n")
}

fn refusal(code: &str) -> String {
    format!("{}retry: 30000\nevent: error\ndata: {code}\n\n", head(GOOD))
}

/// The head and the opening of a correct stream, then these steps.
fn stream(headers: &str, rest: &[(u64, &str)]) -> Script {
    let opening = vec![(0, head(headers)), (0, OPENING.to_owned())];
    opening.into_iter().chain(rest.iter().map(|(after, text)| (*after, (*text).to_owned()))).collect()
}

/// A keepalive every 200 ms. The stream outlasts the second for which the tests watch it.
const STEADY: [(u64, &str); 7] =
    [(200, "\n"), (200, "\n"), (200, "\n"), (200, "\n"), (200, "\n"), (200, "\n"), (2000, "")];

async fn send_script(mut socket: TcpStream, script: Script) {
    // A TLS handshake gets a plain HTTP response, as from a server without TLS.
    let is_tls = {
        let mut first = [0];
        socket.peek(&mut first).await.is_ok() && first == [0x16]
    };
    if !is_tls && request(&mut socket).await.is_none() {
        return;
    }
    for (after, text) in script {
        tokio::time::sleep(Duration::from_millis(after)).await;
        // The doctor disconnects after its last finding.
        if socket.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
    socket.shutdown().await.ok();
}

async fn serve(listener: TcpListener, scripts: Vec<Script>) {
    for script in scripts {
        let (socket, _) = listener.accept().await.expect("a connection");
        send_script(socket, script).await;
    }
    std::future::pending().await
}

/// The findings about a server that sends these scripts, one per connection.
async fn findings(url: impl Fn(&str) -> String, token: Option<&str>, scripts: Vec<Script>) -> String {
    let (listener, base) = bind().await;
    let args = parse(&[&url(&base), "--idle", "1s"]).expect("flags");
    let doctor = new_doctor(&args, token).expect("set up");
    let mut out = Vec::new();
    let mut report = DoctorReport::new(&mut out);
    tokio::select! {
        done = doctor.examine(&mut report) => done.expect("written"),
        () = serve(listener, scripts) => unreachable!("the server never ends"),
    }
    let failed = report.failed();
    let output = String::from_utf8(out).expect("text");
    assert_eq!(output.lines().filter(|line| line.starts_with("fail  ")).count(), failed, "{output}");
    output
}

/// The findings about a stream opened with a token, after a correct response to the request without one.
async fn stream_findings(script: Script) -> String {
    let without_token = vec![(0, refusal("auth_required"))];
    findings(str::to_owned, Some("x.e30.z"), vec![without_token, script]).await
}

/// Exactly one finding fails, with this text.
#[track_caller]
fn assert_fails(output: &str, text: &str) {
    let failed: Vec<_> = output.lines().filter(|line| line.starts_with("fail  ")).collect();
    assert!(failed.len() == 1 && failed[0].contains(text), "not {text:?} alone:\n{output}");
}

#[tokio::test]
async fn correct_stream_has_ok_findings_only() {
    let output = stream_findings(stream(GOOD, &STEADY)).await;
    assert!(output.lines().all(|line| line.starts_with("ok    ")), "{output}");
    for text in [
        "the relay responds at http://127.0.0.1:",
        "/events/client",
        "clocks agree",
        "Cache-Control",
        "first byte",
        "keepalives",
    ] {
        assert!(output.contains(text), "no {text}:\n{output}");
    }
}

#[tokio::test]
async fn unreachable_url_and_other_programs_fail() {
    let (listener, base) = bind().await;
    drop(listener);
    assert_fails(&findings(|_| base.clone(), None, vec![]).await, "cannot be reached: Connection refused");
    let plain = vec![(0, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n".to_owned())];
    let tls = |base: &str| base.replace("http://", "https://");
    assert_fails(&findings(tls, None, vec![plain]).await, "cannot be reached");
    assert_fails(
        &findings(str::to_owned, None, vec![vec![(3000, String::new())]]).await,
        "does not respond within 2.0 s",
    );
    for (response, text) in [
        ("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "cannot reach it"),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "is the path right?"),
        ("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "requires its own credentials"),
        (
            "HTTP/1.1 301 Moved\r\nLocation: https://h/events/client?token=t\r\nContent-Length: 0\r\n\r\n",
            "redirects to https://h/events/client:",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n", "responds with text/html"),
        (
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: tick\n\n",
            "not one of docrelay",
        ),
    ] {
        assert_fails(&findings(str::to_owned, Some("t"), vec![vec![(0, response.to_owned())]]).await, text);
    }
}

#[tokio::test]
async fn delayed_stream_is_reported_as_buffered() {
    assert_fails(&stream_findings(vec![(2500, head(GOOD))]).await, "buffered: a short response arrived after");
    assert_fails(
        &stream_findings(vec![(0, head(GOOD)), (2500, OPENING.to_owned())]).await,
        "buffered: the head arrived, but the empty line that follows it did not arrive within 2.0 s",
    );
    let late_head = [vec![(1200, head(GOOD))], stream(GOOD, &STEADY)[1..].to_vec()].concat();
    assert_fails(&stream_findings(late_head).await, "buffered: the first byte of the stream arrived 1.");
    let late_byte = [vec![(0, head(GOOD)), (1200, OPENING.to_owned())], stream("", &STEADY)[2..].to_vec()].concat();
    assert_fails(&stream_findings(late_byte).await, "buffered: the first byte of the stream arrived 1.");
}

#[tokio::test]
async fn compressed_or_rewritten_stream_fails() {
    let gzip = format!("{GOOD}Content-Encoding: gzip\r\n");
    assert_fails(&stream_findings(stream(&gzip, &STEADY)).await, "compressed: Content-Encoding is gzip");
    assert_fails(&findings(str::to_owned, None, vec![vec![(0, head(&gzip))]]).await, "compressed");
    let trimmed = [vec![(0, head(GOOD)), (0, OPENING[1..].to_owned())], stream("", &STEADY)[2..].to_vec()].concat();
    assert_fails(&stream_findings(trimmed).await, "transformed: the stream does not begin like one of docrelay");
}

#[tokio::test]
async fn removed_proxy_headers_are_reported() {
    assert_fails(
        &stream_findings(stream("X-Accel-Buffering: no\r\n", &STEADY)).await,
        "Cache-Control lacks no-cache and no-transform",
    );
    assert_fails(
        &stream_findings(stream("Cache-Control: no-cache\r\nX-Accel-Buffering: no\r\n", &STEADY)).await,
        "lacks no-transform:",
    );
    let output = stream_findings(stream("Cache-Control: no-cache, no-transform\r\n", &STEADY)).await;
    assert!(output.contains("warn  X-Accel-Buffering is missing") && !output.contains("fail"), "{output}");
}

#[tokio::test]
async fn disconnected_late_or_bursty_idle_stream_fails() {
    assert_fails(&stream_findings(stream(GOOD, &[(300, "")])).await, "disconnected: the idle stream was ended after");
    assert_fails(
        &stream_findings(stream(GOOD, &[(150, "\n"), (150, "\n"), (50, "")])).await,
        "disconnected: the stream was ended after",
    );
    assert_fails(&stream_findings(stream(GOOD, &[(2500, "")])).await, "late: no byte for");
    assert_fails(&stream_findings(stream(GOOD, &[(650, "\n\n"), (2000, "")])).await, "bursts");
    let output = stream_findings(stream(GOOD, &[(300, "retry: 4000\n\n")])).await;
    assert!(output.contains("warn  the relay ended the stream") && !output.contains("fail"), "{output}");
}

#[tokio::test]
async fn wrong_clock_fails() {
    let old = format!("{GOOD}Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    let without_token = format!("{}retry: 30000\nevent: error\ndata: auth_required\n\n", head(&old));
    let output = findings(str::to_owned, Some("t"), vec![vec![(0, without_token)], stream(GOOD, &STEADY)]).await;
    assert_fails(&output, "behind this machine's: synchronize both with NTP");
}

#[tokio::test]
async fn token_failures_come_with_a_remedy() {
    let without_token = || vec![(0, refusal("auth_required"))];
    let none = findings(str::to_owned, None, vec![without_token()]).await;
    assert_fails(&none, "set DOCRELAY_TOKEN");
    assert!(none.contains("ok    Cache-Control"), "the headers are checked without a token: {none}");
    for (code, text) in [
        ("auth_required", "auth_required: the token was sent and did not arrive"),
        ("auth_failed", "auth_failed: the token needs `events`"),
        ("not_accepted", "not_accepted: the request reached the relay without Accept"),
    ] {
        let text = text.replace("the token needs", "the token has the scope `` and needs");
        assert_fails(&stream_findings(vec![(0, refusal(code))]).await, &text);
    }
    assert_fails(
        &stream_findings(stream(GOOD, &[(200, &refusal("auth_failed")[head(GOOD).len()..])])).await,
        "auth_failed",
    );
    let busy = format!("{}: too many followers\nretry: 9000\n\n", head(GOOD));
    assert_fails(&stream_findings(vec![(0, busy)]).await, "no capacity for this stream (too many followers)");
}

#[tokio::test]
async fn query_token_is_used_and_never_printed() {
    let with_token = |base: &str| format!("{base}/below/?document=d&token=secret.e30.z");
    let output =
        findings(with_token, None, vec![vec![(0, refusal("auth_required"))], vec![(0, refusal("auth_failed"))]]).await;
    assert!(output.contains("/below/events/client?document=d after") && !output.contains("secret"), "{output}");
    assert_fails(&output, "auth_failed");
}

#[test]
fn idle_time_has_bounds_and_url_is_validated() {
    for (idle, good) in
        [("40s", true), ("1s", true), ("1h", true), ("0s", false), ("999ms", false), ("2h", false), ("x", false)]
    {
        assert_eq!(parse(&["http://h", "--idle", idle]).is_ok(), good, "{idle}");
    }
    for bad in ["h", "ftp://h", "http://u:p@h/"] {
        assert!(new_doctor(&parse(&[bad]).expect("flags"), None).is_err(), "{bad}");
    }
    assert!(parse(&[]).is_err() && parse(&["--broker", "n1:8222"]).is_err());
    assert!(parse(&["--broker", "http://n1:8222", "--broker", "http://n2:8222"]).is_ok());
    assert!(parse(&["http://h", "--token", "t"]).is_err());
}
