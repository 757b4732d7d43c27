//! Acknowledged events survive crashes, power cuts and failing disks, and a shutdown completes what is running.

mod crash;
mod ended_threads;
mod load;
mod log_output;
mod power_cut;
mod shutdown;
mod store_unavailable;
