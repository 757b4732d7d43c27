//! Hooks from a vendor's side: what each of them sends, and what it is answered.

mod baidu;
mod broken;
mod neutral;
mod ppj;
mod slow;
mod zoffice;
