//! Tokens, tickets, and the servers of the reference that issue tickets.

mod ticket_servers;
mod tickets;
mod tokens;
