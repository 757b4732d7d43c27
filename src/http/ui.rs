//! The pages: the dashboard, the widget and the documents.

pub(in crate::http) mod pages;
