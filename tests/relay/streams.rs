//! Event streams from outside: exact bytes, authentication, resume, end, limits and slow followers.

mod authentication;
mod cors;
mod disconnects;
mod filters;
mod injection;
mod limits;
mod opening;
mod resources;
mod resume;
mod slow_followers;
mod takeover;
mod termination;
