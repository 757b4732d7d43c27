import "./support/browser.js";
import assert from "node:assert/strict";
import { test } from "node:test";
import { applyFilters, countByStatus, NO_FILTERS, vendorsOf } from "../../static/dashboard/list/filters.js";
import { documentRoute, listRoute, parseRoute } from "../../static/dashboard/route.js";

const document = (vendor, status, searchText) => ({ vendor, status, searchText });
const DOCUMENTS = [
  document("gini", "PENDING", "report.docx"),
  document("gini", "ERROR", "invoice.pdf"),
  document("ppj", "COMPLETED", "report 2.docx"),
];

const pass = (filters) => applyFilters(DOCUMENTS, { ...NO_FILTERS, ...filters }).map(({ searchText }) => searchText);

test("each filter narrows the list, and all of them together", () => {
  assert.equal(applyFilters(DOCUMENTS, NO_FILTERS), DOCUMENTS);
  assert.deepEqual(pass({ vendor: "gini" }), ["report.docx", "invoice.pdf"]);
  assert.deepEqual(pass({ status: "COMPLETED" }), ["report 2.docx"]);
  assert.deepEqual(pass({ q: " REPORT " }), ["report.docx", "report 2.docx"]);
  assert.deepEqual(pass({ q: "report", vendor: "ppj", status: "ERROR" }), []);
});

test("counts by status ignore the status filter only", () => {
  const counts = countByStatus(DOCUMENTS, { ...NO_FILTERS, vendor: "gini", status: "ERROR" });
  assert.deepEqual(counts, { PENDING: 1, COMPLETED: 0, ERROR: 1 });
});

test("chosen vendor stays selectable without documents", () => {
  assert.deepEqual(vendorsOf(DOCUMENTS, { ...NO_FILTERS, vendor: "baidu" }), ["baidu", "gini", "ppj"]);
});

test("filters survive the way through the URL", () => {
  const filters = { q: "a & b/ä?#", vendor: "gini", status: "ERROR" };
  assert.deepEqual(parseRoute(listRoute(filters)), { page: "documents", filters });
  assert.deepEqual(parseRoute(documentRoute("626626a0", filters)), { page: "document", id: "626626a0", filters });
  assert.equal(listRoute(NO_FILTERS), "#/");
});

test("unknown routes and statuses lead to the list", () => {
  for (const fragment of ["", "#", "#/nowhere", "#/documents/", "#/?status=UNKNOWN"]) {
    assert.deepEqual(parseRoute(fragment), { page: "documents", filters: NO_FILTERS }, fragment);
  }
  assert.equal(parseRoute("#/hooks").page, "hooks");
});
