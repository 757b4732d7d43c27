//! Under systemd: sockets that it passes, notifications, and a restart during which no connection is refused.

mod notifications;
mod restart;
