//! Real NATS servers for tests: one, or a cluster of them, that can be killed, started again, and halted. A suite
//! includes this file below a module that has `TIMEOUT`, `delay` and the module `port`. Every server flushes each
//! write.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::port::free_port;
use super::{TIMEOUT, delay};

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A server; dropping it kills the process.
pub(crate) struct Broker {
    program: String,
    name: String,
    port: u16,
    monitoring_port: u16,
    config: PathBuf,
    store: PathBuf,
    process: Option<Child>,
    /// The directory of a single server; the servers of a cluster share one.
    _directory: Option<TempDir>,
}

/// A cluster of servers; dropping it kills them.
pub(crate) struct Brokers {
    pub(crate) servers: Vec<Broker>,
    _directory: TempDir,
}

impl Broker {
    /// A single server. `settings` are further lines of its configuration.
    #[track_caller]
    pub(crate) fn single(program: &str, settings: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut broker = Self::new(program, directory.path(), "n0", settings);
        broker._directory = Some(directory);
        broker.start();
        broker.wait_until_healthy();
        broker
    }

    fn new(program: &str, directory: &Path, name: &str, settings: &str) -> Self {
        let (port, monitoring_port) = (free_port(), free_port());
        let (config, store) = (directory.join(format!("{name}.conf")), directory.join(name));
        let text = format!(
            "server_name: {name}\nlisten: 127.0.0.1:{port}\nhttp: 127.0.0.1:{monitoring_port}\n\
             jetstream {{ store_dir: \"{}\", sync_interval: always, max_file_store: 1GB }}\n{settings}\n",
            store.display()
        );
        std::fs::write(&config, text).expect("a configuration");
        let program = program.to_owned();
        Self { program, name: name.to_owned(), port, monitoring_port, config, store, process: None, _directory: None }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// `127.0.0.1:port`
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://{}", self.address())
    }

    /// Directory of the stored streams. It may be copied or replaced while the server does not run.
    pub(crate) fn monitoring_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.monitoring_port)
    }

    pub(crate) fn store(&self) -> &Path {
        &self.store
    }

    #[track_caller]
    pub(crate) fn start(&mut self) {
        assert!(self.process.is_none(), "{} runs", self.name);
        let mut command = Command::new(&self.program);
        let log = std::fs::File::options().create(true).append(true).open(self.config.with_extension("log"));
        command.arg("--config").arg(&self.config).stdin(Stdio::null()).stdout(Stdio::null());
        self.process = Some(command.stderr(log.expect("a log file")).spawn().expect("nats-server starts"));
    }

    #[track_caller]
    pub(crate) fn wait_until_healthy(&self) {
        let log = || std::fs::read_to_string(self.config.with_extension("log")).unwrap_or_default();
        let deadline = Instant::now() + TIMEOUT;
        while !self.is_healthy() {
            assert!(Instant::now() < deadline, "{} is not healthy:\n{}", self.name, log());
            delay(POLL_INTERVAL);
        }
    }

    /// `SIGKILL`; returns when the process has ended.
    #[track_caller]
    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().expect("a running server");
        process.kill().expect("a child process");
        process.wait().expect("a child process");
    }

    /// Halts the process; its connections stay open.
    #[track_caller]
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    #[track_caller]
    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    #[track_caller]
    fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().expect("a running server");
        kill_process(Pid::from_child(process), signal).expect("a child process");
    }

    fn is_healthy(&self) -> bool {
        let answer = || {
            let mut stream = TcpStream::connect(("127.0.0.1", self.monitoring_port)).ok()?;
            stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
            stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).ok()?;
            Some(answer)
        };
        answer().is_some_and(|answer| answer.contains(" 200 OK"))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().ok();
            process.wait().ok();
        }
    }
}

impl Brokers {
    /// All servers start again with empty disks.
    pub(crate) fn lose_data(&mut self) {
        for server in &mut self.servers {
            server.kill();
            std::fs::remove_dir_all(server.store()).expect("the store of a server");
        }
        self.servers.iter_mut().for_each(|server| server.start());
        self.servers.iter().for_each(|server| server.wait_until_healthy());
    }

    /// Copies a directory of each server while none of them runs.
    #[track_caller]
    pub(crate) fn copy_stores(&mut self, paths: impl Fn(&Path) -> (PathBuf, PathBuf)) {
        for server in &mut self.servers {
            server.kill();
            let (from, to) = paths(server.store());
            if to.exists() {
                std::fs::remove_dir_all(&to).expect("the earlier copy");
            }
            assert!(Command::new("cp").arg("-r").arg(from).arg(to).status().expect("cp").success());
        }
        self.servers.iter_mut().for_each(|server| server.start());
        self.servers.iter().for_each(|server| server.wait_until_healthy());
    }

    /// A cluster whose servers are named `n0`, `n1` and so on.
    #[track_caller]
    pub(crate) fn cluster(program: &str, size: usize) -> Self {
        Self::with_settings(program, size, "")
    }

    /// The servers do not tell their clients about each other, so that a client uses the addresses that it was given.
    #[track_caller]
    pub(crate) fn cluster_without_gossip(program: &str, size: usize) -> Self {
        Self::with_settings(program, size, ", no_advertise: true")
    }

    /// `settings` are further ones of the servers' cluster.
    #[track_caller]
    fn with_settings(program: &str, size: usize, settings: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let ports: Vec<u16> = std::iter::repeat_with(free_port).take(size).collect();
        let routes: Vec<String> = ports.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        let mut servers = Vec::new();
        for (number, port) in ports.iter().enumerate() {
            let routes = routes.join(", ");
            let settings = format!("cluster {{ name: test, listen: 127.0.0.1:{port}, routes: [{routes}]{settings} }}");
            servers.push(Broker::new(program, directory.path(), &format!("n{number}"), &settings));
        }
        servers.iter_mut().for_each(Broker::start);
        servers.iter().for_each(Broker::wait_until_healthy);
        Self { servers, _directory: directory }
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.servers.iter().map(Broker::url).collect()
    }

    #[track_caller]
    pub(crate) fn named(&mut self, name: &str) -> &mut Broker {
        self.servers.iter_mut().find(|broker| broker.name() == name).expect("a server of this name")
    }
}
