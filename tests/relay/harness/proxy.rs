//! The proxies that the guides configure: a process with a configuration of the test. It knows no guide.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use tempfile::TempDir;

use super::child::ChildProcess;
use super::tool::find_tool;
use super::wait_until;

/// The paths of the three programs; set by `make test`.
const PROXIES: &str = "DOCRELAY_PROXIES";

/// A proxy on this machine.
pub(crate) struct ProxyProgram {
    /// `nginx`, `haproxy` or `caddy`.
    pub(crate) name: &'static str,
    path: String,
}

/// A running proxy.
pub(crate) struct Proxy {
    pub(crate) name: &'static str,
    pub(crate) listen: SocketAddr,
    process: ChildProcess,
    directory: TempDir,
}

impl ProxyProgram {
    /// All three. `None` without them, with a visible line.
    pub(crate) fn find_all() -> Option<Vec<Self>> {
        let program = |path: &str| {
            let stem = Path::new(path).file_name().and_then(|name| name.to_str());
            let name = ["nginx", "haproxy", "caddy"].into_iter().find(|name| Some(*name) == stem);
            Self { name: name.expect("one of the three"), path: path.to_owned() }
        };
        Some(find_tool(PROXIES)?.split(' ').map(program).collect())
    }

    /// Starts it with the configuration for the address on which it shall listen.
    #[track_caller]
    pub(crate) fn start(&self, configuration: impl FnOnce(SocketAddr) -> String) -> Proxy {
        let directory = tempfile::Builder::new().prefix(self.name).tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        let directory = directory.expect("a directory");
        // The port stays free between this check and the start of the proxy.
        let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let listen = free.expect("a port");
        let (file, here) = (directory.path().join("configuration"), directory.path());
        let mut command = Command::new(&self.path);
        match self.name {
            "nginx" => command.args(["-e", "stderr", "-p"]).arg(here).arg("-c").arg(&file),
            "haproxy" => command.args(["-db", "-f"]).arg(&file),
            _ => command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&file),
        };
        std::fs::write(&file, configuration(listen)).expect("a configuration");
        let log = std::fs::File::create(here.join("log")).expect("a log");
        command.env("HOME", here).env("XDG_DATA_HOME", here).env("XDG_CONFIG_HOME", here);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        let process = ChildProcess::spawn(&mut command).expect("the proxy starts");
        let mut proxy = Proxy { name: self.name, listen, process, directory };
        proxy.wait_until_it_listens();
        proxy
    }
}

impl Proxy {
    #[track_caller]
    fn wait_until_it_listens(&mut self) {
        wait_until("the proxy listens", || {
            let exit = self.process.exit_status();
            assert!(exit.is_none(), "{}: {exit:?}; {}", self.name, self.output());
            TcpStream::connect(self.listen).is_ok()
        });
    }

    fn output(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- output of {} ---\n{}---", self.name, self.output());
        }
    }
}

/// A whole configuration of nginx: the upstreams and servers of a guide below these settings.
pub(crate) fn nginx_with(settings: &str, guide: &str) -> String {
    let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {kind};\n"));
    format!(
        "daemon off;\nmaster_process off;\npid nginx.pid;\nevents {{}}\nhttp {{\naccess_log off;\n{}{settings}{guide}}}\n",
        paths.concat()
    )
}
