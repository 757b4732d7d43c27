//! The table: hostile texts, filters in the address, the keyboard, and ten thousand documents.

use std::thread;

use serde_json::json;

use super::{Desk, OPEN, id, table_has};
use crate::harness::connection::Connection;
use crate::harness::request::Request;

#[test]
fn hostile_titles_are_text() {
    let Some(mut desk) = Desk::signed_in() else { return };
    let image = "<img src=x onerror=document.title='owned'>";
    desk.tell(1, "COMPLETED", image);
    desk.tell(2, "COMPLETED", "\u{202e}fdp.exe \u{2067}unclosed");
    desk.tell(3, "COMPLETED", &"w".repeat(10_000));
    desk.browser.wait_until(&table_has(image));
    desk.browser.wait_until("document.querySelectorAll('#documents tbody tr').length === 3");
    assert_eq!(desk.browser.evaluate("document.querySelectorAll('#main img, #main script').length"), json!(0));
    // No file's name reads backwards, and whatever else a title does to the direction ends with it.
    let shown = "[...document.querySelectorAll('#documents td.title')].map((title) => title.textContent).join()";
    let shown = desk.browser.evaluate(shown).as_str().expect("text").to_owned();
    assert!(shown.contains("fdp.exe") && !shown.contains('\u{202e}'), "{shown:?}");
    let isolated = "[...document.querySelectorAll('#documents td.title a > *')]
        .every((title) => title.localName === 'bdi' && getComputedStyle(title).unicodeBidi === 'isolate')";
    assert_eq!(desk.browser.evaluate(isolated), json!(true));
    for width in [1200, 390] {
        desk.browser.screenshot(width, 800, false);
        for number in [1, 2, 3] {
            desk.visit("#/");
            desk.browser.wait_until("!document.querySelector('#list').hidden");
            assert_eq!(
                desk.browser.evaluate("document.documentElement.scrollWidth <= innerWidth"),
                json!(true),
                "{width}"
            );
            desk.visit(&format!("#/documents/{}", id(number)));
            desk.browser.wait_until("document.querySelector('#page .history li') !== null");
            assert_eq!(
                desk.browser.evaluate("document.documentElement.scrollWidth <= innerWidth"),
                json!(true),
                "{width}"
            );
        }
    }
    assert_ne!(desk.browser.evaluate("document.title"), json!("owned"));
    desk.is_clean();
}

#[test]
fn filters_are_kept_in_the_address() {
    let Some(mut desk) = Desk::signed_in() else { return };
    for number in 0..6 {
        desk.tell(number, if number % 2 == 0 { "ERROR" } else { "COMPLETED" }, &format!("paper {number}"));
    }
    let rows = |count: u32| format!("document.querySelectorAll('#documents tbody tr').length === {count}");
    desk.browser.wait_until(&rows(6));
    desk.browser.evaluate("document.querySelector('#statuses [data-status=ERROR]').click()");
    desk.browser.wait_until(&rows(3));
    desk.browser.evaluate(
        "void ((search) => { search.value = 'paper 4'; search.dispatchEvent(new Event('input')); })(document.querySelector('#search'))",
    );
    desk.browser.wait_until(&rows(1));
    assert_eq!(desk.browser.evaluate("location.hash"), json!("#/?q=paper+4&status=ERROR"));
    // A reload, and whoever gets the address, sees the same. The server never does.
    let url = desk.url("#/?q=paper+4&status=ERROR");
    desk.browser.navigate("about:blank");
    desk.browser.requested_urls.clear();
    desk.browser.navigate(&url);
    desk.browser.wait_until(OPEN);
    desk.browser.wait_until(&rows(1));
    assert_eq!(desk.browser.evaluate("document.querySelector('#search').value"), json!("paper 4"));
    desk.visit("#/?vendor=ppj");
    desk.browser.wait_until("document.querySelector('#no-rows').innerText.includes('No document matches')");
    desk.browser.evaluate("document.querySelector('#no-rows button').click()");
    desk.browser.wait_until(&rows(6));
    desk.is_clean();
}

