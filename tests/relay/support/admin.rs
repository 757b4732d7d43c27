//! What an operator sees of a relay on its admin address.

use std::time::Instant;

use super::wire::Request;
use super::{PATIENCE, TestRelay};

impl TestRelay {
    /// The token of the admin address.
    #[track_caller]
    pub(crate) fn admin_token(&self) -> String {
        let text = std::fs::read_to_string(self.data().join("admin.token"));
        text.expect("the admin token's file").trim().to_owned()
    }

    /// A sample of `/metrics` by its whole name; `None` when it is not there.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let page = self.ask_admin(&Request::get("/metrics"));
        let sample = page.text().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        Some(sample.parse().expect("a number"))
    }

    /// Waits until a sample is as it should be.
    #[track_caller]
    pub(crate) fn wait_until_metric(&self, name: &str, good: impl Fn(f64) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let sample = self.metric(name);
            if sample.is_some_and(&good) {
                return;
            }
            assert!(Instant::now() < deadline, "{name} is {sample:?}");
        }
    }
}
