//! Acknowledged events survive crashes and failing disks, and a shutdown completes what is running.

mod crash;
mod disk;
mod log_output;
mod shutdown;
mod store_unavailable;
