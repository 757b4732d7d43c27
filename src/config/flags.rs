//! The flags of `docrelay serve` and of the commands that use its data directory. Their help comes from the table of
//! keys; their values are checked with all other values.

use std::path::PathBuf;

use super::keys::{self, DefaultValue};

/// The flags of the configuration. They have no defaults here: an absent flag leaves the value to environment and file.
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
    /// The key `demo`.
    #[arg(long, help = help("demo"))]
    pub demo: bool,
}

impl Flags {
    /// The value of a key on the command line.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        match name {
            "listen" => self.listen.clone(),
            "admin_listen" => self.admin_listen.clone(),
            "data" => self.data.clone(),
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
        DefaultValue::Is("false") | DefaultValue::Derived(_) => String::new(),
        DefaultValue::Is(value) => format!(" [default: {value}]"),
    };
    format!("{}{default} [env: {}] [key: {name}]", key.description, key.variable())
}
