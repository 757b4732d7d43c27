//! Command lines of the form `--name value …`.

use std::collections::HashMap;
use std::fmt::Display;
use std::process::exit;
use std::str::FromStr;

/// The options of a program. An option that is missing or cannot be read ends the program with status 2.
pub struct Options(HashMap<String, String>);

impl Options {
    /// The options of this process.
    #[must_use]
    pub fn from_args() -> Self {
        let mut args = std::env::args().skip(1);
        let mut options = HashMap::new();
        while let Some(name) = args.next() {
            let Some(name) = name.strip_prefix("--") else { fail(&format!("{name}: an option begins with --")) };
            let Some(value) = args.next() else { fail(&format!("--{name} needs a value")) };
            options.insert(name.to_owned(), value);
        }
        Self(options)
    }

    /// The value of an option that must be given.
    #[must_use]
    pub fn required<T: FromStr<Err: Display>>(&self, name: &str) -> T {
        self.optional(name).unwrap_or_else(|| fail(&format!("--{name} is missing")))
    }

    /// The value of an option that may be absent.
    #[must_use]
    pub fn optional<T: FromStr<Err: Display>>(&self, name: &str) -> Option<T> {
        let value = self.0.get(name)?;
        Some(value.parse().unwrap_or_else(|error| fail(&format!("--{name} {value}: {error}"))))
    }
}

fn fail(message: &str) -> ! {
    eprintln!("{message}");
    exit(2)
}
