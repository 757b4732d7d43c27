//! The table of documents: malicious titles, filters in the URL, the keyboard, and ten thousand documents.

use std::thread;

use serde_json::json;

use super::{Dashboard, OPEN, table_shows};
use crate::harness::chromium::{ColorScheme, Viewport};
use crate::harness::connection::Connection;
use crate::harness::fixture::document_id;
use crate::harness::request::Request;

#[test]
fn malicious_titles_are_shown_as_text() {
    let Some(mut dashboard) = Dashboard::signed_in() else { return };
    let image = "<img src=x onerror=document.title='owned'>";
    dashboard.post(1, "COMPLETED", image);
    dashboard.post(2, "COMPLETED", "\u{202e}fdp.exe \u{2067}unclosed");
    dashboard.post(3, "COMPLETED", &"w".repeat(10_000));
    dashboard.browser.wait_until(&table_shows(image));
    dashboard.browser.wait_until("document.querySelectorAll('#documents tbody tr').length === 3");
    assert_eq!(dashboard.browser.evaluate("document.querySelectorAll('#main img, #main script').length"), json!(0));
    // Control characters of the text direction are removed or isolated in the title.
    let shown = "[...document.querySelectorAll('#documents td.title')].map((title) => title.textContent).join()";
    let shown = dashboard.browser.evaluate(shown).as_str().expect("text").to_owned();
    assert!(shown.contains("fdp.exe") && !shown.contains('\u{202e}'), "{shown:?}");
    let isolated = "[...document.querySelectorAll('#documents td.title a > *')]
        .every((title) => title.localName === 'bdi' && getComputedStyle(title).unicodeBidi === 'isolate')";
    assert_eq!(dashboard.browser.evaluate(isolated), json!(true));
    for width in [1200, 390] {
        dashboard.browser.set_viewport(Viewport { width, height: 800, color_scheme: ColorScheme::Light });
        for number in [1, 2, 3] {
            dashboard.open_route("#/");
            dashboard.browser.wait_until("!document.querySelector('#list').hidden");
            assert_eq!(
                dashboard.browser.evaluate("document.documentElement.scrollWidth <= innerWidth"),
                json!(true),
                "{width}"
            );
            dashboard.open_route(&format!("#/documents/{}", document_id(number)));
            dashboard.browser.wait_until("document.querySelector('#page .history li') !== null");
            assert_eq!(
                dashboard.browser.evaluate("document.documentElement.scrollWidth <= innerWidth"),
                json!(true),
                "{width}"
            );
        }
    }
    assert_ne!(dashboard.browser.evaluate("document.title"), json!("owned"));
    dashboard.assert_clean();
}

#[test]
fn table_filters_are_kept_in_the_url() {
    let Some(mut dashboard) = Dashboard::signed_in() else { return };
    for number in 0..6 {
        dashboard.post(number, if number % 2 == 0 { "ERROR" } else { "COMPLETED" }, &format!("paper {number}"));
    }
    let rows = |count: u32| format!("document.querySelectorAll('#documents tbody tr').length === {count}");
    dashboard.browser.wait_until(&rows(6));
    dashboard.browser.evaluate("document.querySelector('#statuses [data-status=ERROR]').click()");
    dashboard.browser.wait_until(&rows(3));
    dashboard.browser.evaluate(
        "void ((search) => { search.value = 'paper 4'; search.dispatchEvent(new Event('input')); })(document.querySelector('#search'))",
    );
    dashboard.browser.wait_until(&rows(1));
    assert_eq!(dashboard.browser.evaluate("location.hash"), json!("#/?q=paper+4&status=ERROR"));
    // The URL restores the filters. The fragment is not sent to the server.
    let url = dashboard.url("#/?q=paper+4&status=ERROR");
    dashboard.browser.navigate("about:blank");
    dashboard.browser.requested_urls.clear();
    dashboard.browser.navigate(&url);
    dashboard.browser.wait_until(OPEN);
    dashboard.browser.wait_until(&rows(1));
    assert_eq!(dashboard.browser.evaluate("document.querySelector('#search').value"), json!("paper 4"));
    dashboard.open_route("#/?vendor=ppj");
    dashboard.browser.wait_until("document.querySelector('#no-rows').innerText.includes('No document matches')");
    dashboard.browser.evaluate("document.querySelector('#no-rows button').click()");
    dashboard.browser.wait_until(&rows(6));
    dashboard.assert_clean();
}

