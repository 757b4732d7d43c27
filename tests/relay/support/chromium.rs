//! A headless Chromium, spoken to over the DevTools protocol on a pair of pipes: JSON ended by NUL, no WebSocket and no
//! driver between. Knows browsers and pages, not the relay.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{PATIENCE, in_background};

/// Names the program; set by `make test`.
const PROGRAM: &str = "DOCRELAY_CHROMIUM";

/// Nothing but the page under test: no first run, no updates, no requests of the browser's own.
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

/// A tab that is not spoken to at the moment.
pub(crate) struct Tab {
    target: String,
    session: String,
}

/// Browsers are heavy, and what is measured in one of them must not suffer from another.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// One browser, at first with one tab; ended, profile and all, when this is dropped.
pub(crate) struct Browser {
    child: Child,
    commands: ChildStdin,
    /// Answers and events, as they come.
    incoming: Receiver<Value>,
    /// Events that nobody has asked for yet.
    events: VecDeque<Value>,
    /// The tab that is spoken to.
    target: String,
    session: String,
    next: u64,
    /// What pages have complained of: uncaught errors, console errors, refused or failed loads.
    pub(crate) complaints: Vec<String>,
    /// Every address that was requested.
    pub(crate) requested: Vec<String>,
    _profile: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Browser {
    /// Starts a browser. `None`, with a line that says so, when this machine has none; a failure where CI is set.
    pub(crate) fn start() -> Option<Self> {
        let Some(program) = std::env::var_os(PROGRAM).filter(|path| !path.is_empty()) else {
            assert!(std::env::var_os("CI").is_none(), "{PROGRAM} names no browser, and in CI this must be tried");
            // Past the capture of a test's output: a skip has to be seen.
            writeln!(std::io::stderr(), "SKIPPED: {PROGRAM} names no browser: make test finds or installs one").ok();
            return None;
        };
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let profile = tempfile::Builder::new().prefix("chromium-").tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        let profile = profile.expect("a directory for the browser's profile");
        // The pipes are the descriptors 3 and 4, which a shell can set up without `unsafe`.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null"])
            .arg(program)
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // So that its own children end with it.
            .process_group(0)
            .spawn()
            .expect("the browser's start");
        let (tell, incoming) = sync_channel(4096);
        let output = child.stdout.take().expect("piped");
        in_background("browser", move || {
            for message in BufReader::new(output).split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("JSON from the browser");
                if tell.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self {
            commands: child.stdin.take().expect("piped"),
            child,
            incoming,
            events: VecDeque::new(),
            target: String::new(),
            session: String::new(),
            next: 0,
            complaints: Vec::new(),
            requested: Vec::new(),
            _profile: profile,
            _turn: turn,
        };
        browser.open_page();
        Some(browser)
    }

    /// One more tab, which is spoken to from now on; returns the one before, for [`Browser::turn_to`].
    #[track_caller]
    pub(crate) fn open_tab(&mut self) -> Tab {
        let before = Tab { target: std::mem::take(&mut self.target), session: std::mem::take(&mut self.session) };
        self.open_page();
        before
    }

    /// Speaks to another tab; returns the one before.
    pub(crate) fn turn_to(&mut self, tab: Tab) -> Tab {
        Tab {
            target: std::mem::replace(&mut self.target, tab.target),
            session: std::mem::replace(&mut self.session, tab.session),
        }
    }

    /// Closes a tab that is not spoken to.
    #[track_caller]
    pub(crate) fn close(&mut self, tab: &Tab) {
        self.call("Target.closeTarget", json!({"targetId": tab.target}));
    }

    #[track_caller]
    fn open_page(&mut self) {
        let target = self.call("Target.createTarget", json!({"url": "about:blank"}));
        let attached = self.call("Target.attachToTarget", json!({"targetId": target["targetId"], "flatten": true}));
        self.target = target["targetId"].as_str().expect("a target").to_owned();
        self.session = attached["sessionId"].as_str().expect("a session").to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.call(&format!("{domain}.enable"), json!({}));
        }
    }

    /// Runs a script before any other of every page to come.
    #[track_caller]
    pub(crate) fn on_every_page(&mut self, script: &str) {
        self.call("Page.addScriptToEvaluateOnNewDocument", json!({"source": script}));
    }

    /// Loads an address, and waits until the page says that it is loaded.
    #[track_caller]
    pub(crate) fn go(&mut self, url: &str) {
        self.events.clear();
        let answer = self.call("Page.navigate", json!({"url": url}));
        assert!(answer.get("errorText").is_none(), "{url}: {answer}");
        // A change of the fragment alone loads nothing.
        if answer.get("loaderId").is_some() {
            self.wait_for("Page.loadEventFired");
        }
    }

    /// The value of an expression; a promise is waited for.
    #[track_caller]
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let asked = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let mut answer = self.call("Runtime.evaluate", asked);
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].take()
    }

