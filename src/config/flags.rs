//! The flags of `docrelay serve`, and of the commands that look into its data directory. Their help comes from the
//! table of keys; their values are checked with all others.

use std::path::PathBuf;

use super::keys::{self, Preset};

/// The configuration's flags. None has a default here: what is not given is left to environment and file.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Flags {
    /// Configuration file in TOML [env: DOCRELAY_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The key `listen`.
    #[arg(long, value_name = "ADDRESS", help = help("listen"))]
    pub listen: Option<String>,
    /// The key `admin_listen`.
    #[arg(long, value_name = "ADDRESS", help = help("admin_listen"))]
    pub admin_listen: Option<String>,
    /// The key `data`.
    #[arg(long, value_name = "DIR", help = help("data"))]
    pub data: Option<String>,
    /// The key `store`.
    #[arg(long, value_name = "STORE", help = help("store"))]
    pub store: Option<String>,
    /// The key `demo`.
    #[arg(long, help = help("demo"))]
    pub demo: bool,
}

impl Flags {
    /// What the command line says of a key.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        match name {
            "listen" => self.listen.clone(),
            "admin_listen" => self.admin_listen.clone(),
            "data" => self.data.clone(),
            "store" => self.store.clone(),
            "demo" => self.demo.then(|| "true".to_owned()),
            _ => None,
        }
    }
}

fn help(name: &str) -> String {
    let Some(key) = keys::find(name) else {
        return String::new();
    };
    let default = match key.default {
        Preset::Is("false") | Preset::Derived(_) => String::new(),
        Preset::Is(value) => format!(" [default: {value}]"),
    };
    format!("{}{default} [env: {}] [key: {name}]", key.meaning, key.variable())
}
