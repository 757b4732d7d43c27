//! What the relay tells the service manager, such as systemd, by the protocol of sd_notify(3). Does nothing without
//! `NOTIFY_SOCKET`.

use sd_notify::NotifyState;

/// The relay listens.
pub(super) fn ready() {
    notify(&[NotifyState::Ready]);
}

/// The relay stops after a signal.
pub(super) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// The relay reads its configuration again, until this is dropped.
pub(super) struct Reloading {
    status: String,
}

impl Reloading {
    pub(super) fn begin() -> Self {
        // systemd compares this time with that of its signal (Type=notify-reload).
        match NotifyState::monotonic_usec_now() {
            Ok(now) => notify(&[NotifyState::Reloading, now]),
            Err(error) => tracing::warn!(%error, "cannot tell the service manager about the reload"),
        }
        Self { status: "reload of the configuration cancelled".to_owned() }
    }

    /// Reports the result as one line.
    pub(super) fn end(mut self, status: String) {
        self.status = status;
    }
}

impl Drop for Reloading {
    fn drop(&mut self) {
        notify(&[NotifyState::Ready, NotifyState::Status(&self.status)]);
    }
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "cannot send to the service manager (NOTIFY_SOCKET)");
    }
}
