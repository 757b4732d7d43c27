//! Limits of addresses and of single clients, and the true address of a request.

mod addresses;
mod clients;
mod failed_tokens;
mod proxy_protocol;
