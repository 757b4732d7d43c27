//! What systemd does for a service with sockets: it holds the listening sockets, passes them to each process that it
//! starts, and receives its notifications.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;

use rustix::process::{Signal, kill_process};
use tempfile::TempDir;

use super::TIMEOUT;
use super::command::{CommandOutput, docrelay, remove_docrelay_variables, run};
use super::process::{OutputLog, RelayProcess, RuntimeFile};

/// Gives the sockets on standard input and output the numbers 3 and 4, and the process the id that `LISTEN_PID` names.
const PASS_SOCKETS: &str = "exec 3<&0 4<&1 </dev/null >&2; LISTEN_PID=$$ exec \"$@\"";

/// The sockets of a service, its data directory, and the process that runs.
pub(crate) struct ServiceManager {
    pub(crate) listen: SocketAddr,
    pub(crate) admin_listen: SocketAddr,
    public: TcpListener,
    admin: TcpListener,
    notifications: UnixDatagram,
    directory: TempDir,
    names: &'static str,
    process: Option<RelayProcess>,
    output: Arc<OutputLog>,
}

impl ServiceManager {
    /// Listens with sockets of these names (`FileDescriptorName=`).
    #[track_caller]
    pub(crate) fn new(names: &'static str) -> Self {
        let directory = tempfile::Builder::new().prefix("service-").tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        let directory = directory.expect("a directory");
        let socket = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let (public, admin) = (socket(), socket());
        let notifications = UnixDatagram::bind(directory.path().join("notify")).expect("a socket");
        notifications.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
        Self {
            listen: public.local_addr().expect("an address"),
            admin_listen: admin.local_addr().expect("an address"),
            public,
            admin,
            notifications,
            directory,
            names,
            process: None,
            output: Arc::default(),
        }
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.directory.path().join("relay.toml")
    }

    pub(crate) fn output(&self) -> String {
        self.output.text()
    }

    /// Waits until the output contains `text`.
    #[track_caller]
    pub(crate) fn wait_for_output(&self, text: &str) {
        self.output.wait_for(text);
    }

    /// Starts a process. Returns at once.
    #[track_caller]
    pub(crate) fn spawn(&mut self) {
        // Addresses that the relay must not bind: the passed sockets come first.
        let mut arguments =
            ["serve", "--listen", "192.0.2.1:1", "--admin-listen", "192.0.2.1:2", "--data"].map(str::to_owned).to_vec();
        arguments.push(self.data_dir().to_str().expect("UTF-8").to_owned());
        if self.config_file().exists() {
            arguments.extend(["--config".to_owned(), self.config_file().to_str().expect("UTF-8").to_owned()]);
        }
        self.spawn_with(&arguments);
    }

    fn spawn_with(&mut self, arguments: &[String]) {
        let mut command = self.command(arguments);
        command.stderr(Stdio::piped());
        self.process = Some(RelayProcess::spawn_with_descriptors(&mut command, &self.output));
    }

    /// Starts a process and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(&mut self) {
        self.spawn();
        self.wait_until_ready();
    }

    /// The same with these arguments.
    #[track_caller]
    pub(crate) fn start_with(&mut self, arguments: &[String]) {
        self.spawn_with(arguments);
        self.wait_until_ready();
    }

    /// Starts a process that another program gives its sockets. Returns whether that program is installed.
    #[track_caller]
    pub(crate) fn start_command(&mut self, mut command: Command) -> bool {
        if command.get_program().to_str().is_some_and(|name| Command::new(name).arg("--version").output().is_err()) {
            return false;
        }
        remove_docrelay_variables(&mut command);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        self.process = Some(RelayProcess::spawn_with_descriptors(&mut command, &self.output));
        true
    }

    #[track_caller]
    fn wait_until_ready(&self) {
        assert_eq!(self.notification(), "READY=1\n", "{}", self.output());
        let pid = self.process.as_ref().expect("a process").pid;
        let file = RuntimeFile::read(&self.data_dir(), pid).expect("relay.json of this process");
        assert_eq!((file.listen, file.admin_listen), (self.listen, self.admin_listen));
    }

    /// The next notification of the process.
    #[track_caller]
    pub(crate) fn notification(&self) -> String {
        let mut buffer = [0; 4096];
        let length = self.notifications.recv(&mut buffer);
        let length = length.unwrap_or_else(|error| panic!("{error}: {}", self.output()));
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[track_caller]
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.process.as_ref().expect("a process").pid, signal).expect("a signal");
    }

    /// Sends SIGTERM and waits for the exit.
    #[track_caller]
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let process = self.process.take().expect("a process");
        process.exit.recv_timeout(TIMEOUT).unwrap_or_else(|_| panic!("it does not exit: {}", self.output()))
    }

    /// Runs a command on the data directory.
    #[track_caller]
    pub(crate) fn cli(&self, arguments: &[&str]) -> CommandOutput {
        run(docrelay(arguments, &[]).arg("--data").arg(self.data_dir()))
    }

    fn command(&self, arguments: &[String]) -> Command {
        let descriptor = |socket: &TcpListener| Stdio::from(OwnedFd::from(socket.try_clone().expect("a descriptor")));
        let mut command = Command::new("sh");
        remove_docrelay_variables(&mut command);
        command.args(["-c", PASS_SOCKETS, "sh", env!("CARGO_BIN_EXE_docrelay")]).args(arguments);
        command.env("LISTEN_FDS", "2").env("LISTEN_FDNAMES", self.names);
        command.env("NOTIFY_SOCKET", self.directory.path().join("notify"));
        let (first, second) =
            if self.names.starts_with("admin") { (&self.admin, &self.public) } else { (&self.public, &self.admin) };
        command.stdin(descriptor(first)).stdout(descriptor(second));
        command
    }
}

impl Drop for ServiceManager {
    fn drop(&mut self) {
        if let Some(process) = &self.process {
            // The process may have exited by itself.
            kill_process(process.pid, Signal::KILL).ok();
            process.exit.recv_timeout(TIMEOUT).ok();
        }
    }
}
