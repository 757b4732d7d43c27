//! Settings of deliveries that change while an endpoint answers slowly.

use std::time::Duration;

use serde_json::json;

use super::ConfiguredRelay;
use crate::harness::delay;
use crate::harness::receiver::{Receiver, Reply};

const DOCUMENT: &str = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";

#[test]
fn opened_range_and_deadline_apply_to_the_next_attempt() {
    let configured = ConfiguredRelay::start("");
    let acme = configured.client();
    let hook = acme.add_unverified_hook("gini");
    let receiver = Receiver::start(|_, _| {
        delay(Duration::from_secs(3));
        Reply::status(200)
    });
    let notification =
        json!({"name": "main", "endpoint": receiver.url("/"), "format": "gini", "isDefault": true}).to_string();
    let refused = acme.post("/v2/notification", &notification);
    assert_eq!(refused.status, 400, "{refused:?}");
    configured.reload("allow_private_endpoints = [\"127.0.0.0/8\"]\ndelivery_timeout = \"1s\"\n");
    acme.add_notification(&serde_json::from_str(&notification).expect("JSON"));
    acme.post_gini(&hook.path, DOCUMENT, "COMPLETED");
    let attempted = acme.wait_for_attempt("");
    assert!(attempted["attempts"][0].to_string().contains("no response within 1 s"), "{attempted}");
    configured.reload(
        "allow_private_endpoints = [\"127.0.0.0/8\"]\ndelivery_timeout = \"20s\"\ndelivery_concurrency = 2\n\
         delivery_memory = \"1MiB\"\n",
    );
    acme.wait_for_delivery_count("?state=delivered", 1);
}
