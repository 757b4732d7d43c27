//! Acknowledged events survive crashes and failing disks.

mod crash;
mod store_unavailable;
