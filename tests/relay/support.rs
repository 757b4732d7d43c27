//! A relay for a test: the built program with a data directory of its own, on ports that nobody else has, ended with
//! the test. Talks to it as an operator does, through the command line; `wire` and `sse` talk to it as the world does.

pub(crate) mod admin;
pub(crate) mod chromium;
pub(crate) mod proof;
pub(crate) mod receiver;
pub(crate) mod sse;
pub(crate) mod tenant;
pub(crate) mod tool;
pub(crate) mod wire;

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use sse::Follower;
pub(crate) use tool::tool;
use wire::{Answer, Request, Wire};

/// How long anything may take that should happen at once; only a failing test waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Lets a time pass that is part of the story: how long an endpoint takes to answer, how often somebody asks, at which
/// rate events come. Not for waiting until something has happened.
pub(crate) fn spend(time: Duration) {
    let (_nobody, nothing) = sync_channel::<()>(1);
    nothing.recv_timeout(time).ok();
}

/// A running relay; it is killed, and its data removed, when this is dropped.
pub(crate) struct TestRelay {
    /// The public address.
    pub(crate) listen: SocketAddr,
    /// The admin address.
    pub(crate) admin: SocketAddr,
    directory: TempDir,
    settings: Vec<(String, String)>,
    running: Option<Running>,
    said: Arc<Said>,
}

impl TestRelay {
    /// A relay with the default configuration.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// A relay with these configuration keys, such as `("idle_interval", "1s")`.
    pub(crate) fn with(settings: &[(&str, &str)]) -> Self {
        let directory = tempfile::Builder::new().prefix("relay-").tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        let mut relay = Self {
            listen: any,
            admin: any,
            directory: directory.expect("a directory for the relay's data"),
            settings: settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            running: None,
            said: Arc::default(),
        };
        relay.launch();
        relay
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The process of the running relay.
    #[track_caller]
    pub(crate) fn pid(&self) -> Pid {
        self.running.as_ref().expect("the relay runs").pid
    }

    /// Everything that the relay has written to its standard output and error, over all its starts.
    pub(crate) fn said(&self) -> String {
        self.said.text.lock().expect("the output").clone()
    }

    /// Waits until the relay has written `text`.
    #[track_caller]
    pub(crate) fn wait_until_said(&self, text: &str) {
        let all = self.said.text.lock().expect("the output");
        let (all, timeout) =
            self.said.more.wait_timeout_while(all, PATIENCE, |all| !all.contains(text)).expect("the output");
        // Not under the lock: what follows a failure wants to read the output, too.
        drop(all);
        assert!(!timeout.timed_out(), "the relay never said {text:?}; it said:\n{}", self.said());
    }

    /// SIGTERM, and how it ended.
    #[track_caller]
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.end(Signal::TERM)
    }

    /// SIGKILL: the power cut.
    #[track_caller]
    pub(crate) fn kill9(&mut self) {
        self.end(Signal::KILL);
    }

    /// Sends a signal to the running relay and does not wait for what comes of it.
    #[track_caller]
    pub(crate) fn signal(&self, signal: Signal) {
        let running = self.running.as_ref().expect("the relay runs");
        kill_process(running.pid, signal).expect("a signal to the relay");
    }