    /// Waits until an expression is true; looks again whenever the page has changed.
    #[track_caller]
    pub(crate) fn until(&mut self, expression: &str) {
        let watch = format!(
            "new Promise((resolve) => {{
               const look = () => {{ if ({expression}) {{ observer.disconnect(); resolve(true); }} }};
               const observer = new MutationObserver(look);
               observer.observe(document, {{subtree: true, childList: true, attributes: true, characterData: true}});
               look();
               setTimeout(() => resolve(false), {});
             }})",
            PATIENCE.as_millis()
        );
        if self.value(&watch) != json!(true) {
            let shown = self.value("document.body.innerText");
            panic!("never: {expression}\nthe page shows: {shown}\ncomplaints: {:?}", self.complaints);
        }
    }

    /// The page as it looks, as a PNG in base64.
    #[track_caller]
    pub(crate) fn screenshot(&mut self, width: u32, height: u32, dark: bool) -> String {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", size);
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", features);
        let shot = self.call("Page.captureScreenshot", json!({"format": "png", "captureBeyondViewport": true}));
        shot["data"].as_str().expect("a picture").to_owned()
    }

    /// Sends a command and waits for its result; what else comes meanwhile is noted.
    #[track_caller]
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let mut command = json!({"id": self.next, "method": method, "params": params});
        if !self.session.is_empty() {
            command["sessionId"] = json!(self.session);
        }
        let mut bytes = command.to_string().into_bytes();
        bytes.push(0);
        self.commands.write_all(&bytes).expect("a command to the browser");
        let deadline = Instant::now() + PATIENCE + Duration::from_secs(5);
        loop {
            let mut message = self.receive(deadline, method);
            if message["id"] == json!(self.next) {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].take();
            }
            self.note(message);
        }
    }

    #[track_caller]
    fn wait_for(&mut self, event: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.events.iter().any(|e| e["method"] == event) {
            let message = self.receive(deadline, event);
            self.note(message);
        }
    }

    #[track_caller]
    fn receive(&self, deadline: Instant, what: &str) -> Value {
        let left = deadline.saturating_duration_since(Instant::now());
        self.incoming.recv_timeout(left).unwrap_or_else(|e| panic!("{what}: {e}; complaints: {:?}", self.complaints))
    }

    fn note(&mut self, message: Value) {
        let params = &message["params"];
        let complaint = match message["method"].as_str().unwrap_or_default() {
            "Network.requestWillBeSent" => {
                self.requested.push(params["request"]["url"].as_str().unwrap_or_default().to_owned());
                None
            }
            "Runtime.exceptionThrown" => Some(&params["exceptionDetails"]),
            "Runtime.consoleAPICalled" if ["error", "warning", "assert"].iter().any(|t| params["type"] == *t) => {
                Some(&params["args"])
            }
            "Log.entryAdded" if ["error", "warning"].iter().any(|l| params["entry"]["level"] == *l) => {
                Some(&params["entry"])
            }
            _ => None,
        };
        if let Some(complaint) = complaint {
            self.complaints.push(complaint.to_string());
        }
        self.events.push_back(message);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself.
        kill_process_group(Pid::from_child(&self.child), Signal::KILL).ok();
        self.child.wait().ok();
    }
}
