// Which documents the filters of the list let through: `{q, vendor, status}`, where an empty string filters nothing.

import { noCounts } from "../statuses.js";

export const NO_FILTERS = { q: "", vendor: "", status: "" };

/** The documents that pass all filters. */
export function applyFilters(documents, filters) {
  if (!filters.q && !filters.vendor && !filters.status) return documents;
  const term = searchTerm(filters);
  return documents.filter((document) => {
    const { vendor, status, searchText } = document;
    return (
      (!filters.vendor || vendor === filters.vendor) &&
      (!filters.status || status === filters.status) &&
      (!term || searchText.includes(term))
    );
  });
}

/** Counts by status of the documents that pass the other filters. */
export function countByStatus(documents, filters) {
  const counts = noCounts();
  for (const { status } of applyFilters(documents, { ...filters, status: "" })) counts[status] += 1;
  return counts;
}

/** The vendors to choose from, sorted. */
export function vendorsOf(documents, filters) {
  const vendors = new Set(filters.vendor ? [filters.vendor] : []);
  for (const { vendor } of documents) vendors.add(vendor);
  return [...vendors].sort();
}

function searchTerm({ q }) {
  return q.trim().toLowerCase();
}