#[test]
fn table_is_usable_with_the_keyboard() {
    let Some(mut dashboard) = Dashboard::signed_in() else { return };
    for number in 0..4 {
        dashboard.post(number, "COMPLETED", &format!("paper {number}"));
    }
    dashboard.browser.wait_until("document.querySelectorAll('#documents tbody tr').length === 4");
    let focused = "document.activeElement.closest('tr')?.dataset.id ?? document.activeElement.id";
    dashboard.browser.evaluate("document.querySelector('#statuses button:last-child').focus()");
    dashboard.press_key("Tab");
    assert_eq!(dashboard.browser.evaluate(focused), json!(document_id(3)), "Tab reaches the first row only");
    dashboard.press_key("ArrowDown");
    assert_eq!(dashboard.browser.evaluate(focused), json!(document_id(2)));
    dashboard.press_key("End");
    assert_eq!(dashboard.browser.evaluate(focused), json!(document_id(0)));
    // New rows do not move the focus.
    dashboard.post(9, "COMPLETED", "newest");
    dashboard.browser.wait_until(&table_shows("newest"));
    assert_eq!(dashboard.browser.evaluate(focused), json!(document_id(0)));
    dashboard.press_key("Enter");
    dashboard.browser.wait_until("document.querySelector('#page .history li') !== null");
    assert_eq!(dashboard.browser.evaluate("document.activeElement.localName"), json!("h1"));
    dashboard.press_key("Escape");
    dashboard.browser.wait_until("!document.querySelector('#list').hidden");
    assert_eq!(dashboard.browser.evaluate(focused), json!(document_id(0)), "the focus returns to the row");
    dashboard.press_key("Tab");
    assert_eq!(
        dashboard.browser.evaluate("document.activeElement.closest('tr') === null"),
        json!(true),
        "Tab leaves the table"
    );
    dashboard.assert_clean();
}

#[test]
fn ten_thousand_documents_scroll_with_few_rows() {
    let Some(mut dashboard) = Dashboard::start() else { return };
    let (listen, path) = (dashboard.fixture.relay.listen, dashboard.fixture.hook.clone());
    thread::scope(|scope| {
        for part in 0..16_u32 {
            let path = &path;
            scope.spawn(move || {
                let mut connection = Connection::open(listen);
                for number in (part * 625)..((part + 1) * 625) {
                    let body =
                        json!({"documentId": document_id(number), "status": "COMPLETED", "title": format!("paper {number}")});
                    assert_eq!(connection.send(&Request::post(path).json(&body.to_string())).status, 200);
                }
            });
        }
    });
    // The same jumps on a page of plain rows, which replaces as many rows as the table does.
    let plain = dashboard.browser.evaluate(
        "(async () => {
           const frame = () => new Promise(requestAnimationFrame);
           document.body.innerHTML = '<table><tbody></tbody></table><p style=\"height: 400000px\"></p>';
           const end = document.documentElement.scrollHeight - innerHeight;
           const took = [];
           for (let step = 0; step <= 120; step += 1) {
             const began = performance.now();
             scrollTo({ top: (end * step) / 120, behavior: 'instant' });
             await frame();
             document.querySelector('tbody').replaceChildren(...Array.from({ length: 40 }, (_, number) => {
               const row = document.createElement('tr');
               for (let cell = 0; cell < 5; cell += 1) row.insertCell().append(`${step} ${number} ${cell}`);
               return row;
             }));
             await frame();
             took.push(performance.now() - began);
           }
           return took.sort((a, b) => a - b)[60];
         })()",
    );
    let url = dashboard.url(&format!("#token={}", dashboard.fixture.token));
    dashboard.browser.navigate(&url);
    dashboard.browser.wait_until("document.querySelector('#row-count').innerText === '10,000 documents'");
    let result = dashboard.browser.evaluate(
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
             took.push(performance.now() - began);
             most = Math.max(most, document.querySelectorAll('#documents tbody tr').length);
             const middle = document.elementFromPoint(innerWidth / 2, innerHeight / 2);
             if (step > 2 && !middle.closest('tr')) empty += 1;
           }
           took.sort((a, b) => a - b);
           return { most, empty, median: took[60], slowest: took[120], last: document.querySelector('#documents tbody tr:last-child').innerText };
         })()",
    );
    eprintln!("10 000 documents, 120 jumps: {result}; on a plain page: {plain} ms");
    assert!(result["most"].as_u64().is_some_and(|rows| rows < 80), "{result}");
    assert_eq!(result["empty"], json!(0), "the viewport is never without rows");
    // Two frames and the work between them, with a margin for a busy machine.
    let (median, plain) = (result["median"].as_f64().expect("a time"), plain.as_f64().expect("a time"));
    assert!(median < 4.0 * plain, "{median} ms, on a plain page {plain} ms");
    // A new event does not move the rows on the screen.
    let seen = "document.elementFromPoint(innerWidth / 2, innerHeight / 2).closest('tr')?.dataset.id";
    let before = dashboard.browser.evaluate(seen);
    dashboard.post(20_000, "ERROR", "newest");
    dashboard.browser.wait_until("!document.querySelector('#new-events').hidden");
    assert_eq!(dashboard.browser.evaluate(seen), before);
    dashboard.assert_clean();
}
