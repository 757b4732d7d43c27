//! Hooks from the vendor's side: requests of every vendor and the relay's responses.

mod baidu;
mod concurrent_changes;
mod generic;
mod gini;
mod malformed;
mod ppj;
mod slow_requests;
mod standard;
mod zoffice;
