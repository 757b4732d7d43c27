//! The command line: the process itself and its commands.

mod commands;
mod doctor;
mod process;
mod tail_and_demo;
