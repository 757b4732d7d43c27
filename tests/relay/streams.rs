//! The event streams from outside: their exact bytes, who may read them, how they resume, end, and bear bad readers.

mod admission;
mod bounds;
mod cors;
mod endings;
mod filters;
mod hostile;
mod leavers;
mod opening;
mod resume;
pub(crate) mod scene;
mod slow;
mod takeover;
