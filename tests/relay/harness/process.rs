//! The relay's process: start, output and exit. It knows neither the configuration nor the relay's API.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use rustix::process::Pid;

use super::{TIMEOUT, spawn_thread};

/// A running relay. A thread waits for its exit, so that waiting for the exit can have a deadline.
pub(super) struct RelayProcess {
    pub(super) pid: Pid,
    pub(super) exit: Receiver<ExitStatus>,
}

impl RelayProcess {
    /// Collects standard output, and standard error if the command has it piped.
    pub(super) fn spawn(command: &mut Command, output: &Arc<OutputLog>) -> Self {
        Self::spawn_with_descriptors(command.stdin(Stdio::null()).stdout(Stdio::piped()), output)
    }

    /// Collects what the command has piped.
    pub(super) fn spawn_with_descriptors(command: &mut Command, output: &Arc<OutputLog>) -> Self {
        let mut child: Child = command.spawn().expect("the relay starts");
        let pid = Pid::from_child(&child);
        let mut readers = Vec::new();
        readers.extend(child.stdout.take().map(|stdout| output.collect(stdout)));
        readers.extend(child.stderr.take().map(|stderr| output.collect(stderr)));
        let (sender, exit) = sync_channel(1);
        spawn_thread("exit", move || {
            let status = child.wait().expect("a child process");
            // The output is complete before the exit is reported.
            for reader in readers {
                reader.join().ok();
            }
            sender.send(status).unwrap_or(());
        });
        Self { pid, exit }
    }
}

/// Resident memory of a running process in bytes.
#[track_caller]
pub(crate) fn resident_bytes(process: Pid) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.as_raw_nonzero()));
    let status = status.expect("the status of the process");
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")).expect("VmRSS");
    line.trim().parse::<usize>().expect("a number") * 1024
}

/// Standard output and standard error of all runs of a relay. Threads read the pipes, so that they never fill up.
#[derive(Default)]
pub(super) struct OutputLog {
    text: Mutex<String>,
    grown: Condvar,
}

impl OutputLog {
    pub(super) fn text(&self) -> String {
        self.text.lock().expect("the output").clone()
    }

    /// Waits until the output contains `text`.
    #[track_caller]
    pub(super) fn wait_for(&self, text: &str) {
        let output = self.text.lock().expect("the output");
        let (output, timeout) =
            self.grown.wait_timeout_while(output, TIMEOUT, |output| !output.contains(text)).expect("the output");
        // Unlocked before a panic: the relay's drop handler prints the output.
        drop(output);
        assert!(!timeout.timed_out(), "the output does not contain {text:?}:\n{}", self.text());
    }

    fn collect(self: &Arc<Self>, pipe: impl Read + Send + 'static) -> thread::JoinHandle<()> {
        let log = Arc::clone(self);
        spawn_thread("output", move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                let mut text = log.text.lock().expect("the output");
                text.push_str(&String::from_utf8_lossy(&line));
                text.push('\n');
                log.grown.notify_all();
            }
        })
    }
}

/// `relay.json` of the data directory, which the relay writes when it listens.
pub(super) struct RuntimeFile {
    pub(super) listen: SocketAddr,
    pub(super) admin_listen: SocketAddr,
}

impl RuntimeFile {
    /// Reads the file of this process; `None` while there is none, or only that of an earlier process.
    pub(super) fn read(data: &Path, pid: Pid) -> Option<Self> {
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(data.join("relay.json")).ok()?).ok()?;
        if json["pid"].as_i64() != Some(i64::from(pid.as_raw_nonzero().get())) {
            return None;
        }
        let address = |key: &str| json[key].as_str()?.parse().ok();
        Some(Self { listen: address("listen")?, admin_listen: address("admin")? })
    }
}
