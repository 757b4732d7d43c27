//! `send` against the vendor formats, and over a socket.

use clap::Parser;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{SendArgs, compose, send};
use crate::cli::stub::{Response, always, bind, serve};
use crate::domain::{Hook, Secret, Status, Timestamp, Update, Vendor, Verify};
use crate::vendor::{OutgoingRequest, ParsedMessage, WebhookError, WebhookRequest, verify_and_parse};

const HOOK: &str = "http://127.0.0.1:8080/in/k0";

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: SendArgs,
}

fn args(line: &str) -> SendArgs {
    Command::try_parse_from(["send"].into_iter().chain(line.split_whitespace())).expect("flags").args
}

fn now() -> Timestamp {
    Timestamp::from_seconds(1_700_000_000)
}

fn receive(out: &OutgoingRequest, hook: &Hook) -> Result<ParsedMessage, WebhookError> {
    let url = reqwest::Url::parse(&out.url).expect("a URL");
    let mut headers = HeaderMap::new();
    for (name, value) in &out.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        headers.append(name, HeaderValue::from_str(value).expect("a value"));
    }
    let inbound = WebhookRequest {
        method: &out.method,
        path: url.path(),
        query: url.query(),
        endpoint: Some(HOOK),
        headers: &headers,
        body: &out.body,
    };
    verify_and_parse(hook, &inbound, now())
}

fn hook(vendor: Vendor, verify: Verify) -> Hook {
    let mapping = serde_json::json!({
        "vendorId": "/vendorId", "status": "/status", "title": "/title", "errorCode": "/error/code",
        "errorMessage": "/error/message",
        "statuses": { "COMPLETED": "COMPLETED", "ERROR": "ERROR", "PENDING": "PENDING" },
    });
    Hook {
        id: "h0".into(),
        key: Secret::new("k0"),
        vendor,
        name: None,
        labels: Default::default(),
        label_cookies: Vec::new(),
        verify,
        mapping: (vendor == Vendor::Generic).then(|| serde_json::from_value(mapping).expect("a mapping")),
        created: now(),
    }
}

fn sent(line: &str, secret: Option<&str>, hook: &Hook) -> Update {
    let composed = compose(&args(line), secret, now()).expect(line);
    match receive(&composed.request, hook).expect(line) {
        ParsedMessage::Update(update) => *update,
        ParsedMessage::Handshake(reply) => panic!("{line}: {reply:?}"),
    }
}

