//! The commands of the program, one file each.

mod banner;
pub mod check;
mod client;
mod delivery;
mod demo;
mod doctor;
mod hook;
mod notification;
mod reach;
mod secret;
mod send;
mod serve;
#[cfg(test)]
mod stub;
mod tail;
mod token;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};

use crate::config::{Config, ConfigError, Flags, raise_open_files};

/// Turns the webhooks of document converters into live streams.
#[derive(Parser, Debug)]
#[command(name = "docrelay", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run the relay
    Serve(Flags),
    /// Print a bearer token
    Token(token::Token),
    /// Manage clients
    #[command(subcommand)]
    Client(client::ClientCommand),
    /// Manage hooks
    #[command(subcommand)]
    Hook(hook::HookCommand),
    /// Manage notifications
    #[command(subcommand)]
    Notification(notification::NotificationCommand),
    /// Look at deliveries
    #[command(subcommand)]
    Delivery(delivery::DeliveryCommand),
    Check(check::Check),
    /// Play a vendor: send one message to a hook, and show what it answers
    Send(Box<send::Args>),
    /// Follow a stream
    Tail(tail::Args),
    /// Find out what is wrong between here and a relay
    Doctor(doctor::Args),
}

/// Runs a command; what goes wrong is one sentence on stderr. 1: it could not be done. 2: it was asked wrongly.
pub fn run(cli: Cli) -> ExitCode {
    let done = match cli.command {
        Command::Serve(flags) => configured(&flags, serve::run),
        Command::Token(token) => configured(&token.flags.clone(), |config| token.run(&config)),
        Command::Client(client) => configured(&client.flags().clone(), |config| client.run(&config)),
        Command::Hook(hook) => configured(&hook.flags().clone(), |config| hook.run(&config)),
        Command::Notification(notification) => {
            configured(&notification.flags().clone(), |config| notification.run(&config))
        }
        Command::Delivery(delivery) => configured(&delivery.flags().clone(), |config| delivery.run(&config)),
        Command::Send(args) => outside(send::run(*args)),
        Command::Tail(args) => outside(tail::run(args)),
        Command::Doctor(args) => outside(doctor::run(args)),
        Command::Check(check) => check.run(&mut std::io::stdout(), &mut std::io::stderr()).map_err(anyhow::Error::from),
    };
    done.unwrap_or_else(|error| {
        say(&format!("{error:#}"));
        ExitCode::FAILURE
    })
}

/// A command that needs no data directory, only the network.
fn outside(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<ExitCode> {
    small_runtime()?.block_on(command).map(|()| ExitCode::SUCCESS)
}

fn configured(flags: &Flags, run: impl FnOnce(Config) -> anyhow::Result<()>) -> anyhow::Result<ExitCode> {
    let open_files = raise_open_files();
    match Config::load(flags, |name| std::env::var(name).ok(), open_files) {
        Ok(config) => run(config).map(|()| ExitCode::SUCCESS),
        Err(error) => {
            let error: ConfigError = error;
            say(&error.to_string());
            Ok(ExitCode::from(2))
        }
    }
}

#[expect(clippy::print_stderr, reason = "this is where commands say what went wrong")]
fn say(sentence: &str) {
    eprintln!("docrelay: {sentence}");
}

#[expect(clippy::print_stdout, reason = "this is where commands print what was asked for")]
fn print(text: &str) {
    println!("{text}");
}

/// A runtime for commands that do little.
fn small_runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// How long most commands wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The one HTTP client of the commands. It goes where it is told: no redirects, no proxy from the environment, and no
/// closed ranges either, because whoever runs a command may call what they like. `limits` says how long it waits.
#[expect(clippy::disallowed_methods, reason = "the one place of the command line that sets its rules")]
fn http_client(limits: impl FnOnce(ClientBuilder) -> ClientBuilder) -> anyhow::Result<Client> {
    let rules = Client::builder().no_proxy().redirect(Policy::none());
    let named = rules.user_agent(concat!("docrelay/", env!("CARGO_PKG_VERSION")));
    limits(named).build().context("cannot set up the HTTP client")
}
