//! Generic hooks: a mapping of JSON pointers, verified with an HMAC.

use serde_json::json;

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::request::Request;
use crate::harness::response::{assert_problem, stored_event_id};
use crate::harness::signature::{base64_hmac, hex_hmac};

#[test]
fn generic_hook_maps_by_pointers_and_verifies_hmac() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let mapping = r#"{"vendorId":"/job/id","status":"/state","statuses":{"done":"COMPLETED","0":"ERROR","true":"PENDING"},
        "title":"/job/name","result":"/out","errorCode":"/e/0","errorMessage":"/e/1","time":"/at","messageId":"/n"}"#;
    let hook = |encoding: &str| {
        let verify = format!(
            r#"{{"type":"hmac-sha256","secret":"k","header":"X-Hub-Signature","prefix":"sha256=","encoding":"{encoding}"}}"#
        );
        acme.add_hook(&format!(r#"{{"vendor":"generic","verify":{verify},"mapping":{mapping}}}"#)).path
    };
    let (hex, base64) = (hook("hex"), hook("base64"));
    let send = |path: &str, signature: &str, body: &str| {
        relay.send(&Request::post(path).header("x-hub-signature", &format!("sha256={signature}")).json(body))
    };
    let done = r#"{"job":{"id":17,"name":"n"},"state":"done","out":{"url":"u"},"at":1480000000,"n":"1"}"#;
    let failed = r#"{"job":{"id":"17"},"state":0,"e":["E9","bad"],"n":"2"}"#;
    let first = stored_event_id(&send(&hex, &hex_hmac("k", done), done));
    assert_eq!(stored_event_id(&send(&base64, &base64_hmac("k", done), done)), first);
    stored_event_id(&send(&hex, &hex_hmac("k", failed).to_uppercase(), failed));
    for bad in [hex_hmac("K", done), String::new(), hex_hmac("k", done)[..62].to_owned(), base64_hmac("k", done)] {
        assert_problem(&send(&hex, &bad, done), 401);
    }
    let events = acme.events(2);
    let (done, failed) = (events[0].json(), events[1].json());
    assert_eq!([&done["vendorId"], &done["title"], &done["status"]], ["17", "n", "COMPLETED"]);
    assert_eq!([&done["result"], &done["vendorTime"]], [&json!({"url": "u"}), &json!("2016-11-24T15:06:40.000Z")]);
    assert_eq!(failed["error"], json!({"code": "E9", "message": "bad"}));
    assert_eq!(failed["documentId"], done["documentId"]);
}
