//! The public address with TLS: handshakes, followers, and certificates that are replaced.

mod certificates;
mod followers;
mod handshakes;
