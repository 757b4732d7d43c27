//! The relay's pages in a real browser: start page, dashboard and widget.

mod dashboard;
mod pages;
mod start_page;
mod widget;

use std::path::Path;

use serde_json::json;

use crate::harness::chromium::ColorScheme;
use crate::harness::fixture::{Fixture, document_id};

/// A directory for pictures of the pages. Without it, no pictures are saved.
const PICTURES: &str = "DOCRELAY_PICTURES";

/// Name, width and color scheme of the viewports for pictures and layout checks.
const VIEWPORTS: [(&str, u32, ColorScheme); 4] = [
    ("wide-light", 1280, ColorScheme::Light),
    ("wide-dark", 1280, ColorScheme::Dark),
    ("phone-light", 390, ColorScheme::Light),
    ("phone-dark", 390, ColorScheme::Dark),
];

/// Posts a webhook. Returns the id of the document.
#[track_caller]
fn post_document(fixture: &Fixture, number: u32, status: &str, title: &str) -> String {
    let id = document_id(number);
    fixture.post(&json!({"documentId": id, "status": status, "title": title}));
    id
}

/// Saves a PNG if [`PICTURES`] is set.
fn save_picture(name: &str, png: &[u8]) {
    let Some(directory) = std::env::var_os(PICTURES) else { return };
    std::fs::write(Path::new(&directory).join(format!("{name}.png")), png).expect("a picture");
}
