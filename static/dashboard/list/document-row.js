// A row of the table of documents.

import { documentRoute } from "../route.js";
import { badge, element, foreign } from "../ui/dom.js";
import { timeElement } from "../ui/time.js";

const MAX_TEXT_LENGTH = 200;

/** `filters` are those of the list, for the link to the document. */
export function createRow(known, filters) {
  const problem = known.error && [known.error.code, known.error.message].filter(Boolean).join(" ");
  const title = foreign(known.title || known.vendorId, MAX_TEXT_LENGTH);
  const link = element("a", { href: documentRoute(known.documentId, filters), tabindex: "-1" }, title);
  return element(
    "tr",
    { role: "row" },
    cell("status", badge(known.status)),
    cell("title", link, problem && element("span", { class: "why" }, foreign(problem, MAX_TEXT_LENGTH))),
    cell("vendor", known.vendor),
    cell("vendor-id", foreign(known.vendorId, MAX_TEXT_LENGTH)),
    cell("age", timeElement(known.time)),
  );
}

function cell(name, ...content) {
  return element("td", { role: "gridcell", class: name }, ...content);
}