#[test]
fn everything_can_be_reached_with_the_keyboard() {
    let Some(mut desk) = Desk::signed_in() else { return };
    for number in 0..4 {
        desk.tell(number, "COMPLETED", &format!("paper {number}"));
    }
    desk.browser.wait_until("document.querySelectorAll('#documents tbody tr').length === 4");
    let focused = "document.activeElement.closest('tr')?.dataset.id ?? document.activeElement.id";
    desk.browser.evaluate("document.querySelector('#statuses button:last-child').focus()");
    desk.key("Tab");
    assert_eq!(desk.browser.evaluate(focused), json!(id(3)), "one row can be reached with Tab: the first");
    desk.key("ArrowDown");
    assert_eq!(desk.browser.evaluate(focused), json!(id(2)));
    desk.key("End");
    assert_eq!(desk.browser.evaluate(focused), json!(id(0)));
    // The focus stays where it is when rows come before it.
    desk.tell(9, "COMPLETED", "newest");
    desk.browser.wait_until(&table_has("newest"));
    assert_eq!(desk.browser.evaluate(focused), json!(id(0)));
    desk.key("Enter");
    desk.browser.wait_until("document.querySelector('#page .history li') !== null");
    assert_eq!(desk.browser.evaluate("document.activeElement.localName"), json!("h1"));
    desk.key("Escape");
    desk.browser.wait_until("!document.querySelector('#list').hidden");
    assert_eq!(desk.browser.evaluate(focused), json!(id(0)), "back where one was");
    desk.key("Tab");
    assert_eq!(
        desk.browser.evaluate("document.activeElement.closest('tr') === null"),
        json!(true),
        "and out of the table"
    );
    desk.is_clean();
}

#[test]
fn ten_thousand_documents_scroll_in_a_table_of_few_rows() {
    let Some(mut desk) = Desk::open() else { return };
    let (listen, path) = (desk.relay.listen, desk.hook.path.clone());
    thread::scope(|scope| {
        for part in 0..16_u32 {
            let path = &path;
            scope.spawn(move || {
                let mut wire = Connection::open(listen);
                for number in (part * 625)..((part + 1) * 625) {
                    let body =
                        json!({"documentId": id(number), "status": "COMPLETED", "title": format!("paper {number}")});
                    assert_eq!(wire.send(&Request::post(path).json(&body.to_string())).status, 200);
                }
            });
        }
    });
    let url = desk.url(&format!("#token={}", desk.token));
    desk.browser.navigate(&url);
    desk.browser.wait_until("document.querySelector('#row-count').innerText === '10,000 documents'");
    let told = desk.browser.evaluate(
        "(async () => {
           const frame = () => new Promise(requestAnimationFrame);
           let [most, empty] = [0, 0];
           const took = [];
           const end = document.documentElement.scrollHeight - innerHeight;
           for (let step = 0; step <= 120; step += 1) {
             const began = performance.now();
             scrollTo({ top: (end * step) / 120, behavior: 'instant' });
             await frame();
             await frame();
             took.push(Math.round(performance.now() - began));
             most = Math.max(most, document.querySelectorAll('#documents tbody tr').length);
             const middle = document.elementFromPoint(innerWidth / 2, innerHeight / 2);
             if (step > 2 && !middle.closest('tr')) empty += 1;
           }
           took.sort((a, b) => a - b);
           return { most, empty, median: took[60], slowest: took[120], last: document.querySelector('#documents tbody tr:last-child').innerText };
         })()",
    );
    eprintln!("10 000 documents, 120 jumps: {told}");
    assert!(told["most"].as_u64().is_some_and(|rows| rows < 80), "{told}");
    assert_eq!(told["empty"], json!(0), "no place without rows");
    // Two frames and the work between them; a machine that builds something beside may miss a few.
    assert!(told["median"].as_f64().is_some_and(|ms| ms < 300.0), "{told}");
    // What comes now moves nothing under the eyes of whoever reads further down.
    let seen = "document.elementFromPoint(innerWidth / 2, innerHeight / 2).closest('tr')?.dataset.id";
    let before = desk.browser.evaluate(seen);
    desk.tell(20_000, "ERROR", "newest");
    desk.browser.wait_until("!document.querySelector('#new-events').hidden");
    assert_eq!(desk.browser.evaluate(seen), before);
    desk.is_clean();
}
