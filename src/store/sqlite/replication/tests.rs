//! Tests of the store as a node of a cluster, over a journal in memory: every node that applies the same entries has
//! the same contents, and every reply is true, whatever the broker answers.

mod comparison;
mod damaged_entries;
mod determinism;
mod disk_errors;
mod entry_formats;
mod fences;
mod in_flight;
mod inapplicable;
mod items;
mod large_entries;
mod lost_end;
mod memory_journal;
mod node;
mod outcomes;
mod random_commands;
mod repeated_panics;
mod slice_size;
mod withheld_entries;
