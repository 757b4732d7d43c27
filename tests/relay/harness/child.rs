//! Child processes of a test other than the relay: consumers, servers, proxies.

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus};
use std::sync::mpsc::{Receiver, sync_channel};

use super::spawn_thread;

/// A child process; dropping it kills the process.
pub(crate) struct ChildProcess(Child);

impl ChildProcess {
    pub(crate) fn spawn(command: &mut Command) -> io::Result<Self> {
        command.spawn().map(Self)
    }

    /// The piped standard output.
    #[track_caller]
    pub(crate) fn take_stdout(&mut self) -> ChildStdout {
        self.0.stdout.take().expect("piped")
    }

    /// The piped standard error.
    #[track_caller]
    pub(crate) fn take_stderr(&mut self) -> ChildStderr {
        self.0.stderr.take().expect("piped")
    }

    /// The exit status, if the process has exited.
    #[track_caller]
    pub(crate) fn exit_status(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("a child process")
    }

    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.0.wait().expect("a child process")
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        // The process may have exited by itself.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Reads lines from a pipe on a thread, so that waiting for a line can have a deadline.
pub(crate) fn read_lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = sync_channel(1000);
    spawn_thread("lines", move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}
