//! Commands of the program, as an operator runs them, and other programs that must end in time.

use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::response::string_at;
use super::{TIMEOUT, TestRelay, spawn_thread};

/// The response of `docrelay client add`.
pub(crate) struct NewClient {
    pub(crate) id: String,
    pub(crate) secret: String,
}

/// The response of `docrelay hook add`.
pub(crate) struct NewHook {
    /// The hook's URL without scheme and host.
    pub(crate) path: String,
    /// The whole response.
    pub(crate) json: Value,
}

impl TestRelay {
    /// Runs `docrelay client add`.
    #[track_caller]
    pub(crate) fn add_client(&self, client: &str) -> NewClient {
        let json = self.cli(&["client", "add", client]).json();
        NewClient { id: string_at(&json, "clientId"), secret: string_at(&json, "clientSecret") }
    }

    /// Runs `docrelay hook add` with further flags.
    #[track_caller]
    pub(crate) fn add_hook(&self, client: &str, vendor: &str, flags: &[&str]) -> NewHook {
        let json = self.cli(&[&["hook", "add", "--client", client, "--vendor", vendor], flags].concat()).json();
        NewHook { path: hook_path(&string_at(&json, "url")), json }
    }

    /// Runs `docrelay token`; the token is valid for an hour.
    #[track_caller]
    pub(crate) fn token(&self, client: &str) -> String {
        self.cli(&["token", "--client", client, "--ttl", "1h"]).succeeded().stdout.trim().to_owned()
    }

    /// Runs `docrelay token` for a token of one scope.
    #[track_caller]
    pub(crate) fn token_with_scope(&self, client: &str, scope: &str) -> String {
        self.cli(&["token", "--client", client, "--scope", scope]).succeeded().stdout.trim().to_owned()
    }

    /// Runs a command of the program on this relay's data directory.
    #[track_caller]
    pub(crate) fn cli(&self, arguments: &[&str]) -> CommandOutput {
        let mut command = docrelay(arguments, &self.config());
        run(command.envs(self.environment().iter().cloned()).arg("--data").arg(self.data_dir()))
    }

    /// Runs a command of the program that needs no data directory.
    #[track_caller]
    pub(crate) fn cli_without_data(&self, arguments: &[&str]) -> CommandOutput {
        run(&mut docrelay(arguments, &[]))
    }
}

/// The path of a hook's absolute URL.
#[track_caller]
pub(crate) fn hook_path(url: &str) -> String {
    url.find("/in/").map(|at| url[at..].to_owned()).expect("the URL of a hook contains /in/")
}

/// Exit status and output of a command.
#[derive(Debug)]
pub(crate) struct CommandOutput {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl CommandOutput {
    /// Asserts that the exit code is 0.
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert!(self.status.success(), "{self:?}");
        self
    }

    /// The standard output of a successful command, as one JSON value.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        let output = self.succeeded();
        serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"))
    }
}

/// The program with these arguments and configuration keys, without the configuration of the test process.
pub(crate) fn docrelay(arguments: &[&str], config: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_docrelay"));
    remove_docrelay_variables(&mut command);
    command.envs(config.iter().map(|(key, value)| (format!("DOCRELAY_{}", key.to_uppercase()), value)));
    command.args(arguments);
    command
}

/// Keeps the configuration of the test process from a child.
pub(crate) fn remove_docrelay_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("DOCRELAY_")) {
        command.env_remove(name);
    }
}

/// Runs a command to its end; panics after [`TIMEOUT`].
#[track_caller]
pub(crate) fn run(command: &mut Command) -> CommandOutput {
    run_within(command, TIMEOUT)
}

/// Runs a command to its end; panics after the timeout.
#[track_caller]
pub(crate) fn run_within(command: &mut Command, timeout: Duration) -> CommandOutput {
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = piped.spawn().expect("the command starts");
    let pid = Pid::from_child(&child);
    let (sender, ended) = sync_channel(1);
    spawn_thread("command", move || sender.send(child.wait_with_output()).unwrap_or(()));
    let Ok(output) = ended.recv_timeout(timeout) else {
        kill_process(pid, Signal::KILL).ok();
        panic!("the command does not end in time: {command:?}");
    };
    let output = output.expect("the output of the command");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8 output");
    CommandOutput { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
}
