//! HTTP/2: how a connection gets it, event streams on it, its limits, and floods of frames.

mod floods;
mod limits;
mod negotiation;
mod slow_readers;
mod streams;
