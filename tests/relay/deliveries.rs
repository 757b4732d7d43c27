//! Deliveries to endpoints of customers: formats, retries, order, and the API that shows
//! them.

mod api;
mod changes;
mod commands;
mod crash;
mod formats;
mod loops;
mod restrictions;
mod retries;
