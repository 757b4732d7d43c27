// Shows the widget in each of its states, with fixed events instead of a relay. The tests use this page, too.

import "/widget.js";

const day = "2026-11-20T09:30:0";
let number = 0;

function event(status, title, more = {}) {
  number += 1;
  const documentId = `626626a0-749f-11e2-bfd6-${String(number).padStart(12, "0")}`;
  return {
    id: `demo.${number}`,
    documentId,
    status,
    vendor: "gini",
    vendorId: `job-${number}`,
    time: `${day}${number % 10}.000Z`,
    title,
    ...more,
  };
}

const pending = event("PENDING", "Quarterly report.docx");
const completed = event("COMPLETED", "Invoice 2026-118.pdf", { vendor: "ppj" });
const failed = event("ERROR", "Vertrag.docx", { vendor: "ppj", error: { code: "2", message: "source file error" } });
const hostile = [
  event("COMPLETED", '<img src=x onerror="alert(1)"><script>alert(2)</script>'),
  event("COMPLETED", "invoice \u202Efdp.exe \u2067אבג\u2069"),
  event("PENDING", "تقرير سنوي ٢٠٢٦.pdf"),
  event("ERROR", "W".repeat(10_000), { error: { message: "<b>bold</b> ".repeat(1000) } }),
  event("PENDING", undefined, { vendorId: "no-title-only-a-vendor-id" }),
];
const mixed = [
  event("PENDING", "年度报告（终稿）.docx"),
  event("COMPLETED", "slides.pptx"),
  event("ERROR", "scan.tiff", { error: { code: "113", message: "password protected" } }),
];

const live = { state: "live" };
const one = (document) => [{ documents: [document] }, live];

/** `[name, heading, messages of the source, attributes]`. */
const STATES = [
  ["connecting", "Connecting", [{ state: "connecting" }]],
  ["empty", "Live, no documents", [{ documents: [] }, live]],
  ["unknown", "A document without a status", [{ documents: [] }, live], { document: "none" }],
  ["pending", "In progress", one(pending)],
  ["completed", "Completed", one(completed)],
  ["failed", "Failed", one(failed)],
  ["list", "Latest documents", [{ documents: mixed }, live]],
  ["reset", "After a reset", [{ documents: mixed.slice(1) }, live, { reset: true }, { documents: mixed.slice(1) }]],
  ["offline", "Offline", [...one(pending), { state: "offline", code: "offline" }]],
  ["unreachable", "Relay unreachable", [...one(completed), { state: "offline", code: "unreachable" }]],
  ["busy", "Relay busy", [{ documents: [pending] }, { state: "connecting", code: "busy" }]],
  ["auth_failed", "Token rejected", [{ state: "error", code: "auth_failed" }]],
  ["auth_required", "No token", [{ state: "error", code: "auth_required" }]],
  ["ticket_refused", "Signed out", [...one(completed), { state: "error", code: "ticket_refused" }]],
  ["ticket_failed", "Ticket not renewed", [...one(completed), { state: "offline", code: "ticket_failed" }]],
  ["not_accepted", "Request rejected", [{ state: "error", code: "not_accepted" }]],
  ["bad_relay", "Invalid relay URL", [{ state: "error", code: "bad_relay" }]],
  ["hostile", "Hostile titles", [{ documents: hostile }, live]],
  ["styled", "Styled from outside", one(completed)],
];

for (const [name, heading, messages, attributes = {}] of STATES) {
  const section = document.createElement("section");
  section.id = section.className = name;
  const title = document.createElement("h2");
  title.textContent = heading;
  const widget = document.createElement("docrelay-status");
  for (const [key, value] of Object.entries(attributes)) widget.setAttribute(key, value);
  widget.source = (notify) => {
    for (const message of messages) notify(message);
  };
  section.append(title, widget);
  document.querySelector("main").append(section);
}

document.querySelector("#language").addEventListener("click", ({ currentTarget: button }) => {
  const language = button.lang;
  for (const widget of document.querySelectorAll("docrelay-status")) widget.lang = language;
  [button.lang, button.textContent] = language === "zh" ? ["en", "English"] : ["zh", "中文"];
});
