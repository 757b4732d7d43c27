//! Hooks from the vendor's side: requests of every vendor and the relay's responses.

mod baidu;
mod bounds;
mod check_order;
mod concurrent_changes;
mod generic;
mod gini;
mod keep_alive;
mod malformed;
mod ppj;
mod slow_requests;
mod standard;
mod unverified;
mod zoffice;
