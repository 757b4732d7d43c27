//! The DevTools protocol over a pair of pipes: JSON messages that end with NUL. It needs no WebSocket and no driver.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};

use crate::harness::spawn_thread;

/// Turns off everything but the page under test: first run, updates, background requests.
const FLAGS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--no-proxy-server",
    "--remote-debugging-pipe",
];

/// A running browser process. Dropping it kills the process group.
pub(super) struct DevTools {
    child: Child,
    commands: ChildStdin,
    /// Responses and events in order of arrival.
    incoming: Receiver<Value>,
    last_id: u64,
}

impl DevTools {
    pub(super) fn launch(program: &str, profile: &Path) -> Self {
        // The browser expects the pipes as file descriptors 3 and 4. A shell sets them up without `unsafe`.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null"])
            .arg(program)
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // The browser's own children end with its process group.
            .process_group(0)
            .spawn()
            .expect("the browser starts");
        let (sender, incoming) = sync_channel(4096);
        let output = child.stdout.take().expect("piped");
        spawn_thread("browser", move || {
            for message in BufReader::new(output).split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("JSON from the browser");
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        Self { commands: child.stdin.take().expect("piped"), child, incoming, last_id: 0 }
    }

    /// Sends a command to a session; an empty session is the browser itself. Returns the id of the command.
    #[track_caller]
    pub(super) fn send(&mut self, session: &str, method: &str, params: &Value) -> u64 {
        self.last_id += 1;
        let mut command = json!({"id": self.last_id, "method": method, "params": params});
        if !session.is_empty() {
            command["sessionId"] = json!(session);
        }
        let mut bytes = command.to_string().into_bytes();
        bytes.push(0);
        self.commands.write_all(&bytes).expect("a browser that reads commands");
        self.last_id
    }

    /// The next response or event.
    pub(super) fn receive(&self, deadline: Instant) -> Result<Value, RecvTimeoutError> {
        self.incoming.recv_timeout(deadline.saturating_duration_since(Instant::now()))
    }
}

impl Drop for DevTools {
    fn drop(&mut self) {
        // The browser may have exited by itself.
        kill_process_group(Pid::from_child(&self.child), Signal::KILL).ok();
        self.child.wait().ok();
    }
}
