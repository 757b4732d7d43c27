//! A relay for a test: the built program with its own data directory, on free ports of the loopback interface.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::TIMEOUT;
use super::command::docrelay;
use super::connection::Connection;
use super::follower::Follower;
use super::port::free_port;
use super::process::{OutputLog, RelayProcess, RuntimeFile, resident_bytes};
use super::request::Request;
use super::response::Response;

/// Longer than a node of a cluster waits for its brokers, after which it exits with the reason.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A running relay. Dropping it kills the process and removes its data.
pub(crate) struct TestRelay {
    /// The public address.
    pub(crate) listen: SocketAddr,
    pub(crate) admin_listen: SocketAddr,
    directory: TempDir,
    config: Vec<(String, String)>,
    /// Further variables of the environment.
    environment: Vec<(String, OsString)>,
    process: Option<RelayProcess>,
    output: Arc<OutputLog>,
}

impl TestRelay {
    /// Starts a relay with the default configuration.
    pub(crate) fn start() -> Self {
        Self::with_config(&[])
    }

    /// Starts a relay with these configuration keys, such as `("idle_interval", "1s")`.
    pub(crate) fn with_config(config: &[(&str, &str)]) -> Self {
        Self::with_stderr(config, Stdio::piped())
    }

    /// Starts a relay whose standard error is not read by the harness, so its log is not part of the output.
    pub(crate) fn with_stderr(config: &[(&str, &str)], stderr: Stdio) -> Self {
        let mut relay = Self::not_started(config);
        relay.launch(stderr);
        relay
    }

    /// A relay without a process, for [`TestRelay::restart`].
    pub(crate) fn not_started(config: &[(&str, &str)]) -> Self {
        let directory = tempfile::Builder::new().prefix("relay-").tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        let address = || SocketAddr::from(([127, 0, 0, 1], free_port()));
        Self {
            listen: address(),
            admin_listen: address(),
            directory: directory.expect("a directory for the relay's data"),
            config: config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            environment: Vec::new(),
            process: None,
            output: Arc::default(),
        }
    }

    /// Starts a relay whose deliveries may go to endpoints on the loopback interface.
    pub(crate) fn allowing_loopback_endpoints() -> Self {
        Self::with_config(&[("allow_private_endpoints", "127.0.0.0/8")])
    }

    /// The directory that contains nothing but the data directory.
    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    /// The data directory.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The configuration keys of the next start.
    pub(super) fn config(&self) -> Vec<(&str, &str)> {
        self.config.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
    }

    /// Replaces a configuration key for the next start.
    pub(crate) fn set_config(&mut self, key: &str, value: &str) {
        self.config.retain(|(k, _)| k != key);
        self.config.push((key.to_owned(), value.to_owned()));
    }

    /// Sets variables of the environment for the next start and for commands.
    pub(crate) fn set_environment(&mut self, variables: Vec<(String, OsString)>) {
        self.environment = variables;
    }

    pub(super) fn environment(&self) -> &[(String, OsString)] {
        &self.environment
    }

