// The route of the page, in the fragment of the URL, which is not sent to the server: `#/?q=…&vendor=…&status=…`,
// `#/documents/ID`, `#/hooks` and so on.

import { STATUSES } from "./statuses.js";

const PAGES = ["hooks", "notifications", "rejects", "help"];

/** `{page, id, filters}` of a fragment; an unknown one is the list of documents. */
export function parseRoute(fragment = location.hash) {
  const [path, query] = fragment.replace(/^#\/?/, "").split("?");
  const parameters = new URLSearchParams(query);
  const status = parameters.get("status") ?? "";
  const filters = {
    q: parameters.get("q") ?? "",
    vendor: parameters.get("vendor") ?? "",
    status: STATUSES.includes(status) ? status : "",
  };
  const [page, id] = path.split("/");
  if (page === "documents" && id) return { page: "document", id, filters };
  return { page: PAGES.includes(page) ? page : "documents", filters };
}

/** The fragment of the document list with these filters. */
export function listRoute(filters) {
  return `#/${queryOf(filters)}`;
}

/** The fragment of a document, with the filters of the list to return to. */
export function documentRoute(id, filters = {}) {
  return `#/documents/${id}${queryOf(filters)}`;
}

function queryOf(filters) {
  const present = Object.entries(filters).filter(([, value]) => value !== "");
  return present.length === 0 ? "" : `?${new URLSearchParams(present)}`;
}
