//! The command line: its commands, their exit code, and the runtime and HTTP client that they share.

mod check;
mod client;
mod cluster;
mod demo;
mod doctor;
mod hook;
mod io;
mod key;
mod notification;
mod proxy_forwarder;
mod reload;
mod send;
mod serve;
mod session;
#[cfg(test)]
mod stub;
mod tail;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};

use crate::config::{Config, ConfigSource, Flags};

/// Receives webhooks of document converters and streams their events
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
    /// Reload the configuration of the running relay
    Reload(reload::ReloadCommand),
    /// Print a bearer token
    Token(client::TokenCommand),
    /// Manage clients
    #[command(subcommand)]
    Client(client::ClientCommand),
    /// Manage hooks
    #[command(subcommand)]
    Hook(hook::HookCommand),
    /// Manage keys
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Manage notifications
    #[command(subcommand)]
    Notification(notification::NotificationCommand),
    /// List and retry deliveries
    #[command(subcommand)]
    Delivery(notification::DeliveryCommand),
    /// Make and inspect a cluster
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    Check(check::CheckArgs),
    /// Send a webhook like a vendor's to a hook and print the response
    Send(Box<send::SendArgs>),
    /// Follow a stream
    Tail(tail::TailArgs),
    /// Diagnose the connection to a relay
    Doctor(doctor::DoctorArgs),
}

/// Runs a command. An error is one sentence on stderr and the exit code 1, or 2 for invalid arguments or configuration.
pub fn run(cli: Cli) -> ExitCode {
    let result = match cli.command {
        Command::Serve(flags) => {
            let source = ConfigSource::new(flags);
            match source.load() {
                Ok(config) => serve::run(source, config).map(|()| ExitCode::SUCCESS),
                Err(error) => Ok(invalid_configuration(&error)),
            }
        }
        Command::Reload(reload) => reload.run(),
        Command::Token(token) => configured(&token.flags.clone(), |config| token.run(&config)),
        Command::Client(client) => configured(&client.flags().clone(), |config| client.run(&config)),
        Command::Hook(hook) => configured(&hook.flags().clone(), |config| hook.run(&config)),
        Command::Key(key) => configured(&key.flags().clone(), |config| key.run(&config)),
        Command::Notification(notification) => {
            configured(&notification.flags().clone(), |config| notification.run(&config))
        }
        Command::Delivery(delivery) => configured(&delivery.flags().clone(), |config| delivery.run(&config)),
        Command::Cluster(cluster) => configured(&cluster.flags(), |config| cluster.run(&config)),
        Command::Send(args) => without_data(send::run(*args)),
        Command::Tail(args) => without_data(tail::run(args)),
        Command::Doctor(args) => without_data(doctor::run(args)),
        Command::Check(check) => check.run(&mut std::io::stdout(), &mut std::io::stderr()),
    };
    result.unwrap_or_else(|error| {
        io::print_error(&format!("{error:#}"));
        ExitCode::FAILURE
    })
}

/// Runs a command that needs the network but no data directory.
fn without_data(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<ExitCode> {
    small_runtime()?.block_on(command).map(|()| ExitCode::SUCCESS)
}

fn configured(flags: &Flags, run: impl FnOnce(Config) -> anyhow::Result<()>) -> anyhow::Result<ExitCode> {
    match ConfigSource::new(flags.clone()).load() {
        Ok(config) => run(config).map(|()| ExitCode::SUCCESS),
        Err(error) => Ok(invalid_configuration(&error)),
    }
}

/// Prints the error. Returns the exit code of an invalid configuration.
fn invalid_configuration(error: &dyn Error) -> ExitCode {
    io::print_error(&error.to_string());
    ExitCode::from(2)
}

/// A single-threaded runtime, which starts faster than that of the relay.
fn small_runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// The timeout of requests, unless a command has its own.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// The HTTP client of the commands; `timeouts` sets its timeouts. It follows no redirects and uses no proxy from the
/// environment. Private addresses are allowed, because the user of a command chooses the URL.
#[expect(clippy::disallowed_methods, reason = "the HTTP client of the command line")]
fn http_client(timeouts: impl FnOnce(ClientBuilder) -> ClientBuilder) -> anyhow::Result<Client> {
    let rules = Client::builder().no_proxy().redirect(Policy::none());
    let named = rules.user_agent(concat!("docrelay/", env!("CARGO_PKG_VERSION")));
    timeouts(named).build().context("cannot set up the HTTP client")
}
