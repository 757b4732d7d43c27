//! Baidu's notification API at `/v1` and `/v2`: its signatures, its errors and its routes.

pub(in crate::http) mod bce;
pub(in crate::http) mod notifications;
