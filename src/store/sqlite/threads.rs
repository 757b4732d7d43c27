//! The threads of the store and the report of their ends. Every thread of the store is started here, so none can end
//! unnoticed.

use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

/// Called with the name of a thread of the store when that thread ends, also by a panic. It must not block.
pub type OnThreadEnd = Arc<dyn Fn(&str) + Send + Sync>;

/// Starts the threads of one store.
#[derive(Clone)]
pub(super) struct Threads {
    /// `None` in commands, which end by themselves.
    pub(super) on_end: Option<OnThreadEnd>,
}

impl Threads {
    /// Starts a thread. Its end is reported when `work` drops the signal, also while a panic unwinds. Where other
    /// threads end because of it, it must be dropped before what they wait for: the thread that is reported first is
    /// the cause.
    pub(super) fn spawn(
        &self,
        name: String,
        work: impl FnOnce(EndSignal) + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        let signal = EndSignal { name: name.clone(), on_end: self.on_end.clone() };
        Builder::new().name(name).spawn(move || work(signal))
    }
}

/// Reports the end of its thread when it is dropped.
pub(super) struct EndSignal {
    name: String,
    on_end: Option<OnThreadEnd>,
}

impl Drop for EndSignal {
    fn drop(&mut self) {
        if let Some(on_end) = &self.on_end {
            on_end(&self.name);
        }
    }
}
