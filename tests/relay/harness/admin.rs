//! The relay's admin address: its token, the removal of a client, and metrics.

use std::time::Instant;

use super::request::Request;
use super::response::Response;
use super::{TIMEOUT, TestRelay, delay};

impl TestRelay {
    /// The token of the admin address.
    #[track_caller]
    pub(crate) fn admin_token(&self) -> String {
        let text = std::fs::read_to_string(self.data_dir().join("admin.token"));
        text.expect("the admin token file").trim().to_owned()
    }

    /// Sends a request without a body, with the admin token.
    #[track_caller]
    pub(crate) fn admin(&self, method: &'static str, target: &str) -> Response {
        self.send_admin(&Request::new(method, target).bearer(&self.admin_token()))
    }

    /// Removes a client.
    #[track_caller]
    pub(crate) fn remove_client(&self, client: &str) {
        let removed = self.admin("DELETE", &format!("/admin/clients/{client}"));
        assert_eq!(removed.status, 204, "{removed:?}");
    }

    /// The samples of `/metrics`.
    #[track_caller]
    pub(crate) fn metrics(&self) -> String {
        self.send_admin(&Request::get("/metrics")).text().to_owned()
    }

    /// A sample of `/metrics` by its name with labels, which must be an integer; `None` when it
    /// is absent.
    #[track_caller]
    pub(crate) fn find_metric(&self, name: &str) -> Option<i64> {
        let page = self.metrics();
        let sample = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        let sample = sample.strip_suffix(".0").unwrap_or(sample);
        Some(sample.parse().unwrap_or_else(|e| panic!("{name} {sample}: {e}")))
    }

    /// A sample of `/metrics` by its name with labels.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str) -> i64 {
        self.find_metric(name).unwrap_or_else(|| panic!("no {name} in {}", self.metrics()))
    }

    /// Waits until a sample has this value.
    #[track_caller]
    pub(crate) fn wait_for_metric(&self, name: &str, value: i64) {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let sample = self.find_metric(name);
            if sample == Some(value) {
                return;
            }
            assert!(Instant::now() < deadline, "{name} is {sample:?}, not {value}");
            delay(std::time::Duration::from_millis(10));
        }
    }
}