    /// Waits for a relay that ends by itself, or was sent a signal.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let running = self.running.take().expect("the relay runs");
        let status = running.exit.recv_timeout(PATIENCE);
        if status.is_err() {
            self.running = Some(running);
        }
        status.expect("the relay ends in time")
    }

    /// Starts again on the same data and the same ports; a relay that still runs is stopped first.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        if self.running.is_some() {
            self.stop();
        }
        self.launch();
    }

    /// Replaces the configuration keys for the next start.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        self.settings.retain(|(k, _)| k != key);
        self.settings.push((key.to_owned(), value.to_owned()));
    }

    /// One request to the public address, on a connection of its own.
    #[track_caller]
    pub(crate) fn ask(&self, request: &Request) -> Answer {
        Wire::connect(self.listen).ask(request)
    }

    /// One request to the admin address.
    #[track_caller]
    pub(crate) fn ask_admin(&self, request: &Request) -> Answer {
        Wire::connect(self.admin).ask(request)
    }

    /// A live stream by header.
    #[track_caller]
    pub(crate) fn follow(&self, token: &str) -> Follower {
        Follower::open(self.listen, &Request::get("/events/client").bearer(token))
    }

    /// A stream that resumes after an id.
    #[track_caller]
    pub(crate) fn follow_from(&self, token: &str, id: &str) -> Follower {
        Follower::open(self.listen, &Request::get("/events/client").bearer(token).header("Last-Event-ID", id))
    }

    /// `docrelay client add`.
    #[track_caller]
    pub(crate) fn client_add(&self, client: &str) -> NewClient {
        let json = self.cli(&["client", "add", client]).json();
        NewClient { id: word(&json, "clientId"), secret: word(&json, "clientSecret") }
    }

    /// `docrelay hook add`, with further flags.
    #[track_caller]
    pub(crate) fn hook_add(&self, client: &str, vendor: &str, flags: &[&str]) -> NewHook {
        let json = self.cli(&[&["hook", "add", "--client", client, "--vendor", vendor], flags].concat()).json();
        let url = word(&json, "url");
        let path = url.find("/in/").map(|at| url[at..].to_owned()).expect("a hook's address holds /in/");
        NewHook { id: word(&json, "id"), url, path, json }
    }

    /// `docrelay token`, good for an hour.
    #[track_caller]
    pub(crate) fn token(&self, client: &str) -> String {
        self.cli(&["token", "--client", client, "--ttl", "1h"]).succeeded().stdout.trim().to_owned()
    }

    /// A command of the program on this relay's data.
    #[track_caller]
    pub(crate) fn cli(&self, words: &[&str]) -> Ran {
        let mut command = docrelay(words, &self.settings);
        run(command.arg("--data").arg(self.data()))
    }

    /// A command of the program that needs no data directory.
    #[track_caller]
    pub(crate) fn cli_without_data(&self, words: &[&str]) -> Ran {
        run(&mut docrelay(words, &[]))
    }

    #[track_caller]
    fn end(&mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        self.wait()
    }

    #[track_caller]
    fn launch(&mut self) {
        let mut command = docrelay(&["serve"], &self.settings);
        command.arg("--data").arg(self.data());
        command.args(["--listen", &self.listen.to_string(), "--admin-listen", &self.admin.to_string()]);
        let running = Running::spawn(&mut command, &self.said);
        let (pid, exit) = (running.pid, &running.exit);
        let deadline = Instant::now() + PATIENCE;
        let card = loop {
            if let Some(card) = Card::read(&self.data(), pid) {
                break card;
            }
            // Whether it says something, ends or writes its card: look again soon, and not for ever.
            match exit.recv_timeout(Duration::from_millis(10)) {
                Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
                Err(_) => panic!("the relay does not listen; it said:\n{}", self.said()),
                Ok(status) => panic!("the relay ended at its start ({status}); it said:\n{}", self.said()),
            }
        };
        (self.listen, self.admin) = (card.listen, card.admin);
        self.running = Some(running);
    }
}

impl Drop for TestRelay {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            // It may have ended by itself in the meantime.
            kill_process(running.pid, Signal::KILL).ok();
            running.exit.recv_timeout(PATIENCE).ok();
        }
        if thread::panicking() {
            eprintln!("--- the relay said ---\n{}---", self.said());
        }
    }
}

/// What `docrelay client add` answers.
pub(crate) struct NewClient {
    pub(crate) id: String,
    pub(crate) secret: String,
}

