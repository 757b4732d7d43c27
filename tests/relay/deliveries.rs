//! Deliveries to endpoints of customers: formats, retries, order, isolation between endpoints, and the API that shows
//! them.

mod api;
mod backlog;
mod changes;
mod commands;
mod crash;
mod formats;
mod isolation;
mod loops;
mod restrictions;
mod retries;
