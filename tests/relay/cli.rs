//! The command line: the process itself and its commands.

mod check;
mod commands;
mod data_directory;
mod doctor;
mod keys;
mod management;
mod process;
mod tail_and_demo;
