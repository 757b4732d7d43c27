//! Work on a whole database beside its writer: check, digest, copy, and sealing with another key.

pub mod check;
pub(super) mod digest;
pub(super) mod reseal;
pub mod snapshot;
