//! Tokens, those of foreign issuers, tickets, recreated clients, and the servers of the reference that issue tickets.

pub(crate) mod issuers;
mod recreated_clients;
mod ticket_servers;
mod tickets;
mod tokens;