    /// An absolute URL of the public address.
    pub(crate) fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.listen)
    }

    /// The process id of the running relay.
    #[track_caller]
    pub(crate) fn pid(&self) -> Pid {
        self.process.as_ref().expect("the relay runs").pid
    }

    /// Resident memory of the relay in bytes.
    #[track_caller]
    pub(crate) fn resident_bytes(&self) -> usize {
        resident_bytes(self.pid())
    }

    /// Everything that the relay has written to its standard output and error, over all its runs.
    pub(crate) fn output(&self) -> String {
        self.output.text()
    }

    /// Waits until the relay's output contains `text`.
    #[track_caller]
    pub(crate) fn wait_for_output(&self, text: &str) {
        self.output.wait_for(text);
    }

    /// Sends SIGTERM and waits for the exit.
    #[track_caller]
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Sends SIGKILL and waits for the exit, to simulate a crash.
    #[track_caller]
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait();
    }

    /// The same for a relay that may have died already.
    #[track_caller]
    pub(crate) fn kill_unless_exited(&mut self) {
        if self.try_wait().is_some() {
            return;
        }
        // It may exit just now.
        kill_process(self.pid(), Signal::KILL).ok();
        self.wait();
    }

    /// Sends a signal and returns at once.
    #[track_caller]
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("a signal to the relay");
    }

    /// The exit status of a relay that has ended by itself.
    #[track_caller]
    pub(crate) fn try_wait(&mut self) -> Option<ExitStatus> {
        let status = self.process.as_ref().expect("the relay runs").exit.try_recv().ok()?;
        self.process = None;
        Some(status)
    }

    /// Waits for the exit of a relay that ends by itself or was sent a signal.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let process = self.process.take().expect("the relay runs");
        let status = process.exit.recv_timeout(TIMEOUT);
        if status.is_err() {
            self.process = Some(process);
        }
        status.expect("the relay exits in time")
    }

    /// Starts the relay again on the same data and ports; stops it first if it runs.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        if self.process.is_some() {
            self.stop();
        }
        self.launch(Stdio::piped());
    }

    /// Sends one request to the public address, on its own connection.
    #[track_caller]
    pub(crate) fn send(&self, request: &Request) -> Response {
        Connection::open(self.listen).send(request)
    }

    /// Sends one request to the admin address, on its own connection.
    #[track_caller]
    pub(crate) fn send_admin(&self, request: &Request) -> Response {
        Connection::open(self.admin_listen).send(request)
    }

    /// Opens a stream with this request.
    #[track_caller]
    pub(crate) fn open_stream(&self, request: &Request) -> Follower {
        Follower::open(self.listen, request)
    }

    /// Opens a live stream with the token in the header.
    #[track_caller]
    pub(crate) fn follow(&self, token: &str) -> Follower {
        self.open_stream(&Request::get("/events/client").bearer(token))
    }

    /// Opens a stream that resumes after an event id.
    #[track_caller]
    pub(crate) fn follow_from(&self, token: &str, last_event_id: &str) -> Follower {
        self.open_stream(&Request::get("/events/client").bearer(token).header("Last-Event-ID", last_event_id))
    }

    #[track_caller]
    fn launch(&mut self, stderr: Stdio) {
        self.spawn(stderr).unwrap_or_else(|error| panic!("{error}; its output:\n{}", self.output()));
    }

    /// Starts the relay.
    ///
    /// # Errors
    /// It exited before it listened.
    #[track_caller]
    pub(crate) fn try_start(&mut self) -> Result<(), String> {
        self.spawn(Stdio::piped())
    }

    fn spawn(&mut self, stderr: Stdio) -> Result<(), String> {
        let mut command = docrelay(&["serve"], &self.config());
        command.envs(self.environment.iter().cloned());
        command.arg("--data").arg(self.data_dir());
        command.args(["--listen", &self.listen.to_string(), "--admin-listen", &self.admin_listen.to_string()]);
        let process = RelayProcess::spawn(command.stderr(stderr), &self.output);
        let deadline = Instant::now() + START_TIMEOUT;
        let runtime = loop {
            if let Some(runtime) = RuntimeFile::read(&self.data_dir(), process.pid) {
                break runtime;
            }
            // Polls for the file, and notices at once when the process exits.
            match process.exit.recv_timeout(Duration::from_millis(10)) {
                Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
                Err(_) => panic!("the relay does not listen; its output:\n{}", self.output()),
                Ok(status) => return Err(format!("the relay exited at start ({status})")),
            }
        };
        (self.listen, self.admin_listen) = (runtime.listen, runtime.admin_listen);
        self.process = Some(process);
        Ok(())
    }
}

impl Drop for TestRelay {
    fn drop(&mut self) {
        if let Some(process) = &self.process {
            // The process may have exited by itself.
            kill_process(process.pid, Signal::KILL).ok();
            process.exit.recv_timeout(TIMEOUT).ok();
        }
        if thread::panicking() {
            eprintln!("--- output of the relay ---\n{}---", self.output());
        }
    }
}
