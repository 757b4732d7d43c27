//! Removal of rows, slice by slice: what exceeds the retention, and everything of removed clients.

pub(super) mod clock_skew;
pub(super) mod erase;
pub(super) mod prune;