/// What `docrelay hook add` answers.
pub(crate) struct NewHook {
    pub(crate) id: String,
    /// Absolute, as a vendor is given it.
    pub(crate) url: String,
    /// The same without scheme and host.
    pub(crate) path: String,
    /// All of it.
    pub(crate) json: serde_json::Value,
}

#[track_caller]
fn word(json: &serde_json::Value, key: &str) -> String {
    json[key].as_str().unwrap_or_else(|| panic!("no {key} in {json}")).to_owned()
}

/// What a command of the program did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Itself, when the exit code was 0.
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert!(self.status.success(), "{self:?}");
        self
    }

    /// Its standard output, which is one JSON value.
    #[track_caller]
    pub(crate) fn json(self) -> serde_json::Value {
        let ran = self.succeeded();
        serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}"))
    }
}

/// The program with these words, and nothing of this process's own configuration.
pub(crate) fn docrelay(words: &[&str], settings: &[(String, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_docrelay"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("DOCRELAY_")) {
        command.env_remove(name);
    }
    command.envs(settings.iter().map(|(key, value)| (format!("DOCRELAY_{}", key.to_uppercase()), value)));
    command.args(words);
    command
}

/// Runs a command to its end, which must come in time.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Ran {
    run_within(command, PATIENCE)
}

/// Runs a command that may take longer than others.
#[track_caller]
pub(crate) fn run_within(command: &mut Command, patience: Duration) -> Ran {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a start");
    let pid = Pid::from_child(&child);
    let (tell, ended) = sync_channel(1);
    in_background("command", move || tell.send(child.wait_with_output()).unwrap_or(()));
    let Ok(output) = ended.recv_timeout(patience) else {
        kill_process(pid, Signal::KILL).ok();
        panic!("does not end: {command:?}");
    };
    let output = output.expect("its output");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Ran { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The relay's process. A thread waits for its end, so that waiting for it can have a deadline.
struct Running {
    pid: Pid,
    exit: Receiver<ExitStatus>,
}

impl Running {
    fn spawn(command: &mut Command, said: &Arc<Said>) -> Self {
        let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child: Child = piped.spawn().expect("the relay's start");
        let pid = Pid::from_child(&child);
        let readers =
            [said.listen_to(child.stdout.take().expect("piped")), said.listen_to(child.stderr.take().expect("piped"))];
        let (tell, exit) = sync_channel(1);
        in_background("exit", move || {
            let status = child.wait().expect("a child to wait for");
            // So that whoever knows of the end has all that was said before it.
            for reader in readers {
                reader.join().ok();
            }
            tell.send(status).unwrap_or(());
        });
        Self { pid, exit }
    }
}

/// What the relay writes, as it comes; its pipes never fill up.
#[derive(Default)]
struct Said {
    text: Mutex<String>,
    more: Condvar,
}

impl Said {
    fn listen_to(self: &Arc<Self>, pipe: impl Read + Send + 'static) -> thread::JoinHandle<()> {
        let said = Arc::clone(self);
        in_background("output", move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                let mut text = said.text.lock().expect("the output");
                text.push_str(&String::from_utf8_lossy(&line));
                text.push('\n');
                said.more.notify_all();
            }
        })
    }
}

pub(crate) fn in_background(name: &str, work: impl FnOnce() + Send + 'static) -> thread::JoinHandle<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).expect("a thread")
}

/// `relay.json` of the data directory: written when the relay listens.
struct Card {
    listen: SocketAddr,
    admin: SocketAddr,
}

impl Card {
    /// The card of this process; one that an earlier process left does not count.
    fn read(data: &Path, pid: Pid) -> Option<Self> {
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(data.join("relay.json")).ok()?).ok()?;
        if json["pid"].as_i64() != Some(i64::from(pid.as_raw_nonzero().get())) {
            return None;
        }
        let address = |key: &str| json[key].as_str()?.parse().ok();
        Some(Self { listen: address("listen")?, admin: address("admin")? })
    }
}
