//! The use cases of a client's owner: hooks and, step by step, everything else that an owner or an administrator
//! changes. Knows the ports of the store; knows neither HTTP nor SQL.

mod hooks;

pub use hooks::{HookRefusal, add_hook, change_hook};
