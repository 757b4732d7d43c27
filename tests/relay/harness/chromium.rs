//! A headless Chromium. It knows browsers and pages, not the relay.

mod devtools;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::TIMEOUT;
use super::tool::find_tool;
use devtools::DevTools;

/// The path of the program.
const PROGRAM: &str = "DOCRELAY_CHROMIUM";

/// A second browser would disturb measurements in the first.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[derive(Debug, Clone, Copy)]
pub(crate) enum ColorScheme {
    Light,
    Dark,
}

/// Size and color scheme of the page; sizes are in CSS pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Viewport {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) color_scheme: ColorScheme,
}

/// A tab in the background.
pub(crate) struct Tab {
    target: String,
    session: String,
}

/// A browser with one tab at first. Dropping it ends the browser and removes its profile.
pub(crate) struct Browser {
    devtools: DevTools,
    /// Events since the last navigation.
    events: VecDeque<Value>,
    /// The current tab.
    target: String,
    session: String,
    /// Uncaught exceptions, console errors and warnings, refused and failed loads of all pages.
    pub(crate) errors: Vec<String>,
    /// The URL of every request.
    pub(crate) requested_urls: Vec<String>,
    _profile: TempDir,
    _lock: MutexGuard<'static, ()>,
}

impl Browser {
    /// Starts a browser; `None` where there is none, as [`find_tool`] says.
    pub(crate) fn start() -> Option<Self> {
        let program = find_tool(PROGRAM)?;
        let lock = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let profile = tempfile::Builder::new().prefix("chromium-").tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        let profile = profile.expect("a directory for the browser's profile");
        let mut browser = Self {
            devtools: DevTools::launch(&program, profile.path()),
            events: VecDeque::new(),
            target: String::new(),
            session: String::new(),
            errors: Vec::new(),
            requested_urls: Vec::new(),
            _profile: profile,
            _lock: lock,
        };
        browser.open_page();
        Some(browser)
    }

    /// Opens a tab and makes it the current one. Returns the previous tab, for [`Browser::switch_to`].
    #[track_caller]
    pub(crate) fn open_tab(&mut self) -> Tab {
        let previous = Tab { target: std::mem::take(&mut self.target), session: std::mem::take(&mut self.session) };
        self.open_page();
        previous
    }

    /// Makes a tab the current one. Returns the previous tab.
    pub(crate) fn switch_to(&mut self, tab: Tab) -> Tab {
        Tab {
            target: std::mem::replace(&mut self.target, tab.target),
            session: std::mem::replace(&mut self.session, tab.session),
        }
    }

    /// Closes a tab in the background.
    #[track_caller]
    pub(crate) fn close_tab(&mut self, tab: &Tab) {
        self.call("Target.closeTarget", json!({"targetId": tab.target}));
    }

    /// Runs a script in every later page, before the scripts of the page.
    #[track_caller]
    pub(crate) fn inject_script(&mut self, script: &str) {
        self.call("Page.addScriptToEvaluateOnNewDocument", json!({"source": script}));
    }

    /// Loads a URL and waits for the load event.
    #[track_caller]
    pub(crate) fn navigate(&mut self, url: &str) {
        self.events.clear();
        let response = self.call("Page.navigate", json!({"url": url}));
        assert!(response.get("errorText").is_none(), "{url}: {response}");
        // A change of the fragment alone loads nothing.
        if response.get("loaderId").is_some() {
            self.wait_for_event("Page.loadEventFired");
        }
    }

    /// The value of an expression; a promise is awaited.
    #[track_caller]
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let mut response = self.call("Runtime.evaluate", params);
        assert!(response.get("exceptionDetails").is_none(), "{expression}: {response}");
        response["result"]["value"].take()
    }

    /// Waits until an expression is true. The page evaluates it at every change of the document.
    #[track_caller]
    pub(crate) fn wait_until(&mut self, expression: &str) {
        let watch = format!(
            "new Promise((resolve) => {{
               const check = () => {{ if ({expression}) {{ observer.disconnect(); resolve(true); }} }};
               const observer = new MutationObserver(check);
               observer.observe(document, {{subtree: true, childList: true, attributes: true, characterData: true}});
               check();
               setTimeout(() => resolve(false), {});
             }})",
            TIMEOUT.as_millis()
        );
        if self.evaluate(&watch) != json!(true) {
            let text = self.evaluate("document.body.innerText");
            panic!("timed out: {expression}\nthe page shows: {text}\nerrors: {:?}", self.errors);
        }
    }

    /// Changes the viewport. A width below 600 emulates a phone.
    #[track_caller]
    pub(crate) fn set_viewport(&mut self, viewport: Viewport) {
        let Viewport { width, height, color_scheme } = viewport;
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", size);
        let scheme = match color_scheme {
            ColorScheme::Light => "light",
            ColorScheme::Dark => "dark",
        };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", features);
    }

    /// A picture of the page as PNG.
    #[track_caller]
    pub(crate) fn screenshot(&mut self) -> Vec<u8> {
        let shot = self.call("Page.captureScreenshot", json!({"format": "png", "captureBeyondViewport": true}));
        BASE64.decode(shot["data"].as_str().expect("a picture").as_bytes()).expect("base64")
    }

    /// Asserts that the pages have reported no error.
    #[track_caller]
    pub(crate) fn assert_no_errors(&self) {
        assert!(self.errors.is_empty(), "{:#?}", self.errors);
    }

    /// Sends a command to the current tab and waits for its result.
    #[track_caller]
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        let id = self.devtools.send(&self.session, method, &params);
        // Later than the timeout of a promise in the page, which gives the better message.
        let deadline = Instant::now() + TIMEOUT + Duration::from_secs(5);
        loop {
            let mut message = self.receive(deadline, method);
            if message["id"] == json!(id) {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].take();
            }
            self.record(message);
        }
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

    #[track_caller]
    fn wait_for_event(&mut self, event: &str) {
        let deadline = Instant::now() + TIMEOUT;
        while !self.events.iter().any(|e| e["method"] == event) {
            let message = self.receive(deadline, event);
            self.record(message);
        }
    }

    #[track_caller]
    fn receive(&self, deadline: Instant, expected: &str) -> Value {
        self.devtools.receive(deadline).unwrap_or_else(|e| panic!("{expected}: {e}; errors: {:?}", self.errors))
    }

    fn record(&mut self, message: Value) {
        let params = &message["params"];
        let error = match message["method"].as_str().unwrap_or_default() {
            "Network.requestWillBeSent" => {
                self.requested_urls.push(params["request"]["url"].as_str().unwrap_or_default().to_owned());
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
        if let Some(error) = error {
            self.errors.push(error.to_string());
        }
        self.events.push_back(message);
    }
}
