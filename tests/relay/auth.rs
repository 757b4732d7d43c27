//! Tokens, tickets, recreated clients, and the servers of the reference that issue tickets.

mod recreated_clients;
mod ticket_servers;
mod tickets;
mod tokens;