#[test]
fn composed_webhook_of_every_vendor_verifies() {
    let whsec = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let secret = Secret::new(whsec);
    for (vendor, verify) in [
        (Vendor::Ppj, Verify::Ppj { secret: secret.clone(), edition: None }),
        (Vendor::Baidu, Verify::Baidu { secret: secret.clone() }),
        (Vendor::Zoffice, Verify::Authorization { secret: secret.clone() }),
        (Vendor::Gini, Verify::Authorization { secret: secret.clone() }),
        (Vendor::Standard, Verify::Standard { secrets: vec![secret.clone()] }),
        (
            Vendor::Generic,
            Verify::HmacSha256 {
                secret,
                header: "x-signature".into(),
                prefix: String::new(),
                encoding: Default::default(),
            },
        ),
    ] {
        let line = format!("{vendor} {HOOK} --id job-1");
        assert_eq!(sent(&line, None, &hook(vendor, Verify::None {})).vendor_id.as_str(), "job-1");
        assert_eq!(sent(&line, Some(whsec), &hook(vendor, verify.clone())).status, Status::Completed);
        let other = compose(&args(&line), Some("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), now()).expect("composed");
        assert!(
            matches!(receive(&other.request, &hook(vendor, verify)), Err(WebhookError::Unauthorized(_))),
            "{vendor}"
        );
    }
}

#[test]
fn flags_determine_the_parsed_update() {
    let open = |vendor| hook(vendor, Verify::None {});
    let line = format!("zoffice {HOOK} --status error --error-message broken --title a.pdf");
    let update = sent(&line, None, &open(Vendor::Zoffice));
    assert_eq!((update.status, update.title.as_deref()), (Status::Error, Some("a.pdf")));
    assert_eq!(update.error.map(|e| e.message).as_deref(), Some("broken"));
    for mode in ["webhook", "structured", "binary"] {
        let update = sent(&format!("standard {HOOK} --mode {mode} --status pending"), None, &open(Vendor::Standard));
        assert_eq!(update.status, Status::Pending, "{mode}");
    }
    for edition in ["A", "b", "C", "D"] {
        let line = format!("ppj {HOOK} --edition {edition} --status error --error-code 2");
        assert_eq!(sent(&line, None, &open(Vendor::Ppj)).error.map(|e| e.code).as_deref(), Some("2"), "{edition}");
    }
}

#[test]
fn generated_identifiers_differ() {
    for vendor in Vendor::ALL {
        let line = format!("{vendor} {HOOK}");
        let ids = [0; 2].map(|_| sent(&line, None, &hook(vendor, Verify::None {})).vendor_id);
        assert_ne!(ids[0], ids[1]);
        if vendor == Vendor::Gini {
            assert_eq!(ids[0].as_str().parse::<uuid::Uuid>().expect("a UUID").get_version_num(), 1);
        }
    }
}

#[test]
fn contradicting_flags_are_refused() {
    for line in [
        format!("gini {HOOK} --edition A"),
        format!("gini {HOOK} --handshake"),
        format!("gini {HOOK} --verify"),
        format!("ppj {HOOK} --mode binary"),
        format!("gini {HOOK} --error-code 1"),
        format!("ppj {HOOK} --status pending"),
        format!("ppj {HOOK} --edition 0"),
        format!("ppj {HOOK} --verify ppj"),
        "ppj ftp://example.com/".to_owned(),
        "ppj example.com/in/k".to_owned(),
    ] {
        assert!(compose(&args(&line), None, now()).is_err(), "{line}");
    }
    assert!(compose(&args(&format!("gini {HOOK} --verify cookie")), Some("s"), now()).is_err());
    assert!(compose(&args(&format!("standard {HOOK}")), Some("not whsec"), now()).is_err());
    for line in ["acme http://h/", "ppj", "ppj http://h/ --status done", "ppj http://h/ --edition E"] {
        let line = ["send"].into_iter().chain(line.split_whitespace());
        assert!(Command::try_parse_from(line).is_err());
    }
    // The list of processes would show a secret in a flag.
    assert!(Command::try_parse_from(["send", "ppj", HOOK, "--secret", "s"]).is_err());
}

async fn over_a_socket(line: &str, response: Response) -> (anyhow::Result<()>, String, Vec<String>) {
    let (listener, base) = bind().await;
    let line = line.replace("HOOK", &format!("{base}/in/k0"));
    let args = args(&line);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let (requests, result) =
        tokio::join!(serve(listener, vec![response]), send(&args, None, now(), &mut out, &mut err));
    (result, String::from_utf8(out).expect("text"), requests)
}

#[tokio::test]
async fn response_is_printed_and_decides_exit_code() {
    let good = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
    let (result, out, requests) = over_a_socket("gini HOOK --id d", always(good)).await;
    assert_eq!((result.is_ok(), out.as_str()), (true, "HTTP/1.1 200 OK\n{}\n"));
    assert!(requests[0].starts_with("POST /in/k0 HTTP/1.1\r\ncontent-type: application/json\r\n"), "{}", requests[0]);
    assert!(requests[0].ends_with(r#"{"documentId":"d","status":"COMPLETED"}"#), "{}", requests[0]);
    let bad = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 8\r\n\r\n{\"a\":\u{1b}1}";
    let (result, out, _) = over_a_socket("gini HOOK", always(bad)).await;
    let message = result.expect_err("not 2xx").to_string();
    assert_eq!(
        (message.as_str(), out.as_str()),
        ("the hook responded 401 Unauthorized", "HTTP/1.1 401 Unauthorized\n{\"a\":\u{FFFD}1}\n")
    );
    let moved = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    assert!(over_a_socket("gini HOOK", always(moved)).await.0.is_err());
}

#[tokio::test]
async fn ppj_verification_requires_the_nonce_in_the_response() {
    let echo = |request: &str| {
        let query = request.split_once("nonce=").expect("a nonce").1;
        let nonce: String = query.chars().take_while(char::is_ascii_alphanumeric).collect();
        let body = format!("{{\"nonce\":\"{nonce}\"}}");
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    for edition in ["0", "A", "B", "C", "D"] {
        let (result, ..) = over_a_socket(&format!("ppj HOOK --handshake --edition {edition}"), Box::new(echo)).await;
        assert!(result.is_ok(), "{edition}: {result:?}");
    }
    for body in ["{}", "{\"nonce\":\"x\"}", "nonce"] {
        let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        assert!(over_a_socket("ppj HOOK --handshake", always(&response)).await.0.is_err(), "{body}");
    }
}

#[test]
fn former_flags_of_send_keep_their_meaning() {
    let composed = |line: &str| compose(&args(line), Some("s"), now()).expect("composed");
    for bare in [format!("ppj {HOOK} --verify"), format!("ppj {HOOK} --verify --edition a")] {
        assert!(composed(&bare).nonce.is_some(), "{bare}");
    }
    let headers = |flag: &str| composed(&format!("zoffice {HOOK} --id j {flag} cookie")).request.headers;
    assert_eq!(headers("--proof"), headers("--verify"));
}

#[tokio::test]
async fn error_does_not_contain_the_hook_key() {
    let (listener, base) = bind().await;
    drop(listener);
    let args = args(&format!("gini {base}/in/the-key"));
    let error = send(&args, None, now(), &mut Vec::new(), &mut Vec::new()).await.expect_err("nothing listens");
    assert!(!format!("{error:?} {error:#}").contains("the-key"), "{error:#}");
}
