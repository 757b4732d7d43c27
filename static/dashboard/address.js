// Where one is, in the fragment of the address, which no server sees: `#/?q=…&vendor=…&status=…`, `#/documents/ID`,
// `#/hooks` and so on. Reading and writing it, nothing else.

const PLACES = ["hooks", "notifications", "rejects", "help"];

/** `{place, id, filters}` of the present address; what makes no sense leads to the documents. */
function here() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const parameters = new URLSearchParams(query);
  const status = parameters.get("status") ?? "";
  const filters = {
    q: parameters.get("q") ?? "",
    vendor: parameters.get("vendor") ?? "",
    status: STATUSES.includes(status) ? status : "",
  };
  const [place, id] = path.split("/");
  if (place === "documents" && id) return { place: "document", id, filters };
  return { place: PLACES.includes(place) ? place : "documents", filters };
}

function query(filters) {
  const given = Object.entries(filters).filter(([, value]) => value !== "");
  return given.length === 0 ? "" : `?${new URLSearchParams(given)}`;
}

/** The list with these filters. */
function listAddress(filters) {
  return `#/${query(filters)}`;
}

/** A document, with the filters of the list that one comes back to. */
function documentAddress(id, filters = {}) {
  return `#/documents/${id}${query(filters)}`;
}
