//! The one HTTP client that calls customers' endpoints.
